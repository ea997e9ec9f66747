"""Mark one record: tell whether its answer is right."""

from collections.abc import Sequence

from ros2_llava_phi.assistant.answer import CANNOT_TELL
from ros2_llava_phi.scoring.normalise import normalise
from ros2_llava_phi.scoring.possible import as_number
from ros2_llava_phi.scoring.soft_accuracy import soft_accuracy

from .record import Record

# VQA's rule is about the answers of ten people (Antol et al. 2015).
VQA_PEOPLE = 10


def said(record: Record) -> str:
    """Return what a record says, in the words of the truth."""
    return CANNOT_TELL if record.abstained else record.text


def soft_score(text: str, truth: Sequence[str]) -> float:
    """
    Return how right a text is, 0..1, after VQA's normalisation of both.

    With ten answers or more by VQA's rule: right if three people gave it, others left out in
    turn. With fewer, each is acceptable and counts in full.
    """
    answer, accepted = normalise(text), [normalise(each) for each in truth]
    if len(accepted) >= VQA_PEOPLE:
        return soft_accuracy(answer, accepted)
    return float(answer in accepted)


def exact_match(text: str, truth: Sequence[str]) -> bool:
    """Return whether a text is one of the acceptable answers to the letter, but for case."""
    return text.strip().casefold() in {each.strip().casefold() for each in truth}


def is_scored(record: Record) -> bool:
    """Return whether a record has an answer, and a truth to compare it with."""
    return not record.error and bool(record.truth)


def score(record: Record) -> float:
    """Return a scored record's soft score, 0..1; numbers are compared by their value."""
    if record.kind == 'number' and not record.abstained:
        numbers = [number for each in record.truth if (number := as_number(each)) is not None]
        return float(record.value in numbers)
    return soft_score(said(record), record.truth)


def is_right(record: Record) -> bool:
    """Return whether a scored record is right: as right as it can be to more than a half."""
    return score(record) > 0.5


def right_when_blank(record: Record) -> bool:
    """Return whether the answer to the grey picture would have been right as well."""
    return record.when_blank is not None and soft_score(record.when_blank, record.truth) > 0.5
