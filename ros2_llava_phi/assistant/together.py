"""Which of many questions about a view are asked together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ros2_llava_phi.engine.branches import MOST_BRANCHES

from .question import Question


@dataclass(frozen=True)
class Asked:
    """One of many questions: its place among them, and its tokens behind the picture."""

    place: int
    question: Question
    tokens: list[int]


def groups(asked: Sequence[Asked], room: int, answer: int) -> Iterator[list[Asked]]:
    """Divide questions, in order, so that each group with answers of some length fits a room."""
    group: list[Asked] = []
    for one in asked:
        taken = sum(len(each.tokens) + answer for each in [*group, one])
        if group and (len(group) == MOST_BRANCHES or taken > room):
            yield group
            group = []
        group.append(one)
    if group:
        yield group
