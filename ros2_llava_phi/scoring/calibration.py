"""Make the probabilities of closed answers mean what they say, and measure how far they do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

TEMPERATURES = np.geomspace(0.25, 4, 97)
BINS = 10


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


def calibration_error(confidences: ArrayLike, right: ArrayLike) -> float:
    """
    Return the expected calibration error, 0..1, over ten bins of equal width.

    The mean over answers of the distance between the confidence in their bin and the share of
    right answers there (Naeini et al. 2015).
    """
    confidence, is_right = np.asarray(confidences, float), np.asarray(right, float)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    error = 0.0
    for number in np.unique(bins):
        inside = bins == number
        error += inside.mean() * abs(confidence[inside].mean() - is_right[inside].mean())
    return float(error)


def _loss(
    probabilities: Sequence[Sequence[float]], truth: Sequence[int], temperature: float
) -> float:
    losses = []
    for allowed, index in zip(probabilities, truth, strict=True):
        every = np.clip([*allowed, 1 - sum(allowed)], 1e-12, 1)
        powers = every ** (1 / temperature)
        losses.append(-np.log(powers[index] / powers.sum()))
    return float(np.mean(losses))
