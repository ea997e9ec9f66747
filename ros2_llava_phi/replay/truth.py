"""What is true of a frame: from the questions file, a ground-truth file, or a topic's labels."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.bags.ground_truth import GroundTruth, read_ground_truth
from ros2_llava_phi.bags.message_fields import MessageTypes, read_field
from ros2_llava_phi.bags.recorded_frame import RecordedFrame
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.bags.stamps import to_ns
from ros2_llava_phi.errors import BagError
from ros2_llava_phi.scoring.correctness import as_number

from .cameras import Cameras
from .questions import Labels, QuestionsFile, as_answer

# What else a boolean is called, beside what YAML 1.1 has for it.
TRUE, FALSE = ('true', 'yes', 'y', 'on', '1'), ('false', 'no', 'n', 'off', '0')
# Where the header of a message stands, if it has one.
HEADER = 'header'


class Truths:
    """The right answers to the questions of a file about the frames of one recording."""

    def __init__(self, questions: QuestionsFile, recording: Recording, cameras: Cameras) -> None:
        """Read whatever labels there are; raises an error with a sentence if they cannot be."""
        self._questions, self._cameras = questions.questions, cameras
        path = questions.ground_truth
        self._beside = read_ground_truth(path) if path else GroundTruth({})
        self._tracks = {
            index: LabelTrack(each.labels, each.kind, recording)
            for index, each in enumerate(self._questions)
            if each.labels
        }

    def answers(self, index: int, frame: RecordedFrame) -> tuple[str, ...]:
        """Return the acceptable answers to the question of that index; none where nobody knows."""
        stamp_ns = frame.stamp_ns
        question = self._questions[index]
        for truth in question.truth:
            if truth.covers(stamp_ns, frame.at_s):
                return truth.answers
        if index in self._tracks:
            return self._tracks[index].answers(frame)
        for camera in self._cameras.names_of(frame.message.topic):
            if beside := self._beside.answer(camera, stamp_ns, question.question):
                return (beside,)
        return ()


class LabelTrack:
    """The labels for one question over one recording, by time."""

    def __init__(self, labels: Labels, kind: Kind, recording: Recording) -> None:
        """Read the whole topic; raises BagError or QuestionsFileError where that leads nowhere."""
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
            answers = [_answer(value, kind, labels.values) for value in values]
            # Ten objects of one label are not ten people.
            different = tuple(dict.fromkeys(answer for answer in answers if answer))
            found.append((stamp_ns or raw.recorded_ns, different))
        found.sort(key=lambda each: each[0])
        self._times = [time_ns for time_ns, _ in found]
        self._answers = [answers for _, answers in found]

    def answers(self, frame: RecordedFrame) -> tuple[str, ...]:
        """Return the acceptable answers about a frame; none where no label is near in time."""
        by_stamp = self._by_stamp and frame.stamp_ns
        at_ns = frame.stamp_ns if by_stamp else frame.message.recorded_ns
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
    return 0 if header is None else to_ns(header.stamp)


def _answer(value: Any, kind: Kind, names: Mapping[str, str]) -> str:
    """Return the answer that a value stands for; empty for none."""
    value = value.item() if hasattr(value, 'item') else value
    if names:
        return next((answer for name, answer in names.items() if _is_named(value, name)), '')
    if kind == Kind.YES_NO and isinstance(value, bool | int | float):
        return str(as_answer(bool(value)))
    return str(as_answer(value))


def _is_named(value: Any, name: str) -> bool:
    """Return whether a name, as it stands in the file, is that of a message's value."""
    if isinstance(value, bool):
        return name.casefold() in (TRUE if value else FALSE)
    if isinstance(value, int | float):
        return as_number(name) == value
    return name == str(value)
