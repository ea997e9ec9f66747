"""A moment of the drive at which something is asked."""

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
