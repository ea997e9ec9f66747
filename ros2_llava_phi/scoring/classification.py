"""Scores of closed answers: yes and no as POPE has them (arXiv 2305.10355); confusion."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class YesNoScores(BaseModel):
    """
    Shares 0..1 of answers whose truth is yes or no; an abstention is no yes.

    precision, recall, f1: of yes; None where nothing could be counted.
    yes_ratio: the share of yes among all answers; true_yes_ratio: among the truths.
    """

    model_config = ConfigDict(frozen=True)

    answers: int
    precision: float | None
    recall: float | None
    f1: float | None
    yes_ratio: float
    true_yes_ratio: float


def yes_no_scores(answers: Sequence[bool], truths: Sequence[bool]) -> YesNoScores | None:
    """Return the scores of answers, true for yes, to questions with these truths; None of none."""
    if not truths:
        return None
    right_yes = sum(answer and truth for answer, truth in zip(answers, truths, strict=True))
    said_yes, true_yes = sum(answers), sum(truths)
    return YesNoScores(
        answers=len(truths),
        precision=right_yes / said_yes if said_yes else None,
        recall=right_yes / true_yes if true_yes else None,
        f1=2 * right_yes / (said_yes + true_yes) if said_yes + true_yes else None,
        yes_ratio=said_yes / len(truths),
        true_yes_ratio=true_yes / len(truths),
    )


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
