"""The frames of a recording in their order, each with its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .bag_reader import CameraMessage, camera_message
from .raw_message import RawMessage
from .recording import Recording


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
