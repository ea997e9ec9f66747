"""A question: what is asked, what form the answer must have, and how the model is asked it."""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from ros2_llava_phi.errors import QuestionError

LONGEST_QUESTION = 1000
MOST_CHOICES = 26
LONGEST_CHOICE = 200
# LLaVA-1.5's wording for short answers (Liu et al., arXiv 2310.03744).
SHORT_ANSWER = 'Answer the question using a single word or phrase.'


class Kind(IntEnum):
    """Kinds of question; the numbers are those of Ask.srv."""

    FREE_TEXT = 0
    YES_NO = 1
    CHOICE = 2
    NUMBER = 3


KindName = Literal['text', 'yes_no', 'choice', 'number']
# What kinds are called in files and in Python, and by people.
KIND_NAMES: dict[Kind, KindName] = {
    Kind.FREE_TEXT: 'text',
    Kind.YES_NO: 'yes_no',
    Kind.CHOICE: 'choice',
    Kind.NUMBER: 'number',
}
KIND_WORDS = {
    Kind.FREE_TEXT: 'free text',
    Kind.YES_NO: 'yes or no',
    Kind.CHOICE: 'a choice',
    Kind.NUMBER: 'a number',
}


@dataclass(frozen=True)
class Sampling:
    """
    How the tokens of a free text are drawn.

    temperature: divides the logits, more than 0; the lower, the likelier the text.
    top_p: draw among the likeliest tokens that together have this probability, 0..1 (Holtzman et
    al., arXiv 1904.09751).
    seed: of the random numbers; the same one gives the same text.

    Raises QuestionError where these do not hold.
    """

    temperature: float = 0.7
    top_p: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        if not 0 < self.temperature < math.inf:
            raise QuestionError(
                f'temperature is {self.temperature}; it must be a finite number above 0'
            )
        if not 0 < self.top_p <= 1:
            raise QuestionError(f'top_p is {self.top_p}; it must be above 0 and at most 1')
        if self.seed < 0:
            raise QuestionError(f'seed is {self.seed}; it must not be negative')


@dataclass(frozen=True)
class Question:
    """
    One question, checked.

    text: 1 to `longest` characters in plain language.
    choices: for CHOICE, the 2 to 26 different answers to choose from, of at most 200 characters;
    else empty.
    max_tokens: the most tokens of a free-text answer.
    sampling: how its tokens are drawn; None takes the likeliest each time.
    longest: the most characters of the text; benchmarks ask more than a robot's users may.

    Raises QuestionError where these do not hold.
    """

    text: str
    kind: Kind = Kind.FREE_TEXT
    choices: tuple[str, ...] = ()
    max_tokens: int = 128
    sampling: Sampling | None = None
    longest: int = LONGEST_QUESTION

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if not self.text.strip():
            raise QuestionError('the question is empty; ask something in plain language')
        _check_unicode('question', self.text)
        if len(self.text) > self.longest:
            raise QuestionError(
                f'the question has {len(self.text)} characters; at most {self.longest} fit'
            )
        if self.max_tokens < 1:
            raise QuestionError(f'max_tokens is {self.max_tokens}; it must be at least 1')
        if self.sampling is not None and self.kind != Kind.FREE_TEXT:
            raise QuestionError(
                f'a question of kind {self.kind.name} is not answered by sampling; leave it out'
            )
        if self.kind == Kind.CHOICE:
            _check_choices(self.choices)
        elif self.choices:
            raise QuestionError(
                f'a question of kind {self.kind.name} takes no choices; '
                f'ask it as CHOICE, or leave the {len(self.choices)} choices out'
            )


def request_text(question: Question) -> str:
    """Return a question as the model was trained to be asked: with what form the answer has."""
    if question.kind == Kind.FREE_TEXT:
        return question.text
    if question.kind == Kind.CHOICE:
        return f'{question.text}\nAnswer with one of: {", ".join(question.choices)}.'
    return f'{question.text}\n{SHORT_ANSWER}'


def parse_kind(value: int) -> Kind:
    """Return the kind with that number; raises QuestionError for any other number."""
    try:
        return Kind(value)
    except ValueError:
        known = ', '.join(f'{kind.value} ({kind.name})' for kind in Kind)
        raise QuestionError(f'there is no kind {value} of question; kinds: {known}') from None


def kind_named(name: str) -> Kind:
    """Return the kind of that name; raises QuestionError for any other name."""
    for kind, known in KIND_NAMES.items():
        if name == known:
            return kind
    known_names = ', '.join(KIND_NAMES.values())
    raise QuestionError(f'there is no kind {name!r} of question; kinds: {known_names}')


def _check_unicode(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise QuestionError(f'the {what} {text!r} is no Unicode text; write it in UTF-8') from None


def _check_choices(choices: tuple[str, ...]) -> None:
    if not 2 <= len(choices) <= MOST_CHOICES:
        raise QuestionError(
            f'a CHOICE question has {len(choices)} choices; it needs 2 to {MOST_CHOICES}'
        )
    for choice in choices:
        _check_unicode('choice', choice)
    stripped = [choice.strip() for choice in choices]
    if '' in stripped:
        raise QuestionError(f'choice {stripped.index("") + 1} is empty; every choice needs a text')
    if (longest := max(map(len, stripped))) > LONGEST_CHOICE:
        raise QuestionError(f'a choice has {longest} characters; at most {LONGEST_CHOICE} fit')
    if len(set(stripped)) < len(stripped):
        twice = next(choice for choice in stripped if stripped.count(choice) > 1)
        raise QuestionError(f'the choice {twice!r} stands twice; choices must differ')
