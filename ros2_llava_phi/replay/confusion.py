"""What is answered where what is true: a confusion matrix."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from ros2_llava_phi.assistant.answer import CANNOT_TELL

from .marking import is_scored, said
from .record import Record


class Confusion(BaseModel):
    """
    counts[truth][answer]: how often an answer was given where a truth held.

    truths, answers: the names of rows and columns.
    """

    model_config = ConfigDict(frozen=True)

    truths: tuple[str, ...]
    answers: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def confusion_of(records: Sequence[Record]) -> Confusion | None:
    """Return the matrix of records of one closed question, where one answer alone is right."""
    # Whose words differ only in case are the same, as they are when marked.
    closed = [each for each in records if is_scored(each) and each.allowed]
    names = [name for each in closed for name in (*each.allowed, CANNOT_TELL)]
    spelling = {name.casefold(): name for name in reversed(names)}
    pairs = [
        (spelling.get(each.truth[0].casefold(), each.truth[0]), said(each))
        for each in closed
        if len(each.truth) == 1
    ]
    order = [name for name in dict.fromkeys(names) if name != CANNOT_TELL]
    return confusion(pairs, [*order, CANNOT_TELL])


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
