"""How questions about a robot's table top are asked."""

from __future__ import annotations

from .grammar import SEEN, Wording, state_wording

TABLE_WORDINGS: dict[str, Wording] = {
    'empty': Wording(
        train=(
            'Is the [table|table top] [empty|clear]' + SEEN + '?',
            'Is there nothing on the table' + SEEN + '?',
            '[Do you see|Can you see] that the table is empty?',
            '[Tell me if|Check whether|Say whether] the table is [empty|clear].',
            'Table [empty|clear]?',
        ),
        heldout=(
            'In [the picture|the image], is the table empty?',
            'Tell me: is the table empty or not?',
            'Would you say there is nothing on the table?',
        ),
    ),
    'leftmost': Wording(
        train=(
            '[What|Which object|Which thing] is [leftmost|farthest left]' + SEEN + '?',
            '[What|Which object] do you see farthest [left|to the left]?',
            '[Name|Tell me|Say] the leftmost [object|thing].',
            'What is the leftmost [object|thing]?',
            'Leftmost [object|thing]?',
        ),
        heldout=(
            'In [the picture|the image], what is leftmost?',
            'Tell me which object is farthest left.',
            'The leftmost object: which is it?',
        ),
    ),
    'rightmost': Wording(
        train=(
            '[What|Which object|Which thing] is [rightmost|farthest right]' + SEEN + '?',
            '[What|Which object] do you see farthest [right|to the right]?',
            '[Name|Tell me|Say] the rightmost [object|thing].',
            'What is the rightmost [object|thing]?',
            'Rightmost [object|thing]?',
        ),
        heldout=(
            'In [the picture|the image], what is rightmost?',
            'Tell me which object is farthest right.',
            'The rightmost object: which is it?',
        ),
    ),
    'hand': Wording(
        train=(
            'Is the [gripper|robot hand] open or closed' + SEEN + '?',
            '[What is|Tell me|Say] the state of the [gripper|robot hand].',
            '[Tell me|Say] whether the gripper is open or closed.',
            'Do you see [an open or a closed|a closed or an open] gripper?',
            'Gripper [state|open or closed]?',
        ),
        heldout=(
            'In [the picture|the image], is the gripper open or closed?',
            'The gripper: is it open or closed?',
            'Would you say the gripper is open or closed?',
        ),
    ),
    'hand open': state_wording('open', 'the [gripper|robot hand]', '[gripper|robot hand]'),
    'hand closed': state_wording(
        '[closed|shut]', 'the [gripper|robot hand]', '[gripper|robot hand]'
    ),
    'holding': Wording(
        train=(
            'Is the [gripper|robot hand] holding [something|anything|an object]' + SEEN + '?',
            'Does the [gripper|robot hand] hold [something|anything|an object]?',
            '[Do you see|Is there] [something|an object] in the [gripper|robot hand]?',
            '[Tell me if|Check whether|Say whether] the gripper holds [something|an object].',
            'Gripper holding [something|anything]?',
        ),
        heldout=(
            'In [the picture|the image], is the gripper holding something?',
            'Tell me: does the robot hand hold something or not?',
            'Can you see an object in the gripper?',
        ),
    ),
    'hand empty': Wording(
        train=(
            'Is the [gripper|robot hand] empty' + SEEN + '?',
            'Is there nothing in the [gripper|robot hand]?',
            '[Do you see|Can you see] that the [gripper|robot hand] is empty?',
            '[Tell me if|Check whether|Say whether] the [gripper|robot hand] is empty.',
            'Gripper empty?',
        ),
        heldout=(
            'In [the picture|the image], is the gripper empty?',
            'Tell me: is the robot hand empty or not?',
            'Would you say there is nothing in the gripper?',
        ),
    ),
    'held shape': Wording(
        train=(
            'What [is the gripper holding|does the gripper hold|is in the gripper]' + SEEN + '?',
            '[What|Which] [shape|kind of object] is in the [gripper|robot hand]?',
            '[Tell me|Say|Name] what the [gripper|robot hand] holds.',
            'What is the robot hand holding?',
            'Which object does the gripper hold?',
        ),
        heldout=(
            'In [the picture|the image], what is the gripper holding?',
            'Tell me which object is in the gripper.',
            'The gripper: what does it hold?',
        ),
    ),
    'held colour': Wording(
        train=(
            '[What|Which] colour is the [object|thing] in the [gripper|robot hand]?',
            'What is the colour of the held [object|thing]?',
            '[Tell me|Say|Name] the colour of the [held object|object in the gripper].',
            'What colour does the held [object|thing] have?',
            'Colour of the held [object|thing]?',
        ),
        heldout=(
            'In [the picture|the image], what colour is the held object?',
            'Tell me what colour the object in the gripper has.',
            'The held object: which colour is it?',
        ),
    ),
}
