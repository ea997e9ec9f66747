"""What each frame of a recording is asked, with what is true: offline and live alike."""

from collections.abc import Iterator

from ros2_llava_phi.assistant.question import KIND_NAMES
from ros2_llava_phi.bags.keyframes import KeyframeSelection
from ros2_llava_phi.bags.recorded_frame import RecordedFrame
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.errors import FrameError

from .cameras import Cameras
from .questions import QuestionsFile, When
from .record import Record
from .truth import Truths


class Asking:
    """The questions of a file put to one recording."""

    def __init__(self, recording: Recording, questions: QuestionsFile) -> None:
        """Find the cameras and labels; raises errors with a sentence where there are none."""
        self.names = Cameras(questions, recording.image_topics(), recording.path)
        self.cameras = self.names.topics
        self.recording, self.file, self.questions = recording, questions, questions.questions
        self._truths = Truths(questions, recording, self.names)

    def frames(self) -> Iterator[tuple[RecordedFrame, list[int]]]:
        """Yield every frame of the cameras, with the indices of the questions due for it."""
        schedules = [_Schedule(each.when) for each in self.questions]
        for frame in self.recording.frames(self.cameras, self.file.significant_bits):
            due = [
                index
                for index, (camera, schedule) in enumerate(
                    zip(self.names.of_question, schedules, strict=True)
                )
                if camera == frame.camera and schedule.is_due(frame)
            ]
            yield frame, due

    def record(self, index: int, frame: RecordedFrame) -> Record:
        """Return the record of the question of that index about a frame, still without answer."""
        question = self.questions[index]
        return Record(
            recording=self.recording.name,
            camera=frame.camera,
            frame=frame.number,
            stamp_ns=frame.stamp_ns,
            at_s=frame.at_s,
            frame_id=frame.frame_id,
            entry=index + 1,
            question=question.question,
            kind=KIND_NAMES[question.kind],
            choices=question.choices,
            truth=self._truths.answers(index, frame),
        )


class _Schedule:
    """When one question is due, which may depend on the frames before."""

    def __init__(self, when: When) -> None:
        self._when = when
        self._waiting = sorted(when.at_s)
        self._is_blind = False
        self._choice = KeyframeSelection(
            rate_hz=1 / when.every_s if when.every_s else None, change=when.on_change or 0.0
        )

    def is_due(self, frame: RecordedFrame) -> bool:
        when = self._when
        if frame.at_s < when.from_s or (when.to_s is not None and frame.at_s >= when.to_s):
            return False
        if when.at_stamps_ns:
            return frame.stamp_ns in when.at_stamps_ns
        if when.at_s:
            passed = [at_s for at_s in self._waiting if at_s <= frame.at_s]
            self._waiting = self._waiting[len(passed) :]
            return bool(passed)
        if when.on_change:
            try:
                is_new = self._choice.is_new(frame.frame().image)
            except FrameError:
                # Of a row that nobody can see, the first is asked about, and the refusal recorded.
                is_new, self._is_blind = not self._is_blind, True
                return is_new
            self._is_blind = False
            return is_new
        return self._choice.is_due(frame.message.time_ns)
