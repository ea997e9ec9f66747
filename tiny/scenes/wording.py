"""
How questions are asked, and above all those about what stands where in any scene.

Held-out wordings use the words of train wordings, arranged anew.
"""

from __future__ import annotations

from .grammar import SEEN, Wording, relation_wording, state_wording
from .road_wording import ROAD_WORDINGS
from .table_wording import TABLE_WORDINGS

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
    'is near': state_wording('[near|close to us|nearby]', '{the:x}', '{n:x}'),
    'is far': state_wording('[far away|far|in the distance]', '{the:x}', '{n:x}'),
    'left of': relation_wording('[left of|to the left of|on the left of]'),
    'right of': relation_wording('[right of|to the right of|on the right of]'),
    'in front of': relation_wording('[in front of|nearer than|closer than]'),
    'behind': relation_wording('[behind|farther away than|farther than]'),
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
    **ROAD_WORDINGS,
    **TABLE_WORDINGS,
}
