"""How questions about roads are asked."""

from __future__ import annotations

from .grammar import SEEN, Wording, state_wording

ROAD_WORDINGS: dict[str, Wording] = {
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
    'is clear': state_wording('[clear|dry and clear]', 'the weather', 'weather'),
    'is rain': state_wording('[raining|rainy]'),
    'is fog': state_wording('[foggy|misty]'),
    'is night': state_wording('[night|dark|night time]'),
    'is day': state_wording('[day|day time|daylight]'),
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
    'light is': state_wording(
        '{c}', '[the traffic light|the traffic signal|the light]', 'traffic light'
    ),
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
}
