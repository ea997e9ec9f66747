"""How questions are asked. Held-out wordings use the words of train wordings, arranged anew."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """Templates (see grammar) for training and for held-out evaluation."""

    train: tuple[str, ...]
    heldout: tuple[str, ...]

    def of(self, split: str) -> tuple[str, ...]:
        """Return the templates of 'train' or 'heldout'."""
        if split not in ('train', 'heldout'):
            raise ValueError(f"unknown split {split!r}: it must be 'train' or 'heldout'")
        return self.train if split == 'train' else self.heldout


# Put before a question in training, so that it is understood wherever its parts stand.
FRONTS = (
    'Here, ',
    'Now, ',
    'In view, ',
    'In the frame, ',
    'In this camera view, ',
    'In this view, ',
    'In front of us, ',
    'Say: ',
    'Look here: ',
)

SEEN = '[ in the picture| in the image| in the camera view| in this frame| here|]'


def _state(state: str, subject: str = 'it', noun: str = '') -> Wording:
    """Wordings of 'is the subject in that state?'."""
    return Wording(
        train=(
            f'Is {subject} {state}[ in the picture| in the image| in this frame| now| here|]?',
            f'[Would you say|Do you think|Can you see] that {subject} is {state}?',
            f'[Tell me if|Check whether|Say whether] {subject} is {state}.',
            f'{noun} {state}?'.strip(),
        ),
        heldout=(
            f'[In the picture|In this frame], is {subject} {state}?',
            f'Tell me: is {subject} {state} or not?',
            f'[Do you see|Does the image show] that {subject} is {state}?',
        ),
    )


def _relation(relation: str) -> Wording:
    """Wordings of 'is x <relation> y?'."""
    return Wording(
        train=(
            f'Is {{the:x}} {relation} {{the:y}}[ in the picture| in the image| here|]?',
            f'[Do you see|Can you see] {{the:x}} {relation} {{the:y}}?',
            f'[Tell me if|Check whether|Say whether] {{the:x}} is {relation} {{the:y}}.',
            f'[Would you say|Do you think] that {{the:x}} is {relation} {{the:y}}?',
            f'{{n:x}} {relation} {{n:y}}?',
        ),
        heldout=(
            f'[In the picture|In the image], is {{the:x}} {relation} {{the:y}}?',
            f'Tell me: is {{the:x}} {relation} {{the:y}} or not?',
            f'Does the picture show {{the:x}} {relation} {{the:y}}?',
        ),
    )


WORDINGS: dict[str, Wording] = {
    'presence': Wording(
        train=(
            '[Is there|Do you see|Can you see|Can you spot|Do you notice] {a:x}' + SEEN + '?',
            '[Is there|Do you see|Can you see|Can you spot] {a:x}' + SEEN + '?',
            'Does the [picture|image|camera view|frame] show {a:x}?',
            'Does this frame [show|contain] {a:x}?',
            'Is {a:x} [visible|in view|in the picture|in the image]?',
            '[Are there any|Do you see any|Can you spot any] {p:x}' + SEEN + '?',
            'Is there {a:x} here or not?',
            '[Any|See any] {p:x}?',
            '[Tell me if|Check whether|Say whether] there is {a:x}' + SEEN + '.',
            '{n:x} [visible|in view]?',
        ),
        heldout=(
            'In [this frame|the picture|the image], do you see {a:x}?',
            'In [the picture|the camera view], is there {a:x}?',
            'Tell me: is {a:x} [visible|in the image]?',
            'Can the camera see {a:x}[ here|]?',
            'Do you see {a:x} or not?',
        ),
    ),
    'count': Wording(
        train=(
            'How many {p:x} [are there|do you see|can you see|can you count]' + SEEN + '?',
            'How many {p:x} are [visible|in view|in the picture|in the image]?',
            'What number of {p:x} [do you see|can you see|are there|are visible]' + SEEN + '?',
            'Count the {p:x}' + SEEN + '.',
            '[Tell me|Give me|Say] the number of {p:x}' + SEEN + '.',
            'What is the number of {p:x}' + SEEN + '?',
            '[Number|Count] of {p:x}?',
            'How many {p:x}?',
            'How many {p:x} does the [picture|image|frame|camera] show?',
            '[Say|Name] how many {p:x} [there are|are in view|the image shows]' + SEEN + '.',
            'Do you see {p:x}, and how many?',
            'The {p:x}: how many [do you see|are visible]?',
            'Of {p:x}, how many [are there|can you see]' + SEEN + '?',
            '{p:x}: how many?',
            'Check how many {p:x} [there are|you can see].',
        ),
        heldout=(
            'In [the picture|the image|this frame], how many {p:x} are there?',
            'Tell me how many {p:x} [you see|are visible].',
            'Can you count the {p:x}[ here|]?',
            'Give me the count of {p:x}.',
        ),
    ),
    'colour': Wording(
        train=(
            '[What|Which] colour is {the:x}' + '[ in the picture| in the image| in this frame|]?',
            'What is the colour of {the:x}?',
            '[Tell me|Name|Say|Give me] the colour of {the:x}.',
            'What colour does {the:x} have?',
            '[Colour|Which colour] of {the:x}?',
            'Do you see what colour {the:x} has?',
        ),
        heldout=(
            'In [the picture|the image], what colour is {the:x}?',
            'Tell me what colour {the:x} is.',
            '{the:x}: which colour is it?',
        ),
    ),
    'shape': Wording(
        train=(
            '[What|Which] shape is {the:x}[ in the picture| in the image| in this frame|]?',
            'What is the shape of {the:x}?',
            '[Tell me|Name|Say|Give me] the shape of {the:x}.',
            'What shape does {the:x} have?',
            '[Shape|Which shape] of {the:x}?',
            'What kind of object is {the:x}?',
        ),
        heldout=(
            'In [the picture|the image], what shape is {the:x}?',
            'Tell me what shape {the:x} has.',
            '{the:x}: which shape is it?',
        ),
    ),
    'where': Wording(
        train=(
            'Where is {the:x}' + SEEN + '?',
            '[Tell me|Say] where {the:x} is' + SEEN + '.',
            '[Where do you see|Where can you see|Where can you spot] {the:x}?',
            'What is the position of {the:x}[ in the picture| in the image|]?',
            '[Position|Place] of {the:x}?',
            '[On which side|In which place] is {the:x}?',
        ),
        heldout=(
            'In [the picture|the image|this frame], where is {the:x}?',
            'Tell me the position of {the:x}.',
            '{the:x}: where is it?',
        ),
    ),
    'distance': Wording(
        train=(
            'Is {the:x} near or far[ away|]' + SEEN + '?',
            'How far[ away|] is {the:x}' + SEEN + '?',
            '[Tell me|Say] [how far away|whether near or far] {the:x} is.',
            'What is the distance of {the:x}?',
            '[Distance|How far] to {the:x}?',
        ),
        heldout=(
            'In [the picture|the image], is {the:x} near or far?',
            'Tell me the distance to {the:x}.',
            '{the:x}: is it near or far?',
        ),
    ),
    'is near': _state('[near|close to us|nearby]', '{the:x}', '{n:x}'),
    'is far': _state('[far away|far|in the distance]', '{the:x}', '{n:x}'),
    'left of': _relation('[left of|to the left of|on the left of]'),
    'right of': _relation('[right of|to the right of|on the right of]'),
    'in front of': _relation('[in front of|nearer than|closer than]'),
    'behind': _relation('[behind|farther away than|farther than]'),
    'side': Wording(
        train=(
            'Is {the:x} left or right of {the:y}' + SEEN + '?',
            '[On which side|Which side] of {the:y} is {the:x}?',
            '[Tell me|Say] on which side of {the:y} {the:x} is.',
            'Do you see {the:x} left or right of {the:y}?',
            'Is {the:x} to the left or to the right of {the:y}?',
            'From {the:y}, where is {the:x}?',
            '{n:x} left or right of {n:y}?',
        ),
        heldout=(
            'In [the picture|the image], is {the:x} left or right of {the:y}?',
            'Tell me whether {the:x} is left or right of {the:y}.',
            'Where is {the:x}: left or right of {the:y}?',
        ),
    ),
    'depth': Wording(
        train=(
            'Is {the:x} in front of or behind {the:y}' + SEEN + '?',
            '[Tell me|Say] whether {the:x} is in front of {the:y} or behind it.',
            'Do you see {the:x} in front of {the:y} or behind it?',
            'Does {the:x} lie in front of or behind {the:y}?',
            'From {the:y}, is {the:x} in front or behind?',
            '{n:x} in front of or behind {n:y}?',
        ),
        heldout=(
            'In [the picture|the image], is {the:x} in front of or behind {the:y}?',
            'Tell me: does {the:x} lie in front of {the:y} or behind it?',
            'Where is {the:x}: in front of {the:y} or behind it?',
        ),
    ),
    'weather': Wording(
        train=(
            '[What is|What do you see as|How is] the weather' + SEEN + '?',
            'What [kind of weather|weather] [is it|do you see]?',
            '[Tell me|Say|Name] the weather' + SEEN + '.',
            'What is the weather like?',
            '[Weather|What weather]?',
            'How does the weather look' + SEEN + '?',
        ),
        heldout=(
            'In [the picture|the image|this frame], what is the weather?',
            'Tell me how the weather is.',
            'What does the weather look like?',
        ),
    ),
    'time': Wording(
        train=(
            'Is it day or night' + SEEN + '?',
            'What time of day is it' + SEEN + '?',
            '[Tell me|Say] whether it is day or night.',
            'Do you see day or night' + SEEN + '?',
            '[Day or night|Time of day]?',
            'Does the [picture|image|frame] show day or night?',
        ),
        heldout=(
            'In [the picture|the image|this frame], is it day or night?',
            'Tell me the time of day.',
            'Would you say it is day or night?',
        ),
    ),
    'is clear': _state('[clear|dry and clear]', 'the weather', 'weather'),
    'is rain': _state('[raining|rainy]'),
    'is fog': _state('[foggy|misty]'),
    'is night': _state('[night|dark|night time]'),
    'is day': _state('[day|day time|daylight]'),
    'light': Wording(
        train=(
            '[What|Which] colour is [the traffic light|the traffic signal|the light]' + SEEN + '?',
            '[What does|Which colour does] the traffic [light|signal] show?',
            '[Tell me|Name|Say] the [colour|state] of the traffic [light|signal].',
            'What is the state of the traffic [light|signal]?',
            'Traffic light [state|colour]?',
            'Is the traffic light red, yellow or green?',
        ),
        heldout=(
            'In [the picture|the image], what colour is the traffic light?',
            'Tell me what the traffic light shows.',
            'The traffic light: which colour is it?',
        ),
    ),
    'light is': _state('{c}', '[the traffic light|the traffic signal|the light]', 'traffic light'),
    'sign': Wording(
        train=(
            '[What|Which|What kind of] [sign|traffic sign|road sign] [do you see|is there]'
            + SEEN
            + '?',
            '[What|Which] sign is [visible|in view]?',
            '[Tell me|Name|Say] which sign [you see|is there].',
            'What does the sign say?',
            '[Sign|Which traffic sign]?',
        ),
        heldout=(
            'In [the picture|the image], which sign do you see?',
            'Tell me what kind of sign there is.',
            'Do you see a sign, and which?',
        ),
    ),
    'lane free': Wording(
        train=(
            'Is [our lane|the lane ahead|the way ahead] [free|clear|empty]' + SEEN + '?',
            '[Do you see|Can you see] that our lane is [free|clear]?',
            '[Tell me if|Check whether|Say whether] [our lane|the lane ahead] is [free|clear].',
            '[Lane|Way] [free|clear]?',
        ),
        heldout=(
            'In [the picture|the image], is our lane free?',
            'Tell me: is the lane ahead free or not?',
            'Would you say our lane is clear?',
        ),
    ),
    'lane blocked': Wording(
        train=(
            'Is [our lane|the lane ahead|the way ahead] blocked' + SEEN + '?',
            'Is there [something|anything] in our lane' + SEEN + '?',
            '[Does something block|Is something blocking] [our lane|the lane ahead]?',
            '[Tell me if|Check whether|Say whether] [our lane|the lane ahead] is blocked.',
            '[Lane|Way] blocked?',
        ),
        heldout=(
            'In [the picture|the image], is our lane blocked?',
            'Tell me: is the lane ahead blocked or not?',
            'Can you see anything in our lane?',
        ),
    ),
    'what ahead': Wording(
        train=(
            'What is [in our lane|ahead in our lane|straight ahead of us]' + SEEN + '?',
            '[What blocks|What is blocking] [our lane|the lane ahead|the way]?',
            'What do you see [in our lane|straight ahead]?',
            '[Tell me|Say|Name] what is [in our lane|ahead of us].',
            'What is there in the lane ahead?',
        ),
        heldout=(
            'In [the picture|the image], what is in our lane?',
            'Our lane: what is in it?',
            'Tell me what blocks our lane.',
        ),
    ),
    'on crossing': Wording(
        train=(
            'Is [someone|somebody|anybody|a person|a pedestrian] on the [crossing|crosswalk]'
            + SEEN
            + '?',
            '[Do you see|Can you see] [someone|a person] on the [crossing|crosswalk]?',
            'Is [someone|somebody|a pedestrian] [crossing|walking across] the road?',
            '[Tell me if|Check whether] [somebody|a person] is on the crossing.',
            '[Anybody|Person|Pedestrian] on the crossing?',
        ),
        heldout=(
            'In [the picture|the image], is somebody on the crossing?',
            'Tell me: is a person on the crosswalk or not?',
            'Does the image show a pedestrian on the crossing?',
        ),
    ),
    'action': Wording(
        train=(
            'What should [the car|we|our car|the driver] do[ now| here|]?',
            '[Should we|Should the car|Should our car] stop, slow down or drive on?',
            '[Tell me|Say] what [to do|we should do][ now| here|].',
            '[What to do|What next][ now|]?',
            'How should [we|the driver] act[ now| here|]?',
        ),
        heldout=(
            'In this frame, what should we do?',
            'Tell me how the driver should act.',
            'What should the driver do next?',
        ),
    ),
    'should stop': Wording(
        train=(
            '[Should|Must] [the car|we|our car|the driver] stop[ now| here|]?',
            'Do we have to stop[ now| here|]?',
            '[Tell me if|Check whether|Say whether] [we|the driver] should stop[ here| now|].',
            'Is it right to stop[ here| now|]?',
            'Stop[ now| here]?',
        ),
        heldout=(
            'In this frame, should we stop?',
            'Tell me: should the car stop or not?',
            'Would you say we have to stop?',
        ),
    ),
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
    'hand open': _state('open', 'the [gripper|robot hand]', '[gripper|robot hand]'),
    'hand closed': _state('[closed|shut]', 'the [gripper|robot hand]', '[gripper|robot hand]'),
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
    'domain': Wording(
        train=(
            'What [kind of scene|scene|place] is this?',
            '[What|Which] [kind of scene|scene|place] [do you see|is in the picture]' + SEEN + '?',
            '[Tell me|Say|Name] [the kind of scene|the kind of place].',
            '[Is this|Do you see] a road or a table?',
            'Does the [picture|image|frame] show a road or a table?',
        ),
        heldout=(
            'In [the picture|the image], what kind of scene is this?',
            'Tell me: is this a road or a table?',
            'Would you say this is a road or a table?',
        ),
    ),
    'describe': Wording(
        train=(
            '[Describe|Describe to me] [the picture|the image|the scene|this frame|what you see].',
            'What [do you see|can you see]' + SEEN + '?',
            'What is in [the picture|the image|view]?',
            '[Tell me|Say] what [you see|is in the picture|the image shows].',
            'What does the [picture|image|camera|frame] show?',
        ),
        heldout=(
            'In this frame, what do you see?',
            'Describe what is in [the image|the picture].',
            'Tell me what the [camera|picture] shows.',
        ),
    ),
}
