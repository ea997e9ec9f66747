"""One line of results.jsonl: a question about a frame, what came of it, and if it is right."""

from dataclasses import astuple

from pydantic import BaseModel, ConfigDict

from ros2_llava_phi.assistant.answer import CANNOT_TELL, YES_NO, Answer, Timings
from ros2_llava_phi.assistant.question import KIND_NAMES, Kind, KindName
from ros2_llava_phi.scoring.correctness import acceptable, as_number, soft_score

# Recording, camera, the frame's place, and the question's place in its file.
Key = tuple[str, str, int, int]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class Live(_Frozen):
    """
    What a robot's client would see, in seconds.

    due: the place of the frame that was due; the answer may be about a later one.
    latency: from the question to the response; the longest wait where there was none.
    frame_age: of the frame when it was picked, by the recording's clock.
    queue: spent waiting for the model.
    """

    due: int
    latency: float
    frame_age: float = 0.0
    queue: float = 0.0


class Record(_Frozen):
    """
    One question about one frame.

    frame: the frame's place among those of its camera, from 0.
    at_s: seconds since the recording's start, by the time of recording.
    entry: the question's place in the questions file, from 1.
    value: bool for yes_no, the index of the choice for choice, a number for number, else None.
    probabilities: of `allowed`; what is missing to 1 is that the picture does not tell.
    truth: the acceptable answers; empty where nobody knows.
    when_blank: the answer to the same question about a grey picture, if it was asked.
    error, error_text: why there is no answer: a code's name as in Ask.srv, or in a live run
    NO_RESPONSE, SKIPPED, OTHER_CAMERA or OTHER_FRAME; and a sentence.
    live: None in an offline run.
    """

    recording: str
    camera: str
    frame: int
    stamp_ns: int
    at_s: float
    frame_id: str = ''
    entry: int
    question: str
    kind: KindName
    choices: tuple[str, ...] = ()
    text: str = ''
    value: bool | int | float | None = None
    confidence: float = 0.0
    allowed: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    abstain_reason: str = ''
    cut_short: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    model: str = ''
    truth: tuple[str, ...] = ()
    when_blank: str | None = None
    error: str = ''
    error_text: str = ''
    seconds: Timings = Timings()
    live: Live | None = None

    @property
    def key(self) -> Key:
        """Return what tells this record from all others of a run."""
        frame = self.frame if self.live is None else self.live.due
        return self.recording, self.camera, frame, self.entry

    @property
    def abstained(self) -> bool:
        """Return whether the assistant declined to answer."""
        return bool(self.abstain_reason)

    @property
    def total_s(self) -> float:
        """Return the seconds that the answer took: all stages, or a robot's wait."""
        if self.live is not None:
            return self.live.latency
        return sum(astuple(self.seconds))


def answered(asked: Record, answer: Answer) -> Record:
    """Return a record with what the assistant answered."""
    return asked.model_copy(
        update={
            'text': answer.text,
            'value': answer.value,
            'confidence': answer.confidence,
            'allowed': answer.allowed,
            'probabilities': answer.probabilities,
            'abstain_reason': answer.abstain_reason,
            'cut_short': int(answer.cut_short),
            'prompt_tokens': answer.prompt_tokens,
            'answer_tokens': answer.answer_tokens,
            'model': str(answer.model),
            'seconds': answer.timings,
        }
    )


def refused(record: Record, error: str, text: str) -> Record:
    """Return a record with the reason why there is no answer."""
    return record.model_copy(update={'error': error, 'error_text': text})


def said(record: Record) -> str:
    """Return what a record says, in the words of the truth."""
    return CANNOT_TELL if record.abstained else record.text


def is_scored(record: Record) -> bool:
    """Return whether a record has an answer, and a truth to compare it with."""
    return not record.error and bool(record.truth)


def allowed_answers(record: Record) -> tuple[str, ...]:
    """Return the answers that a closed question allows, given or not; none of an open one."""
    return YES_NO if record.kind == KIND_NAMES[Kind.YES_NO] else record.choices


def score(record: Record) -> float:
    """Return a scored record's soft score, 0..1; numbers are compared by their value."""
    if record.kind == KIND_NAMES[Kind.NUMBER] and not record.abstained:
        numbers = [number for each in record.truth if (number := as_number(each)) is not None]
        return float(record.value in numbers)
    return soft_score(said(record), record.truth, allowed_answers(record))


def is_right(record: Record) -> bool:
    """Return whether a scored record is right: as right as it can be to more than a half."""
    return score(record) > 0.5


def true_answer(record: Record) -> str:
    """
    Return the one answer that a scored record's is held against, of all that are acceptable.

    It is the one given where that is right; else the most frequent, of equals the first.
    """
    if is_right(record):
        return said(record)
    return acceptable(record.truth, allowed_answers(record))[0]


def right_when_blank(record: Record) -> bool:
    """Return whether the answer to the grey picture would have been right as well."""
    return (
        record.when_blank is not None
        and soft_score(record.when_blank, record.truth, allowed_answers(record)) > 0.5
    )
