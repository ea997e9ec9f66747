"""Whether a truth can be the answer to a question at all: one that cannot is a slip of the pen."""

from collections.abc import Sequence

from ros2_llava_phi.assistant.answer import CANNOT_TELL
from ros2_llava_phi.assistant.question import Kind

from .normalise import normalise


def is_possible(truth: str, kind: Kind, choices: Sequence[str]) -> bool:
    """Return whether a question of a kind can be answered so, after VQA's normalisation."""
    if kind == Kind.FREE_TEXT or normalise(truth) == normalise(CANNOT_TELL):
        return True
    if kind == Kind.NUMBER:
        return as_number(truth) is not None
    closed = choices if kind == Kind.CHOICE else ('Yes', 'No')
    return normalise(truth) in {normalise(each) for each in closed}


def as_number(text: str) -> float | None:
    """Return the number that a text is, a word up to ten included; None if it is none."""
    try:
        return float(normalise(text))
    except ValueError:
        return None
