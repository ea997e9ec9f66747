"""summary.json: all scores of a run, of its kinds, of its recordings, and of each question."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from pydantic import BaseModel, ConfigDict

from ros2_llava_phi.assistant.answer import CANNOT_TELL, YES_NO
from ros2_llava_phi.assistant.question import KIND_NAMES, Kind
from ros2_llava_phi.scoring.calibration import (
    Bin,
    area_under_risk_coverage,
    brier_score,
    expected_calibration_error,
    reliability,
    risk_coverage,
)
from ros2_llava_phi.scoring.classification import Confusion, YesNoScores, confusion, yes_no_scores
from ros2_llava_phi.scoring.correctness import (
    acceptable,
    as_number,
    comparable,
    exact_match,
    spelled,
)
from ros2_llava_phi.scoring.significance import Proportion, proportion

from .comparison import Comparison
from .notes import RecordingNotes
from .record import (
    Record,
    allowed_answers,
    is_right,
    is_scored,
    right_when_blank,
    said,
    score,
    true_answer,
)
from .results import Environment, Run

SUMMARY_FILE = 'summary.json'
# Whose confidence is a probability.
CLOSED = (KIND_NAMES[Kind.YES_NO], KIND_NAMES[Kind.CHOICE])


class Flips(BaseModel):
    """How often something changed, and in how many minutes; per_minute is None of no time."""

    model_config = ConfigDict(frozen=True)

    flips: int
    minutes: float
    per_minute: float | None


class Latency(BaseModel):
    """Percentiles in seconds."""

    model_config = ConfigDict(frozen=True)

    p50: float
    p90: float
    p99: float
    max: float


class Scores(BaseModel):
    """
    Scores of a group of records; None where there is nothing to score.

    asked: all of them; refused: by error code; abstained: by reason.
    accuracy: of those that have a truth.
    yes_no: of several acceptable answers, the one given is the truth, else the most frequent.
    soft_accuracy, exact_match: 0..1, see scoring.correctness.
    count_error: mean distance of a number from the nearest acceptable one.
    reliability, calibration_error, brier: of yes_no and choice, whose confidence is calibrated.
    risk_coverage_area: AURC of the answers that have a truth, abstentions left out: who abstains
    from all that is hard has a small one.
    flips, true_flips: of answers over time, and the fewest that acceptable answers allow.
    latency: of responses; frame_age: when the frame was picked, in a live run.
    blank: of the right answers, those that stay right when the picture is plain grey.
    """

    model_config = ConfigDict(frozen=True)

    asked: int
    answered: int
    refused: dict[str, int]
    abstained: dict[str, int]
    accuracy: Proportion | None
    soft_accuracy: float | None
    exact_match: float | None
    yes_no: YesNoScores | None
    count_error: float | None
    reliability: list[Bin]
    calibration_error: float | None
    brier: float | None
    risk_coverage_area: float | None
    flips: Flips
    true_flips: Flips
    blank: Proportion | None
    latency: Latency | None
    frame_age: Latency | None


class QuestionScores(BaseModel):
    """
    The scores of one question of the file, all recordings taken together.

    confusion: of yes_no and choice; of several acceptable answers, the one given is the truth.
    """

    model_config = ConfigDict(frozen=True)

    entry: int
    question: str
    kind: str
    camera: str
    scores: Scores
    confusion: Confusion | None


class Summary(BaseModel):
    """A run, its recordings, and its scores: all together, by kind, by recording, by question."""

    model_config = ConfigDict(frozen=True)

    run: Run
    environment: Environment
    recordings: list[RecordingNotes]
    scores: Scores
    kinds: dict[str, Scores]
    by_recording: dict[str, Scores]
    questions: list[QuestionScores]
    comparison: Comparison | None = None


def summarise(
    run: Run,
    environment: Environment,
    recordings: Sequence[RecordingNotes],
    records: Sequence[Record],
    comparison: Comparison | None = None,
) -> Summary:
    """Score the records of a run."""
    by_kind: dict[str, list[Record]] = {}
    by_recording: dict[str, list[Record]] = {}
    by_entry: dict[int, list[Record]] = {}
    for record in records:
        by_kind.setdefault(record.kind, []).append(record)
        by_recording.setdefault(record.recording, []).append(record)
        by_entry.setdefault(record.entry, []).append(record)
    return Summary(
        run=run,
        environment=environment,
        recordings=list(recordings),
        scores=score_records(records),
        kinds={kind: score_records(each) for kind, each in by_kind.items()},
        by_recording={name: score_records(each) for name, each in by_recording.items()},
        questions=[
            QuestionScores(
                entry=entry,
                question=each[0].question,
                kind=each[0].kind,
                camera=each[0].camera,
                scores=score_records(each),
                confusion=confusion_of(each),
            )
            for entry, each in sorted(by_entry.items())
        ],
        comparison=comparison,
    )


def score_records(records: Sequence[Record]) -> Scores:
    """Return the scores of records in the order of asking."""
    scored = [each for each in records if is_scored(each)]
    right = [is_right(each) for each in scored]
    closed = [each for each in scored if each.kind in CLOSED]
    bins = reliability([each.confidence for each in closed], [is_right(each) for each in closed])
    responses = [each for each in records if not each.error]
    return Scores(
        asked=len(records),
        answered=sum(not each.abstained for each in responses),
        refused=dict(Counter(each.error for each in records if each.error)),
        abstained=dict(Counter(each.abstain_reason for each in responses if each.abstained)),
        accuracy=proportion(sum(right), len(scored)),
        soft_accuracy=_mean([score(each) for each in scored]),
        exact_match=_mean([exact_match(said(each), each.truth) for each in scored]),
        yes_no=_yes_no(scored),
        count_error=_count_error(scored),
        reliability=bins,
        calibration_error=expected_calibration_error(bins),
        brier=brier_score(
            [each.confidence for each in closed], [is_right(each) for each in closed]
        ),
        risk_coverage_area=area_under_risk_coverage(risks_of(records)),
        flips=count_flips(_sequences(responses)),
        true_flips=count_flips(_true_sequences(scored)),
        blank=_blank(scored),
        latency=latency([each.total_s for each in responses]),
        frame_age=latency([each.live.frame_age for each in responses if each.live]),
    )


def risks_of(records: Sequence[Record]) -> list[float]:
    """Return the share of wrong answers among the 1, 2, ... surest that are no abstentions."""
    given = [each for each in records if is_scored(each) and not each.abstained]
    return risk_coverage([each.confidence for each in given], [is_right(each) for each in given])


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


def latency(seconds: Sequence[float]) -> Latency | None:
    """Return the percentiles of some times; None of nothing."""
    if not seconds:
        return None
    p50, p90, p99 = (float(each) for each in np.percentile(seconds, (50, 90, 99)))
    return Latency(p50=p50, p90=p90, p99=p99, max=max(seconds))


def confusion_of(records: Sequence[Record]) -> Confusion | None:
    """Return the matrix of the scored records of one closed question."""
    closed = [each for each in records if is_scored(each) and each.allowed]
    names = [name for each in closed for name in (*each.allowed, CANNOT_TELL)]
    pairs = [(spelled(true_answer(each), each.allowed), said(each)) for each in closed]
    order = [name for name in dict.fromkeys(names) if name != CANNOT_TELL]
    return confusion(pairs, [*order, CANNOT_TELL])


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _yes_no(scored: Sequence[Record]) -> YesNoScores | None:
    pairs = []
    for record in scored:
        if record.kind != KIND_NAMES[Kind.YES_NO]:
            continue
        truth = spelled(true_answer(record), YES_NO)
        if not is_right(record):
            # Where it may be told or not, and was told wrong, what it is counts.
            known = [spelled(each, YES_NO) for each in acceptable(record.truth, YES_NO)]
            truth = next((each for each in known if each in YES_NO), truth)
        if truth in YES_NO:
            pairs.append((record.value is True, truth == YES_NO[0]))
    return yes_no_scores([answer for answer, _ in pairs], [truth for _, truth in pairs])


def _count_error(scored: Sequence[Record]) -> float | None:
    errors = []
    for record in scored:
        if record.kind != KIND_NAMES[Kind.NUMBER] or record.value is None:
            continue
        truths = [number for each in record.truth if (number := as_number(each)) is not None]
        if truths:
            errors.append(min(abs(record.value - truth) for truth in truths))
    return _mean(errors)


def _sequences(records: Sequence[Record]) -> list[list[tuple[float, str]]]:
    """Return for each question about each recording what was answered, and when."""
    return [
        [(each.at_s, said(each).strip().casefold()) for each in asked]
        for asked in _by_question(records)
    ]


def _true_sequences(records: Sequence[Record]) -> list[list[tuple[float, str]]]:
    """
    Return for each question about each recording what was true, and when.

    As long as one answer is acceptable throughout, the truth is taken to stay the same.
    """
    sequences = []
    for asked in _by_question(records):
        stretch, common = 0, set[str]()
        sequence = []
        for record in asked:
            allowed = allowed_answers(record)
            now = {comparable(each, allowed) for each in acceptable(record.truth, allowed)}
            common, before = common & now, common
            if not common:
                stretch, common = stretch + bool(before), now
            sequence.append((record.at_s, str(stretch)))
        sequences.append(sequence)
    return sequences


def _by_question(records: Sequence[Record]) -> list[list[Record]]:
    found: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        found.setdefault((record.recording, record.entry), []).append(record)
    return list(found.values())


def _blank(scored: Sequence[Record]) -> Proportion | None:
    right = [each for each in scored if each.when_blank is not None and is_right(each)]
    return proportion(sum(right_when_blank(each) for each in right), len(right))
