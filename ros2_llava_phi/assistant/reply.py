"""
A reply, step by step: free text, or a number; closed_answers.py has those of a closed set.

Each says what it wants read, and is sent what the model expects to follow. So one runs alone, or
several together, whose steps the network takes at once.
"""

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from ros2_llava_phi.engine.engine import Floats, likeliest
from ros2_llava_phi.errors import OutOfTimeError
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.prompt import answer_text
from ros2_llava_phi.model.tokenizer import encode

from .answer import CutShort
from .question import Sampling

LONGEST_NUMBER = 12  # characters

_NUMBER_PIECE = re.compile(r' ?-?\d*\.?\d*')
_STARTED = re.compile(r' ?-?(\d+\.?\d*)?')
_COMPLETE = re.compile(r' ?-?\d+(\.\d+)?')


@dataclass(frozen=True)
class Step:
    """
    What a reply wants read.

    tokens: to read.
    behind: how many tokens of the reply, read before, stay in front of them.
    greedy: whether the likeliest token to follow is all that the reply will look at; an engine on
    a GPU then copies no logits.
    """

    tokens: tuple[int, ...]
    behind: int
    greedy: bool = False


@dataclass(frozen=True)
class Expected:
    """
    What the model expects to follow what it read.

    token, log_probability: the likeliest token, and the log of its probability.
    logits: float32 [vocab]; [0] behind a greedy step.
    """

    token: int
    log_probability: float
    logits: Floats

    @classmethod
    def of(cls, logits: Floats) -> 'Expected':
        """Return what logits [vocab] say."""
        return cls(*likeliest(logits), logits)


Result = TypeVar('Result')
Steps = Generator[Step, Expected, Result]


@dataclass(frozen=True)
class Reply:
    """
    What the model said to one question.

    value: a number, or the index into the closed set; None for text and abstentions.
    tokens: how many the model generated.
    said: the answer's tokens without the end of text.
    """

    text: str
    confidence: float
    value: int | float | None = None
    probabilities: tuple[float, ...] = ()
    tokens: int = 0
    said: tuple[int, ...] = ()
    abstained: bool = False
    cut_short: CutShort = CutShort.COMPLETE


@dataclass(frozen=True)
class Prompted:
    """
    A prompt that was read, and what the model expects to follow.

    room: how many tokens the model's context has left behind it.
    """

    config: ModelConfig
    tokenizer: Tokenizer
    expected: Expected
    room: int
    out_of_time: Callable[[], bool]

    @property
    def end_token(self) -> int:
        """Return the id of the token that ends every answer."""
        return self.config.text.eos_token_id

    @property
    def abstain_text(self) -> str | None:
        """Return what the model says when the picture does not tell, if it learned that."""
        return self.config.abstain_text

    def check_time(self) -> None:
        """Raise OutOfTimeError if the time is up."""
        check_time(self.out_of_time)


def check_time(out_of_time: Callable[[], bool]) -> None:
    """Raise OutOfTimeError if the time is up."""
    if out_of_time():
        raise OutOfTimeError('the time was up before there was an answer')


def softmax(logits: Floats) -> Floats:
    """Return the probabilities [N] of logits [N]."""
    exponentials = np.exp(logits - logits.max())
    probabilities: Floats = exponentials / exponentials.sum()
    return probabilities


def write_text(
    prompt: Prompted,
    max_tokens: int,
    on_text: Callable[[str], object],
    sampling: Sampling | None = None,
) -> Steps[Reply]:
    """
    Write free text token by token, the likeliest or drawn at random, until the model ends it.

    A text is cut short at `max_tokens`, at the end of the model's context, or when the time is
    up. on_text gets the pieces, never half a character. Raises OutOfTimeError if the time is up
    before the first token.
    """
    prompt.check_time()
    stream = DecodeStream(skip_special_tokens=True)
    room = min(max_tokens, prompt.room)
    text, log_probability = '', 0.0
    said: list[int] = []
    tokens = 0
    cut_short = CutShort.COMPLETE
    draw = _likeliest if sampling is None else _drawing(sampling)
    expected = prompt.expected
    while True:
        token, its_log = draw(expected)
        log_probability += its_log
        tokens += 1
        if token == prompt.end_token:
            break
        said.append(token)
        piece = stream.step(prompt.tokenizer, token) or ''
        piece = piece if text else piece.lstrip()
        text += piece
        if piece:
            on_text(piece)
        if tokens >= room:
            cut_short = CutShort.TOKEN_LIMIT
            break
        if prompt.out_of_time():
            cut_short = CutShort.TIME_LIMIT
            break
        expected = yield Step((token,), len(said) - 1, greedy=sampling is None)
    return Reply(
        text=text.strip(),
        confidence=float(np.exp(log_probability / tokens)),
        tokens=tokens,
        said=tuple(said),
        abstained=text.strip() == prompt.abstain_text,
        cut_short=cut_short,
    )


def _likeliest(expected: Expected) -> tuple[int, float]:
    return expected.token, expected.log_probability


def _drawing(sampling: Sampling) -> Callable[[Expected], tuple[int, float]]:
    """Return what draws the next token, with the log of its probability."""
    rng = np.random.default_rng(sampling.seed)

    def draw(expected: Expected) -> tuple[int, float]:
        logits = expected.logits
        # In double precision, and from the largest down: any temperature is large enough.
        wide = (logits - logits.max()).astype(np.float64)
        with np.errstate(over='ignore'):
            probabilities = np.exp(wide / sampling.temperature)
        probabilities /= probabilities.sum()
        order = np.argsort(-probabilities, kind='stable')
        before = np.cumsum(probabilities[order]) - probabilities[order]
        nucleus = order[(before < sampling.top_p) | (np.arange(len(order)) == 0)]
        shares = probabilities[nucleus]
        token = int(rng.choice(nucleus, p=shares / shares.sum()))
        return token, float(np.log(softmax(logits)[token]))

    return draw


class NumberTokens:
    """The tokens of a vocabulary that can be part of a decimal number."""

    def __init__(self, tokenizer: Tokenizer, end_token: int) -> None:
        """Look through the vocabulary once."""
        self._end = end_token
        pieces = {
            token: tokenizer.decode([token], skip_special_tokens=False)
            for token in range(tokenizer.get_vocab_size())
        }
        self._pieces = {
            token: piece
            for token, piece in pieces.items()
            if piece and _NUMBER_PIECE.fullmatch(piece)
        }

    def text(self, token: int) -> str:
        """Return the characters that a token adds to a number."""
        return self._pieces[token]

    def allowed(self, number: str) -> NDArray[np.int64]:
        """Return the ids that may follow what is there of a number: more digits, or the end."""
        ids = [
            token
            for token, piece in self._pieces.items()
            if _STARTED.fullmatch(number + piece) and len(number + piece) <= LONGEST_NUMBER
        ]
        if _COMPLETE.fullmatch(number):
            ids.append(self._end)
        return np.array(ids, np.int64)


def read_number(prompt: Prompted, numbers: NumberTokens) -> Steps[Reply]:
    """
    Decode a decimal number, digit by digit, or abstain where that is likelier than any number.

    The confidence is the probability of the number among all that the model might have said.
    Raises OutOfTimeError.
    """
    prompt.check_time()
    temperature = prompt.config.temperature
    probabilities = softmax(prompt.expected.logits / temperature)
    allowed = numbers.allowed('')
    token = int(allowed[probabilities[allowed].argmax()])
    if prompt.abstain_text is not None:
        abstain = encode(prompt.tokenizer, answer_text(prompt.abstain_text))
        if probabilities[abstain[0]] > probabilities[allowed].sum():
            confidence = float(probabilities[abstain[0]])
            return Reply(prompt.abstain_text, confidence, said=tuple(abstain), abstained=True)
    number, confidence = '', 1.0
    said: list[int] = []
    while token != prompt.end_token:
        number += numbers.text(token)
        confidence *= float(probabilities[token])
        said.append(token)
        if len(number) >= LONGEST_NUMBER:
            break
        prompt.check_time()
        expected = yield Step((token,), len(said) - 1)
        probabilities = softmax(expected.logits / temperature)
        allowed = numbers.allowed(number)
        token = int(allowed[probabilities[allowed].argmax()])
    value = float(number)
    return Reply(number.strip(), confidence, value, tokens=len(said), said=tuple(said))
