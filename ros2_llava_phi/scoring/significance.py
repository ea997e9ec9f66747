"""What chance alone may do: the 95 % interval of a share, and a test of two runs' pairs."""

import math

from pydantic import BaseModel, ConfigDict

# The 97.5th percentile of the standard normal distribution.
Z = 1.959963984540054


class Proportion(BaseModel):
    """How many of how many; low and high bound the share with 95 % confidence, 0..1."""

    model_config = ConfigDict(frozen=True)

    count: int
    total: int
    share: float
    low: float
    high: float


def proportion(count: int, total: int) -> Proportion | None:
    """
    Return a share with Wilson's interval (Wilson 1927), which takes the cases as independent.

    None of nothing.
    """
    if total == 0:
        return None
    share = count / total
    spread = Z * math.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2))
    centre, scale = share + Z**2 / (2 * total), 1 + Z**2 / total
    low, high = (centre - spread) / scale, (centre + spread) / scale
    # At either end the bound is the end itself, which rounding would miss.
    low = 0.0 if count == 0 else low
    high = 1.0 if count == total else high
    return Proportion(count=count, total=total, share=share, low=low, high=high)


def mcnemar(better: int, worse: int) -> float:
    """Return the two-sided p-value of McNemar's exact test on discordant pairs (1947)."""
    pairs = better + worse
    tail = sum(math.comb(pairs, count) for count in range(min(better, worse) + 1))
    # As whole numbers: 2^pairs has no float for many pairs.
    return min(1.0, 2 * tail / 2**pairs)
