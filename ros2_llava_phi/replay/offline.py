"""Ask straight through the assistant, as fast as it goes, with the same answers every time."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache

import numpy as np

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Question
from ros2_llava_phi.assistant.view import View
from ros2_llava_phi.bags.recorded_frame import RecordedFrame
from ros2_llava_phi.errors import FrameError, QuestionError

from .asking import Asking
from .record import Key, Record, answered, refused

GREY = 128
Shape = tuple[int, ...]


class BlankPicture:
    """
    The blank-image control: what the model says to a question when the picture is plain grey.

    Of every shape, a grey picture is looked at once, and asked each question once.
    """

    def __init__(self, assistant: Assistant) -> None:
        """Take the assistant that answers."""
        self._assistant = assistant
        self._view = cache(self._look)
        self.answer = cache(self._answer)

    def _answer(self, question: Question, shape: Shape) -> str:
        """
        Return the answer to a question about a grey picture of some shape.

        Of a closed question that is the likeliest answer, even where the model would rather
        abstain: the control is about what it would guess.
        """
        return self._assistant.ask(self._view(shape), question).likeliest

    def _look(self, shape: Shape) -> View:
        return self._assistant.look(Frame(np.full(shape, GREY, np.uint8)), check=False)


def replay_offline(
    asking: Asking,
    assistant: Assistant,
    blank: BlankPicture | None = None,
    already: Collection[Key] = (),
    on_frame: Callable[[RecordedFrame, list[int]], None] = lambda frame, due: None,
) -> Iterator[list[Record]]:
    """
    Yield, frame by frame, a record for each question that is due.

    A frame is decoded and looked at once, whatever it is asked, and not at all if nothing is. Its
    questions are asked together.

    already: keys of the records that are there, which are not asked for again.
    on_frame: hears of every frame, and of the indices of the questions due for it.

    Raises BagError and others of ours, each with a sentence.
    """
    for frame, due in asking.frames():
        on_frame(frame, due)
        records = [asking.record(index, frame) for index in due]
        records = [each for each in records if each.key not in already]
        if records:
            yield _answers(asking, records, frame, assistant, blank)


def _answers(
    asking: Asking,
    records: Sequence[Record],
    recorded: RecordedFrame,
    assistant: Assistant,
    blank: BlankPicture | None,
) -> list[Record]:
    try:
        frame = recorded.frame()
    except FrameError as error:
        return [refused(record, 'BAD_FRAME', str(error)) for record in records]
    questions = [asking.questions[record.entry - 1].to_question() for record in records]
    filled = []
    for record, answer in zip(
        records, assistant.ask_all(assistant.look(frame), questions), strict=True
    ):
        if isinstance(answer, QuestionError):
            filled.append(refused(record, 'INVALID_QUESTION', str(answer)))
            continue
        guess = blank.answer(answer.question, frame.image.shape) if blank else None
        filled.append(answered(record, answer).model_copy(update={'when_blank': guess}))
    return filled
