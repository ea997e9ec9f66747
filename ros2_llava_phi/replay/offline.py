"""Ask straight through the assistant, as fast as it goes, with the same answers every time."""

from collections.abc import Callable, Collection, Iterator, Sequence

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.bags.frames import RecordedFrame
from ros2_llava_phi.errors import BagError, QuestionError

from .asking import Asking, Decoded
from .blank import BlankPicture
from .record import Key, Record, answered


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
    for frame, decoded, due in asking.frames():
        on_frame(frame, due)
        records = [asking.record(index, frame) for index in due]
        records = [each for each in records if each.key not in already]
        if records:
            yield _answers(asking, records, decoded, assistant, blank)


def _answers(
    asking: Asking,
    records: Sequence[Record],
    decoded: Decoded,
    assistant: Assistant,
    blank: BlankPicture | None,
) -> list[Record]:
    frame = decoded.frame
    if isinstance(frame, BagError):
        return [refused(record, 'BAD_FRAME', str(frame)) for record in records]
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


def refused(record: Record, error: str, text: str) -> Record:
    """Return a record with the reason why there is no answer."""
    return record.model_copy(update={'error': error, 'error_text': text})
