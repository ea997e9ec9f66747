"""A robot as a live replay sees it: cameras that a recording is played to, a clock, answers."""

from dataclasses import dataclass
from typing import Protocol

from ros2_llava_phi.assistant.answer import Answer
from ros2_llava_phi.assistant.question import Question
from ros2_llava_phi.bags.bag import RawMessage


@dataclass(frozen=True)
class PlayedCamera:
    """
    A camera of a recording that is played.

    topic, type: on which it publishes what.
    names: all that it is called; a node may call it otherwise.
    """

    topic: str
    type: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Response:
    """
    What a node responded.

    answer: None where there is none; `error` and `error_text` then say why.
    error: name of the code as in Ask.srv, NO_RESPONSE, or OTHER_CAMERA.
    stamp_ns: of the frame that was looked at.
    frame_age: its age in seconds when it was picked, by the recording's clock.
    queue: seconds spent waiting for the model.
    """

    answer: Answer | None
    error: str = ''
    error_text: str = ''
    stamp_ns: int = 0
    frame_age: float = 0.0
    queue: float = 0.0


class Robot(Protocol):
    """A node, its cameras and its clock, to which a recording is played."""

    @property
    def plays(self) -> bool:
        """Return whether it is played from here, by a clock that does not jump."""

    def begin(self) -> None:
        """Begin another recording."""

    def wait_for(self, time_ns: int) -> None:
        """Return when the recording's time has come."""

    def show(self, message: RawMessage) -> None:
        """Publish a camera's message, with its own stamp."""

    def idle(self) -> None:
        """Let a moment pass."""

    def ask(self, question: Question, topic: str, oldest_stamp_ns: int) -> Response:
        """
        Ask about a frame at least as new as that stamp, of the camera on a topic.

        Any number of threads may.
        """
