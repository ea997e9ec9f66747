"""What is true of a frame: from the questions file, a ground-truth file, or a topic's labels."""

from ros2_llava_phi.bags.frames import RecordedFrame
from ros2_llava_phi.bags.ground_truth import GroundTruth, read_ground_truth
from ros2_llava_phi.bags.recording import Recording

from .labels import LabelTrack
from .questions import QuestionsFile


class Truths:
    """The right answers to the questions of a file about the frames of one recording."""

    def __init__(self, questions: QuestionsFile, recording: Recording) -> None:
        """Read whatever labels there are; raises an error with a sentence if they cannot be."""
        self._questions = questions.questions
        path = questions.ground_truth
        self._beside = read_ground_truth(path) if path else GroundTruth({})
        self._tracks = {
            index: LabelTrack(each.labels, each.kind, recording)
            for index, each in enumerate(self._questions)
            if each.labels
        }

    def answers(self, index: int, frame: RecordedFrame) -> tuple[str, ...]:
        """Return the acceptable answers to the question of that index; none where nobody knows."""
        stamp_ns = frame.message.stamp_ns
        question = self._questions[index]
        for truth in question.truth:
            if truth.covers(stamp_ns, frame.at_s):
                return truth.answers
        if index in self._tracks:
            return self._tracks[index].answers(frame)
        beside = self._beside.answer(frame.camera, stamp_ns, question.question)
        return (beside,) if beside else ()
