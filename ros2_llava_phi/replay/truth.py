"""What is true of a frame: from the questions file, a ground-truth file, or a topic's labels."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.bags.clock import Times, steady_stamps
from ros2_llava_phi.bags.ground_truth import GroundTruth, read_ground_truth
from ros2_llava_phi.bags.message_fields import MessageTypes, read_field
from ros2_llava_phi.bags.recorded_frame import RecordedFrame
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.bags.stamps import to_ns
from ros2_llava_phi.errors import BagError, QuestionsFileError, counted, described
from ros2_llava_phi.scoring.correctness import as_number

from .cameras import Cameras
from .questions import EXPECTED, AskedQuestion, Labels, QuestionsFile, as_answer

# What else a boolean is called, beside what YAML 1.1 has for it.
TRUE, FALSE = ('true', 'yes', 'y', 'on', '1'), ('false', 'no', 'n', 'off', '0')
# Where the header of a message stands, if it has one.
HEADER = 'header'

NEVER = 'can never be the answer to'

# Of a topic with labels, no larger share may be damaged.
MOST_DAMAGED = 0.5


class Truths:
    """The right answers to the questions of a file about the frames of one recording."""

    def __init__(self, questions: QuestionsFile, recording: Recording, cameras: Cameras) -> None:
        """Read whatever labels there are; raises an error with a sentence if they cannot be."""
        self._questions, self._cameras = questions.questions, cameras
        path = questions.ground_truth
        self._beside = read_ground_truth(path) if path else GroundTruth({})
        for question in self._questions:
            for answer in map(question.spelled, self._beside.answers(question.question)):
                if not question.can_be(answer):
                    raise QuestionsFileError(
                        f'{path}: {described(answer)} {NEVER} {question.question!r}: '
                        f'{EXPECTED[question.kind]}'
                    )
        topics = {each.labels.topic for each in self._questions if each.labels}
        found = {topic: LabelMessages(topic, recording) for topic in sorted(topics)}
        self._tracks = {
            index: LabelTrack(each, each.labels, found[each.labels.topic])
            for index, each in enumerate(self._questions)
            if each.labels
        }
        for index, track in self._tracks.items():
            if track.unfit:
                recording.lose(
                    f'{track.unfit} of {counted(track.count, "label")} can be no answer to '
                    f'question {index + 1} and count for nothing, such as '
                    f'{described(track.unfit_value)}'
                )

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
                return (question.spelled(beside),)
        return ()


class LabelMessages:
    """
    The messages with labels of one topic, in the order of recording.

    times, stamps: of each, nanoseconds by clocks that do not jump; no stamps where none has any.
    """

    def __init__(self, topic: str, recording: Recording) -> None:
        """Read the whole topic; raises BagError where there is none, or too much is damaged."""
        channels = [each for each in recording.channels if each.topic == topic]
        # A topic with pictures may carry labels of another type.
        channels = [each for each in channels if not each.has_pictures] or channels
        if not channels:
            topics = dict.fromkeys(each.topic for each in recording.channels)
            raise BagError(
                f'{recording.path} has no topic {topic} with labels; '
                f'its topics: {", ".join(topics)}'
            )
        types, readable, unknown = MessageTypes(), [], []
        for channel in channels:
            try:
                types.learn(channel)
                readable.append(channel)
            except BagError as error:
                unknown.append(error)
        if not readable:
            raise unknown[0]
        for each in unknown:
            recording.lose(str(each))
        self.messages: list[Any] = []
        times, damages = [], []
        for raw in recording.messages(readable):
            try:
                self.messages.append(types.deserialise(raw))
            except BagError as error:
                damages.append(error)
            else:
                times.append(raw.time_ns)
        count = len(self.messages) + len(damages)
        if len(damages) > MOST_DAMAGED * count:
            raise BagError(
                f'{recording.path}: {len(damages)} of {counted(count, "message")} on {topic} are '
                f'damaged; the first: {damages[0]}'
            )
        if damages:
            recording.lose(f'{len(damages)} of {counted(count, "message")} on {topic} are damaged')
        self.times = np.array(times, np.int64)
        self.stamps = np.array([_stamp_ns(each) for each in self.messages], np.int64)
        if self.stamps.any():
            self.stamps = steady_stamps(self.stamps, self.times).times
        else:
            self.stamps = self.stamps[:0]


class LabelTrack:
    """
    The labels for one question over one recording, by time.

    count: how many there are. unfit: how many of them can be no answer to the question, and so
    say nothing; unfit_value: the first of those.
    """

    def __init__(self, question: AskedQuestion, labels: Labels, found: LabelMessages) -> None:
        """
        Take the labels out of messages.

        Raises QuestionsFileError where no field is there, and where none can be an answer.
        """
        self._within_ns = labels.within_s * 1e9
        self.count = self.unfit = 0
        self.unfit_value = ''
        self._answers: list[tuple[str, ...]] = []
        kept, wrong = [], []
        for number, message in enumerate(found.messages):
            try:
                values = read_field(message, labels.field)
            except QuestionsFileError as error:
                # The topic may carry another type as well, which has no labels.
                wrong.append(error)
                continue
            answers = [_answer(value, question.kind, labels.values) for value in values]
            answers = [question.spelled(answer) for answer in answers if answer]
            # Ten objects of one label are not ten people.
            self._answers.append(tuple(dict.fromkeys(filter(question.can_be, answers))))
            kept.append(number)
            self._count(question, answers)
        if wrong and not kept:
            raise wrong[0]
        if self.unfit and self.unfit == self.count:
            raise QuestionsFileError(
                f'{labels.topic}: {labels.field} is {described(self.unfit_value)}, which {NEVER} '
                f'{question.question!r}: {EXPECTED[question.kind]}; `values` in labels says which '
                f'answer a value stands for'
            )
        self._by_time = _Nearest(found.times[kept])
        self._by_stamp = _Nearest(found.stamps[kept] if len(found.stamps) else found.stamps)

    def _count(self, question: AskedQuestion, answers: Sequence[str]) -> None:
        self.count += len(answers)
        unfit = [each for each in answers if not question.can_be(each)]
        self.unfit += len(unfit)
        self.unfit_value = self.unfit_value or next(iter(unfit), '')

    def answers(self, frame: RecordedFrame) -> tuple[str, ...]:
        """Return the acceptable answers about a frame; none where no label is near in time."""
        if len(self._by_stamp) and frame.steady_stamp_ns:
            nearest = self._by_stamp.find(frame.steady_stamp_ns, self._within_ns)
        else:
            nearest = self._by_time.find(frame.message.time_ns, self._within_ns)
        return () if nearest is None else self._answers[nearest]


class _Nearest:
    """Times, among which the nearest is looked for."""

    def __init__(self, times: Times) -> None:
        self._order = np.argsort(times, kind='stable')
        self._times = times[self._order]

    def __len__(self) -> int:
        return len(self._times)

    def find(self, time_ns: int, within_ns: float) -> int | None:
        """Return the place of the nearest time, None where none is near."""
        after = int(np.searchsorted(self._times, time_ns))
        near = [place for place in (after - 1, after) if 0 <= place < len(self._times)]
        nearest = min(near, key=lambda place: abs(int(self._times[place]) - time_ns), default=None)
        if nearest is None or abs(int(self._times[nearest]) - time_ns) > within_ns:
            return None
        return int(self._order[nearest])


def _stamp_ns(message: Any) -> int:
    stamp = getattr(getattr(message, HEADER, None), 'stamp', None)
    # What a robot's own types call a header may be anything.
    return to_ns(stamp) if hasattr(stamp, 'sec') and hasattr(stamp, 'nanosec') else 0


def _answer(value: Any, kind: Kind, names: Mapping[str, str]) -> str:
    """Return the answer that a value stands for; empty for none."""
    value = value.item() if hasattr(value, 'item') else value
    if names:
        return next((answer for name, answer in names.items() if _is_named(value, name)), '')
    if isinstance(value, float) and math.isnan(value):
        # Nothing was measured.
        return ''
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
