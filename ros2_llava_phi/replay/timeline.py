"""Answers over a recording, and the truth below them, as stretches of the same words."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from .marking import is_right, is_scored, said
from .record import Record

# Behind a gap of so many usual distances, a new stretch begins.
GAP = 2.5


@dataclass(frozen=True)
class Stretch:
    """A time in which the same is said; words are empty where nobody knows."""

    from_s: float
    to_s: float
    words: str


@dataclass(frozen=True)
class Lane:
    """
    One question over one recording.

    wrong: the times in which its answers are wrong.
    """

    entry: int
    question: str
    camera: str
    answers: list[Stretch]
    truths: list[Stretch]
    wrong: list[Stretch]


def lanes(records: Sequence[Record]) -> list[Lane]:
    """Return a lane for each question about one recording, in the order of the file."""
    by_entry: dict[int, list[Record]] = {}
    for record in records:
        by_entry.setdefault(record.entry, []).append(record)
    return [_lane(of_entry) for _, of_entry in sorted(by_entry.items())]


def _lane(records: Sequence[Record]) -> Lane:
    records = sorted(records, key=lambda each: each.at_s)
    times = [each.at_s for each in records]
    wrong = ['wrong' if is_scored(each) and not is_right(each) else '' for each in records]
    return Lane(
        entry=records[0].entry,
        question=records[0].question,
        camera=records[0].camera,
        answers=_stretches(times, [each.error or said(each) for each in records]),
        truths=_stretches(times, [' or '.join(each.truth[:3]) for each in records]),
        wrong=[each for each in _stretches(times, wrong) if each.words],
    )


def _stretches(times: Sequence[float], words: Sequence[str]) -> list[Stretch]:
    """Join neighbours that say the same; each lasts until the next is asked."""
    steps = [after - before for before, after in pairwise(times)]
    usual = median(steps) if steps else 1.0
    stretches: list[Stretch] = []
    for index, (at_s, said_then) in enumerate(zip(times, words, strict=True)):
        step = steps[index] if index < len(steps) else usual
        to_s = at_s + (step if step <= GAP * usual else usual)
        last = stretches[-1] if stretches else None
        if last and last.words == said_then and last.to_s >= at_s:
            stretches[-1] = Stretch(last.from_s, to_s, said_then)
        else:
            stretches.append(Stretch(at_s, to_s, said_then))
    return stretches
