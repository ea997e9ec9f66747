"""Scores of yes/no questions, as POPE has them (Li et al., arXiv 2305.10355)."""

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
    """Return the scores of answers, true for yes, to questions with these truths."""
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
