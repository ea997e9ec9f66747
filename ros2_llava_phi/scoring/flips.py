"""How often an answer changes over time: one that flickers is useless to a planner."""

from collections.abc import Sequence
from itertools import pairwise

from pydantic import BaseModel, ConfigDict


class Flips(BaseModel):
    """How often something changed, and in how many minutes; per_minute is None of no time."""

    model_config = ConfigDict(frozen=True)

    flips: int
    minutes: float
    per_minute: float | None


def count_flips(sequences: Sequence[Sequence[tuple[float, str]]]) -> Flips:
    """Count the changes along sequences of times in seconds and answers, in order of time."""
    flips, seconds = 0, 0.0
    for sequence in sequences:
        if not sequence:
            continue
        answers = [answer for _, answer in sequence]
        flips += sum(before != after for before, after in pairwise(answers))
        seconds += sequence[-1][0] - sequence[0][0]
    minutes = seconds / 60
    return Flips(flips=flips, minutes=minutes, per_minute=flips / minutes if minutes else None)
