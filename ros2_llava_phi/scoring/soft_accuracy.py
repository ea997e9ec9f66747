"""VQA's soft accuracy: an answer is right if three humans gave it, as others see it."""

from collections.abc import Sequence


def soft_accuracy(
    answer: str, humans: Sequence[str], identities: Sequence[object] | None = None
) -> float:
    """
    Return min(1, humans who agree / 3), averaged over leaving each human out (Antol et al. 2015).

    identities: tells the humans apart; those who are alike are left out together, as where
    records are compared. By default, no two are.
    """
    apart = range(len(humans)) if identities is None else identities
    scores = []
    for left_out in apart:
        others = [each for each, who in zip(humans, apart, strict=True) if who != left_out]
        # Of the very types of the official code, so that the sums are equal to the last bit.
        scores.append(min(1, float(others.count(answer)) / 3))
    return sum(scores) / len(scores)


def percent(scores: Sequence[float]) -> float:
    """Return the mean of scores 0..1 in per cent, rounded to two digits as VQA's server does."""
    return round(100 * float(sum(scores)) / len(scores), 2)
