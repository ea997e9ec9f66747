"""Compare two runs, question by question about the same frames."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ros2_llava_phi.assistant.question import KIND_NAMES, KindName
from ros2_llava_phi.errors import ResultsError
from ros2_llava_phi.scoring.significance import mcnemar

from .asking import Asking
from .record import Record, is_right, is_scored, said
from .results import read_results

Change = Literal['better', 'worse', 'other']


class Changed(BaseModel):
    """Two answers that differ; other: both are right, both wrong, or nobody knows."""

    model_config = ConfigDict(frozen=True)

    change: Change
    recording: str
    camera: str
    at_s: float
    question: str
    before: str
    now: str
    truth: tuple[str, ...]


class Comparison(BaseModel):
    """
    How a run compares with one before.

    pairs: questions about the same frames that both answered; scored: of these, with a truth.
    better, worse: wrong before and right now, and the other way round.
    p_value: of McNemar's exact test; below 0.05, the runs differ by more than chance.
    changed: first what became worse, then what became better, then the others.
    """

    model_config = ConfigDict(frozen=True)

    baseline: str
    pairs: int
    scored: int
    accuracy_before: float | None
    accuracy_now: float | None
    better: int
    worse: int
    p_value: float
    changed: list[Changed]


def check_baseline(path: Path, askings: Sequence[Asking]) -> None:
    """Raise ResultsError if a file of results has none to compare with: before anybody asks."""
    asked = {
        (asking.recording.name, each.question, KIND_NAMES[each.kind], each.choices)
        for asking in askings
        for each in asking.questions
    }
    before = {
        (each.recording, each.question, each.kind, each.choices) for each in read_results(path)
    }
    if not before:
        raise ResultsError(f'{path} holds no results; name the results.jsonl of a finished run')
    if not asked & before:
        raise ResultsError(
            f'{path} has no answer to any of these questions about {_names(asked)}, but to others '
            f'about {_names(before)}; name the results.jsonl of a run of the same questions'
        )


def _names(asked: set[tuple[str, str, KindName, tuple[str, ...]]]) -> str:
    return ', '.join(sorted({recording for recording, *_ in asked}))


def compare(baseline: str, before: Sequence[Record], now: Sequence[Record]) -> Comparison:
    """
    Pair two runs' records by recording, camera, stamp, and question, and compare them.

    baseline: what to call the run before.
    """
    old, new = _by_pair_key(before), _by_pair_key(now)
    pairs = [(old[key], each) for key, each in new.items() if key in old]
    marks = [_marks(*pair) for pair in pairs if is_scored(pair[1])]
    changed = [_changed(*pair) for pair in pairs if said(pair[0]) != said(pair[1])]
    better, worse = marks.count((False, True)), marks.count((True, False))
    return Comparison(
        baseline=baseline,
        pairs=len(pairs),
        scored=len(marks),
        accuracy_before=sum(mark for mark, _ in marks) / len(marks) if marks else None,
        accuracy_now=sum(mark for _, mark in marks) / len(marks) if marks else None,
        better=better,
        worse=worse,
        p_value=mcnemar(better, worse),
        changed=sorted(changed, key=lambda each: ('worse', 'better', 'other').index(each.change)),
    )


def _by_pair_key(records: Sequence[Record]) -> dict[tuple[object, ...], Record]:
    """Return what was answered by what was asked; frames of one stamp are told by their order."""
    found: dict[tuple[object, ...], Record] = {}
    seen: Counter[tuple[object, ...]] = Counter()
    for record in sorted(records, key=lambda each: each.frame):
        key = _pair_key(record)
        seen[key] += 1
        if not record.error:
            found[key, seen[key]] = record
    return found


def _pair_key(record: Record) -> tuple[object, ...]:
    # Not by the place in the questions file, to which questions may have been added.
    place = record.stamp_ns or record.frame
    return (
        record.recording,
        record.camera,
        place,
        record.question,
        record.kind,
        record.choices,
    )


def _marks(before: Record, now: Record) -> tuple[bool, bool]:
    """Return whether both are right by today's truth, which may have been corrected."""
    return is_right(before.model_copy(update={'truth': now.truth})), is_right(now)


def _changed(before: Record, now: Record) -> Changed:
    changes: dict[tuple[bool, bool], Change] = {(False, True): 'better', (True, False): 'worse'}
    change = changes.get(_marks(before, now), 'other') if is_scored(now) else 'other'
    return Changed(
        change=change,
        recording=now.recording,
        camera=now.camera,
        at_s=now.at_s,
        question=now.question,
        before=said(before),
        now=said(now),
        truth=now.truth,
    )
