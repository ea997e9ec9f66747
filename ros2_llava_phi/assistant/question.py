"""A question: what is asked, and what form the answer must have."""

from dataclasses import dataclass
from enum import IntEnum

LONGEST_QUESTION = 1000
MOST_CHOICES = 26


class Kind(IntEnum):
    """Kinds of question; the numbers are those of Ask.srv."""

    FREE_TEXT = 0
    YES_NO = 1
    CHOICE = 2
    NUMBER = 3


class QuestionError(ValueError):
    """A question that cannot be asked; the text says why, and what would be right."""


@dataclass(frozen=True)
class Question:
    """
    One question, checked.

    text: 1 to 1000 characters in plain language.
    choices: for CHOICE, the 2 to 26 different answers to choose from; else empty.
    max_tokens: the most tokens of a free-text answer.

    Raises QuestionError where these do not hold.
    """

    text: str
    kind: Kind = Kind.FREE_TEXT
    choices: tuple[str, ...] = ()
    max_tokens: int = 128

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if not self.text.strip():
            raise QuestionError('the question is empty; ask something in plain language')
        if len(self.text) > LONGEST_QUESTION:
            raise QuestionError(
                f'the question has {len(self.text)} characters; at most {LONGEST_QUESTION} fit'
            )
        if self.max_tokens < 1:
            raise QuestionError(f'max_tokens is {self.max_tokens}; it must be at least 1')
        if self.kind == Kind.CHOICE:
            _check_choices(self.choices)
        elif self.choices:
            raise QuestionError(
                f'a question of kind {self.kind.name} takes no choices; '
                f'ask it as CHOICE, or leave the {len(self.choices)} choices out'
            )


def parse_kind(value: int) -> Kind:
    """Return the kind with that number; raises QuestionError for any other number."""
    try:
        return Kind(value)
    except ValueError:
        known = ', '.join(f'{kind.value} ({kind.name})' for kind in Kind)
        raise QuestionError(f'there is no kind {value} of question; kinds: {known}') from None


def _check_choices(choices: tuple[str, ...]) -> None:
    if not 2 <= len(choices) <= MOST_CHOICES:
        raise QuestionError(
            f'a CHOICE question has {len(choices)} choices; it needs 2 to {MOST_CHOICES}'
        )
    stripped = [choice.strip() for choice in choices]
    if '' in stripped:
        raise QuestionError(f'choice {stripped.index("")} is empty; every choice needs a text')
    if len(set(stripped)) < len(stripped):
        twice = next(choice for choice in stripped if stripped.count(choice) > 1)
        raise QuestionError(f'the choice {twice!r} stands twice; choices must differ')
