"""What is asked about the packaged drive, and when."""

from dataclasses import dataclass

from ros2_llava_phi.assistant.question import Kind


@dataclass(frozen=True)
class Moment:
    """
    One question, and when it is asked.

    at_s: seconds since the recording's first picture.
    max_frame_age_s: as in Ask.srv; 0 leaves it to the node.
    refused_with: the name of the error code that must come; empty where an answer must.
    remark: why this is worth asking, for the reader.
    """

    at_s: float
    question: str
    kind: Kind
    camera: str
    choices: tuple[str, ...] = ()
    max_frame_age_s: float = 0.0
    refused_with: str = ''
    remark: str = ''


ACTIONS = ('stop', 'slow down', 'drive on')
LIGHTS = ('red', 'yellow', 'green')
IN_LANE = ('car', 'truck', 'traffic cone', 'box')

MOMENTS = (
    Moment(1.0, 'Is there a car?', Kind.YES_NO, 'front'),
    Moment(2.5, 'What colour is the car?', Kind.FREE_TEXT, 'front'),
    Moment(4.0, 'Is there a truck?', Kind.YES_NO, 'front'),
    Moment(6.0, 'What colour is the car?', Kind.FREE_TEXT, 'rear', remark='the other camera'),
    Moment(9.0, 'What is the weather?', Kind.CHOICE, 'front', ('clear', 'rain', 'fog')),
    Moment(12.0, 'Is someone on the crossing?', Kind.YES_NO, 'front'),
    Moment(
        12.0,
        'What should the car do?',
        Kind.CHOICE,
        'front',
        ACTIONS,
        remark='asked at once: where the frame is still the same, it is not looked at again',
    ),
    Moment(
        15.5,
        'Is someone on the crossing?',
        Kind.YES_NO,
        'front',
        remark='asked again, after the scene has changed',
    ),
    Moment(20.6, 'How many cars are there?', Kind.NUMBER, 'rear'),
    Moment(26.0, 'What colour is the traffic light?', Kind.CHOICE, 'front', LIGHTS),
    Moment(27.5, 'What should the car do?', Kind.CHOICE, 'front', ACTIONS),
    Moment(
        30.0,
        'What colour is the traffic light?',
        Kind.CHOICE,
        'front',
        LIGHTS,
        remark='asked again, after the scene has changed',
    ),
    Moment(
        33.0,
        'Is there a car?',
        Kind.YES_NO,
        'left',
        refused_with='UNKNOWN_CAMERA',
        remark='must be refused: there is no such camera',
    ),
    Moment(39.0, 'Is there a stop sign?', Kind.YES_NO, 'front'),
    Moment(
        41.0,
        'Is our lane free?',
        Kind.YES_NO,
        'front',
        max_frame_age_s=0.0001,
        refused_with='STALE_FRAME',
        remark='must be refused: no frame is as fresh as a tenth of a millisecond',
    ),
    Moment(
        47.5,
        'What is the weather?',
        Kind.CHOICE,
        'front',
        ('clear', 'rain', 'fog'),
        remark='asked again, after the scene has changed',
    ),
    Moment(50.5, 'What is in our lane?', Kind.CHOICE, 'front', IN_LANE),
    Moment(51.0, 'Is our lane free?', Kind.YES_NO, 'front'),
    Moment(59.0, 'Is it day or night?', Kind.CHOICE, 'rear', ('day', 'night')),
    Moment(60.5, 'How many cars are there?', Kind.NUMBER, 'front'),
    Moment(63.0, 'Is there a car?', Kind.YES_NO, 'front', remark='something covers the lens'),
)
