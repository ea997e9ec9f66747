"""A question: what is asked, what form the answer must have, and how the model is asked it."""

import math
import operator
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum
from numbers import Real
from typing import Any, Literal

from ros2_llava_phi.errors import QuestionError, counted, described

LONGEST_QUESTION = 1000
MOST_CHOICES = 26
LONGEST_CHOICE = 200
MOST_TOKENS = 128  # of a free text, where nothing else is said
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
        for name in ('temperature', 'top_p'):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real):
                raise QuestionError(f'{name} is a number, not {described(value)}')
            object.__setattr__(self, name, _as_float(value))
        object.__setattr__(self, 'seed', _whole_number('seed', self.seed))
        if not 0 < self.temperature < math.inf:
            raise QuestionError(
                f'temperature is {self.temperature}; it must be a finite number above 0'
            )
        if not 0 < self.top_p <= 1:
            raise QuestionError(f'top_p is {self.top_p}; it must be above 0 and at most 1')
        if self.seed < 0:
            raise QuestionError(f'seed is {described(self.seed)}; it must not be negative')


@dataclass(frozen=True, init=False)
class Question:
    """
    One question, checked.

        Question('Is there a car?', 'yes_no')
        Question('Which is nearest?', Kind.CHOICE, ['the bus', 'the car'])
        Question('What is ahead?', max_tokens=40, sampling=Sampling(seed=1))

    text: 1 to `longest` characters in plain language.
    kind: also given by its name, in any case, or its number.
    choices: for CHOICE, the 2 to 26 different answers to choose from, of at most 200 characters;
    else empty.
    max_tokens: the most tokens of a free-text answer.
    sampling: how its tokens are drawn; None takes the likeliest each time.
    longest: the most characters of the text; benchmarks ask more than a robot's users may.

    Raises QuestionError where these do not hold.
    """

    text: str
    kind: Kind
    choices: tuple[str, ...]
    max_tokens: int
    sampling: Sampling | None
    longest: int

    def __init__(
        self,
        text: str,
        kind: Kind | str | int = Kind.FREE_TEXT,
        choices: Sequence[str] = (),
        max_tokens: int = MOST_TOKENS,
        sampling: Sampling | None = None,
        longest: int = LONGEST_QUESTION,
    ) -> None:
        """Bring what is given into form; refuse what cannot be asked."""
        kind, longest = parse_kind(kind), _whole_number('longest', longest)
        given = {
            'text': _checked_text(text, longest),
            'kind': kind,
            'choices': _checked_choices(choices) if kind == Kind.CHOICE else _texts(choices),
            'max_tokens': _whole_number('max_tokens', max_tokens),
            'sampling': sampling,
            'longest': longest,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)
        if self.max_tokens < 1:
            raise QuestionError(
                f'max_tokens is {described(self.max_tokens)}; it must be at least 1'
            )
        if sampling is not None and not isinstance(sampling, Sampling):
            raise QuestionError(
                f'sampling is a Sampling, such as Sampling(temperature=0.7, seed=1), '
                f'not {described(sampling)}'
            )
        if sampling is not None and kind != Kind.FREE_TEXT:
            raise QuestionError(
                f'a question of kind {kind.name} is not answered by sampling; leave it out'
            )
        if self.choices and kind != Kind.CHOICE:
            raise QuestionError(
                f'a question of kind {kind.name} takes no choices; '
                f'ask it as CHOICE, or leave the {counted(len(self.choices), "choice")} out'
            )


def to_question(
    question: str | Question,
    kind: Kind | str | int | None = None,
    choices: Sequence[str] | None = None,
    max_tokens: int | None = None,
    sampling: Sampling | None = None,
) -> Question:
    """
    Return a question of what was given: one that is made already, or a text and what goes with it.

    Raises QuestionError where it cannot be asked, and for a Question with anything beside it.
    """
    given = {'kind': kind, 'choices': choices, 'max_tokens': max_tokens, 'sampling': sampling}
    beside: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not isinstance(question, Question):
        return Question(question, **beside)
    if beside:
        raise QuestionError(
            f'{" and ".join(beside)} cannot be given beside a Question, which has its own, here '
            f'{described(question.text)}; give it to the Question, or ask a text'
        )
    return question


def request_text(question: Question) -> str:
    """Return a question as the model was trained to be asked: with what form the answer has."""
    if question.kind == Kind.FREE_TEXT:
        return question.text
    if question.kind == Kind.CHOICE:
        return f'{question.text}\nAnswer with one of: {", ".join(question.choices)}.'
    return f'{question.text}\n{SHORT_ANSWER}'


def parse_kind(given: Kind | str | int) -> Kind:
    """Return the kind of that name, in any case, or number; raises QuestionError for others."""
    for kind, name in KIND_NAMES.items():
        if isinstance(given, str) and given.lower() in (name, kind.name.lower()):
            return kind
    number = _integer(given)
    if number is not None and number in list(Kind):
        return Kind(number)
    known = ', '.join(f'{name} ({kind.value})' for kind, name in KIND_NAMES.items())
    raise QuestionError(f'there is no kind {described(given)} of question; kinds: {known}')


def _integer(given: object) -> int | None:
    """Return a whole number of any type as an int; None for anything else, True and False too."""
    if isinstance(given, bool) or not hasattr(given, '__index__'):
        return None
    try:
        return operator.index(given)
    except TypeError:  # an array of other than one number
        return None


def _as_float(number: Real) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf


def _whole_number(name: str, given: object) -> int:
    number = _integer(given)
    if number is None:
        raise QuestionError(f'{name} is a whole number, not {described(given)}')
    return number


def _checked_text(given: str, longest: int) -> str:
    if not isinstance(given, str):
        raise QuestionError(
            f'a question is a text, such as {"Is there a car?"!r}, not {described(given)}'
        )
    text = str.__str__(given)
    if not text.strip():
        raise QuestionError('the question is empty; ask something in plain language')
    _check_unicode('question', text)
    if len(text) > longest:
        raise QuestionError(f'the question has {len(text)} characters; at most {longest} fit')
    return text


def is_unicode(text: str) -> bool:
    """Return whether a text can be written in UTF-8: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_unicode(what: str, text: str) -> None:
    if not is_unicode(text):
        raise QuestionError(f'the {what} {described(text)} is no Unicode text; write it in UTF-8')


def _texts(given: Sequence[str]) -> tuple[str, ...]:
    """Return choices as they come in a list, a tuple, or any other sequence of texts."""
    unfit = isinstance(given, (str, bytes, Mapping, Set)) or not hasattr(given, '__getitem__')
    try:
        choices = None if unfit else tuple(given)
    except TypeError:  # an array without an axis
        choices = None
    if choices is None or not all(isinstance(choice, str) for choice in choices):
        wrong = next((each for each in choices or () if not isinstance(each, str)), given)
        raise QuestionError(
            f"choices are a list of texts, such as ['red', 'green'], not {described(wrong)}"
            + ('' if wrong is given else f' in {described(given)}')
        )
    return tuple(str.__str__(choice) for choice in choices)


def _checked_choices(given: Sequence[str]) -> tuple[str, ...]:
    choices = _texts(given)
    if not 2 <= len(choices) <= MOST_CHOICES:
        has = counted(len(choices), 'choice')
        raise QuestionError(f'a CHOICE question has {has}; it needs 2 to {MOST_CHOICES}')
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
    return choices
