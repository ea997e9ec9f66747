"""What is answered where what is true: a confusion matrix."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class Confusion(BaseModel):
    """
    counts[truth][answer]: how often an answer was given where a truth held.

    truths, answers: the names of rows and columns.
    """

    model_config = ConfigDict(frozen=True)

    truths: tuple[str, ...]
    answers: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def confusion(pairs: Sequence[tuple[str, str]], order: Sequence[str]) -> Confusion | None:
    """
    Count pairs of truth and answer.

    order: the names that come first, in this order; further ones follow in that of the alphabet.
    """
    if not pairs:
        return None
    counted = Counter(pairs)
    truths = _ordered({truth for truth, _ in pairs}, order)
    answers = _ordered({name for pair in pairs for name in pair}, order)
    counts = tuple(tuple(counted[truth, answer] for answer in answers) for truth in truths)
    return Confusion(truths=truths, answers=answers, counts=counts)


def _ordered(names: set[str], order: Sequence[str]) -> tuple[str, ...]:
    return tuple([each for each in order if each in names] + sorted(names - set(order)))
