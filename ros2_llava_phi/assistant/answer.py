"""An answer: text, typed value, confidence, timings, and the frame and model it came from."""

from dataclasses import dataclass
from enum import IntEnum

from .question import Question

# The allowed answers of a yes/no question, and what is said where the picture does not tell.
YES_NO = ('Yes', 'No')
CANNOT_TELL = 'cannot tell'


class CutShort(IntEnum):
    """Why a free text ends early; the numbers are those of Answer.msg."""

    COMPLETE = 0
    TOKEN_LIMIT = 1
    TIME_LIMIT = 2


@dataclass(frozen=True)
class Timings:
    """Seconds spent in each stage; zero for what an earlier question had done already."""

    encode: float = 0.0
    prefill_view: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answers: the fields of ModelInfo.msg."""

    name: str
    weights_hash: str
    engine: str
    precision: str
    device: str
    image_size: int
    image_tokens: int
    context_length: int

    def __str__(self) -> str:
        """Return `name@hash`, with the first 12 digits of the hash."""
        return f'{self.name}@{self.weights_hash[:12]}'


@dataclass(frozen=True)
class Answer:
    """
    One answer; fields as in Answer.msg.

    value: bool for YES_NO, the index of the choice for CHOICE, a float for NUMBER, None for free
    text and wherever the assistant abstained.
    allowed, probabilities: for YES_NO and CHOICE, every allowed answer and its calibrated
    probability; what is missing to 1 is the probability that the picture does not tell.
    abstain_reason: one sentence, empty if the assistant did not abstain.
    """

    question: Question
    text: str
    value: bool | int | float | None
    confidence: float
    timings: Timings
    prompt_tokens: int
    answer_tokens: int
    model: ModelIdentity
    allowed: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    abstain_reason: str = ''
    cut_short: CutShort = CutShort.COMPLETE

    @property
    def abstained(self) -> bool:
        """Return whether the assistant declined to answer."""
        return bool(self.abstain_reason)

    @property
    def likeliest(self) -> str:
        """Return the allowed answer of most probability, even if abstained; else the text."""
        if not self.allowed:
            return self.text
        return self.allowed[self.probabilities.index(max(self.probabilities))]
