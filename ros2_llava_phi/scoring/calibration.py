"""
How far confidence can be trusted, and the temperature that makes it so.

Reliability, expected calibration error, Brier score, risk against coverage; of closed answers,
whose confidence is a probability.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

BINS = 10
TEMPERATURES = np.geomspace(0.25, 4, 97)


class Bin(BaseModel):
    """The answers whose confidence lies in one tenth: how many, mean confidence, share right."""

    model_config = ConfigDict(frozen=True)

    count: int
    confidence: float
    accuracy: float


def reliability(confidences: Sequence[float], right: Sequence[bool]) -> list[Bin]:
    """Return the non-empty ones of ten bins of equal width, in order."""
    confidence, is_right = np.asarray(confidences, float), np.asarray(right, float)
    numbers = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        Bin(
            count=int(inside.sum()),
            confidence=float(confidence[inside].mean()),
            accuracy=float(is_right[inside].mean()),
        )
        for number in range(BINS)
        if (inside := numbers == number).any()
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float | None:
    """Return the mean distance between confidence and accuracy (Naeini et al. 2015), 0..1."""
    total = sum(each.count for each in bins)
    if not total:
        return None
    return sum(each.count * abs(each.confidence - each.accuracy) for each in bins) / total


def brier_score(confidences: Sequence[float], right: Sequence[bool]) -> float | None:
    """Return the mean squared distance of confidence from being right (Brier 1950), 0..1."""
    if not confidences:
        return None
    distance = np.asarray(confidences, float) - np.asarray(right, float)
    return float(np.square(distance).mean())


def risk_coverage(confidences: Sequence[float], right: Sequence[bool]) -> list[float]:
    """
    Return the share of wrong answers among the 1, 2, ... surest (El-Yaniv and Wiener 2010).

    Answers of the same confidence count with the share that is wrong among them, so that their
    order does not matter.
    """
    if not confidences:
        return []
    values, group = np.unique(-np.asarray(confidences, float), return_inverse=True)
    wrong = 1 - np.asarray(right, float)
    of_group = np.bincount(group, wrong, len(values)) / np.bincount(group, minlength=len(values))
    wrong = of_group[np.sort(group)]
    risks: list[float] = (np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).tolist()
    return risks


def area_under_risk_coverage(risks: Sequence[float]) -> float | None:
    """Return the mean risk over all coverages (Geifman et al., arXiv 1805.08206), 0..1."""
    return float(np.mean(risks)) if risks else None


def fit_temperature(probabilities: Sequence[Sequence[float]], truth: Sequence[int]) -> float:
    """
    Return the temperature that makes known answers likeliest (Guo et al., arXiv 1706.04599).

    probabilities: for each question that of every allowed answer at temperature 1; what is
    missing to a sum of 1 belongs to a further answer, abstaining.
    truth: for each question, the index of the true answer.

    Exact where the answers differ in their first token, which is nearly always.
    """
    losses = [_loss(probabilities, truth, temperature) for temperature in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def _loss(
    probabilities: Sequence[Sequence[float]], truth: Sequence[int], temperature: float
) -> float:
    losses = []
    for allowed, index in zip(probabilities, truth, strict=True):
        every = np.clip([*allowed, 1 - sum(allowed)], 1e-12, 1)
        powers = every ** (1 / temperature)
        losses.append(-np.log(powers[index] / powers.sum()))
    return float(np.mean(losses))
