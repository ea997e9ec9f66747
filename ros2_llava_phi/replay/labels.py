"""Labels that a recording carries itself: a topic's values over time."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.bags.field_path import read_field
from ros2_llava_phi.bags.frames import RecordedFrame
from ros2_llava_phi.bags.message_types import MessageTypes
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.errors import BagError

from .questions import Labels, as_answer

# Where the header of a message stands, if it has one.
HEADER = 'header'


class LabelTrack:
    """The labels for one question over one recording, by time."""

    def __init__(self, labels: Labels, kind: Kind, recording: Recording) -> None:
        """Read the whole topic; raises BagError or FieldPathError where that leads nowhere."""
        if labels.topic not in recording.topics:
            raise BagError(
                f'{recording.path} has no topic {labels.topic} with labels; '
                f'its topics: {", ".join(recording.topics)}'
            )
        self._within_ns = labels.within_s * 1e9
        types = MessageTypes({labels.topic: recording.topics[labels.topic]})
        found = []
        self._by_stamp = False
        for raw in recording.messages([labels.topic]):
            message = types.deserialise(raw)
            stamp_ns = _stamp_ns(message)
            self._by_stamp |= stamp_ns != 0
            values = read_field(message, labels.field)
            answers = tuple(
                answer for value in values if (answer := _answer(value, kind, labels.values))
            )
            found.append((stamp_ns or raw.recorded_ns, answers))
        found.sort(key=lambda each: each[0])
        self._times = [time_ns for time_ns, _ in found]
        self._answers = [answers for _, answers in found]

    def answers(self, frame: RecordedFrame) -> tuple[str, ...]:
        """Return the acceptable answers about a frame; none where no label is near in time."""
        by_stamp = self._by_stamp and frame.message.stamp_ns
        at_ns = frame.message.stamp_ns if by_stamp else frame.message.recorded_ns
        after = bisect_left(self._times, at_ns)
        near = [index for index in (after - 1, after) if 0 <= index < len(self._times)]
        if not near:
            return ()
        nearest = min(near, key=lambda index: abs(self._times[index] - at_ns))
        if abs(self._times[nearest] - at_ns) > self._within_ns:
            return ()
        return self._answers[nearest]


def _stamp_ns(message: Any) -> int:
    header = getattr(message, HEADER, None)
    return 0 if header is None else header.stamp.sec * 10**9 + header.stamp.nanosec


def _answer(value: Any, kind: Kind, names: Mapping[str, str]) -> str:
    """Return the answer that a value stands for; empty for none."""
    value = value.item() if hasattr(value, 'item') else value
    if names:
        return names.get(str(value), '')
    if kind == Kind.YES_NO and isinstance(value, bool | int | float):
        return 'Yes' if value else 'No'
    return str(as_answer(value))
