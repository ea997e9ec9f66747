"""The frames of a recording in their order, each with its place, and cameras by their names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .bag_reader import CameraMessage, camera_message
from .questions import QuestionsFile
from .raw_message import RawMessage
from .recording import Recording


class CameraError(ValueError):
    """A camera that is not in a recording; the text lists those that are."""


@dataclass(frozen=True)
class RecordedFrame:
    """
    A frame, still as it was recorded.

    number: its place among the frames of its topic, from 0; the same in every reading.
    at_s: seconds since the recording's start, by the time of recording.
    """

    camera: str
    number: int
    at_s: float
    message: CameraMessage


def find_cameras(
    questions: QuestionsFile, topics: Mapping[str, str], path: Path
) -> tuple[dict[str, str], list[str]]:
    """
    Return the topic of each camera that is asked about, and the camera of each question.

    topics: those of the recording that carry pictures.

    Raises CameraError for a camera that the recording does not have.
    """
    asked_of: list[str] = []
    cameras: dict[str, str] = {}
    for number, question in enumerate(questions.questions, 1):
        name = question.camera or next(iter(questions.cameras), '')
        topic = _find_topic(name, questions.cameras, topics)
        if topic is None:
            wanted = f'no camera {name!r}' if name else 'more than one camera'
            if name in questions.cameras:
                wanted += f' (topic {questions.cameras[name]})'
            raise CameraError(
                f'{path} has {wanted} for question {number}; it has pictures on '
                f'{", ".join(topics)}'
            )
        name = name or topic
        cameras[name] = topic
        asked_of.append(name)
    return cameras, asked_of


def _find_topic(name: str, cameras: Mapping[str, str], topics: Mapping[str, str]) -> str | None:
    if not name:
        return next(iter(topics)) if len(topics) == 1 else None
    name = cameras.get(name, name)
    if name in topics:
        return name
    beginning = [topic for topic in topics if topic.strip('/').split('/')[0] == name]
    return beginning[0] if len(beginning) == 1 else None


def recorded_frames(recording: Recording, cameras: Mapping[str, str]) -> Iterator[RecordedFrame]:
    """Yield the frames of some cameras, given as name and topic, in the order of recording."""
    names = {topic: camera for camera, topic in cameras.items()}
    numbers = dict.fromkeys(cameras, 0)
    for raw in recording.messages(names):
        camera = names[raw.topic]
        number, numbers[camera] = numbers[camera], numbers[camera] + 1
        at_s = (raw.recorded_ns - recording.start_ns) / 1e9
        yield RecordedFrame(camera, number, at_s, _camera_message(raw))


def _camera_message(raw: RawMessage) -> CameraMessage:
    try:
        return camera_message(raw)
    except Exception:
        # Damaged bytes; that they are no picture comes out where the frame is looked at.
        return CameraMessage(raw.topic, raw.type, raw.recorded_ns, 0, '', raw.cdr)
