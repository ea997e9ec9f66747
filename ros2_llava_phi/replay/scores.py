"""All scores of some records."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from ros2_llava_phi.scoring.confidence import (
    Bin,
    area_under_risk_coverage,
    brier_score,
    expected_calibration_error,
    reliability,
    risk_coverage,
)
from ros2_llava_phi.scoring.flips import Flips, count_flips
from ros2_llava_phi.scoring.latency import Latency, latency
from ros2_llava_phi.scoring.possible import as_number
from ros2_llava_phi.scoring.proportion import Proportion, proportion
from ros2_llava_phi.scoring.yes_no import YesNoScores, yes_no_scores

from .marking import exact_match, is_right, is_scored, right_when_blank, said, score
from .record import Record

CLOSED = ('yes_no', 'choice')


class Scores(BaseModel):
    """
    Scores of a group of records; None where there is nothing to score.

    asked: all of them; refused: by error code; abstained: by reason.
    accuracy: of those that have a truth. soft_accuracy and exact_match, 0..1, see marking.
    count_error: mean distance of a number from the nearest acceptable one.
    reliability, calibration_error, brier: of yes_no and choice, whose confidence is calibrated.
    risk_coverage_area: of all answers but abstentions.
    flips, true_flips: of answers and of truths over time.
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
        true_flips=count_flips(_sequences(scored, truth=True)),
        blank=_blank(scored),
        latency=latency([each.total_s for each in responses]),
        frame_age=latency([each.live.frame_age for each in responses if each.live]),
    )


def risks_of(records: Sequence[Record]) -> list[float]:
    """Return the share of wrong answers among the 1, 2, ... surest that are no abstentions."""
    given = [each for each in records if is_scored(each) and not each.abstained]
    return risk_coverage([each.confidence for each in given], [is_right(each) for each in given])


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _yes_no(scored: Sequence[Record]) -> YesNoScores | None:
    pairs = [
        (each.value is True, each.truth[0].casefold() == 'yes')
        for each in scored
        if each.kind == 'yes_no' and each.truth[0].casefold() in ('yes', 'no')
    ]
    return yes_no_scores([answer for answer, _ in pairs], [truth for _, truth in pairs])


def _count_error(scored: Sequence[Record]) -> float | None:
    errors = []
    for record in scored:
        truths = [number for each in record.truth if (number := as_number(each)) is not None]
        if record.kind == 'number' and record.value is not None and truths:
            errors.append(min(abs(record.value - truth) for truth in truths))
    return _mean(errors)


def _sequences(records: Sequence[Record], truth: bool = False) -> list[list[tuple[float, str]]]:
    """Return for each question about each recording what was answered, or true, and when."""
    sequences: dict[tuple[str, int], list[tuple[float, str]]] = {}
    for record in records:
        words = record.truth[0] if truth else said(record)
        words = words.strip().casefold()
        sequences.setdefault((record.recording, record.entry), []).append((record.at_s, words))
    return list(sequences.values())


def _blank(scored: Sequence[Record]) -> Proportion | None:
    right = [each for each in scored if is_right(each) and each.when_blank is not None]
    return proportion(sum(right_when_blank(each) for each in right), len(right))
