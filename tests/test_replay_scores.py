"""Scores against figures worked out by hand."""

import random

import pytest

from ros2_llava_phi.replay.comparison import compare
from ros2_llava_phi.replay.record import Record, is_right, score
from ros2_llava_phi.replay.summary import Scores, confusion_of, count_flips, score_records
from ros2_llava_phi.scoring.calibration import (
    area_under_risk_coverage,
    brier_score,
    expected_calibration_error,
    reliability,
    risk_coverage,
)
from ros2_llava_phi.scoring.classification import confusion, yes_no_scores
from ros2_llava_phi.scoring.correctness import as_number, exact_match, soft_score
from ros2_llava_phi.scoring.significance import mcnemar, proportion


def record(**fields: object) -> Record:
    """Return a record of the right kind, with these fields."""
    rest = {
        'recording': 'bag',
        'camera': 'front',
        'frame': 0,
        'stamp_ns': 1,
        'at_s': 0.0,
        'entry': 1,
        'question': 'What is it?',
        'kind': 'text',
    }
    return Record.model_validate(rest | fields)


@pytest.mark.parametrize(
    ('text', 'truth', 'score'),
    [
        ('a Dog.', ['dog'], 1.0),
        ('two', ['2', 'three'], 1.0),
        ('cat', ['dog'], 0.0),
        # Without one of the three who say dog, two of three needed remain; else all three.
        ('dog', ['dog'] * 3 + ['cat'] * 7, (3 * 2 / 3 + 7 * 1) / 10),
        ('dog', ['dog'] + ['cat'] * 9, 9 / 3 / 10),
        ('dog', ['dog'] * 4 + ['cat'] * 6, 1.0),
        # Fewer than ten are acceptable answers, not votes.
        ('dog', ['dog', 'cat', 'puppy'], 1.0),
    ],
)
def test_soft_score(text: str, truth: list[str], score: float) -> None:
    assert soft_score(text, tuple(truth)) == pytest.approx(score)


def test_marks() -> None:
    assert exact_match(' Red', ['red']) and not exact_match('a red', ['red'])
    abstained = record(text='cannot tell', abstain_reason='dark', truth=('cannot tell',))
    assert is_right(abstained)
    assert not is_right(record(text='x', abstain_reason='dark', truth=('x',)))
    assert score(record(kind='number', text='2.0', value=2.0, truth=('two', '7'))) == 1
    assert score(record(kind='number', text='3', value=3.0, truth=('2',))) == 0


def test_choices_that_normalisation_cannot_tell_apart_are_different_answers() -> None:
    for choices in (('<5 m', '>5 m'), ('-1', '1'), ('C', 'C++'), ('on', 'ON')):
        closed = {'kind': 'choice', 'choices': choices, 'allowed': choices}
        for true in choices:
            marks = [record(text=each, truth=(true,), **closed) for each in choices]
            assert [is_right(each) for each in marks] == [each == true for each in choices]
            matrix = confusion_of(marks)
            assert matrix is not None and (matrix.truths, matrix.answers) == ((true,), choices)


def test_a_number_has_its_sign() -> None:
    read = [as_number(each) for each in ('-1', '+2', ' -1,000 ', 'two', '1e-3', '-0.5', '3 ')]
    assert read == [-1, 2, -1000, 2, 1e-3, -0.5, 3]
    assert [as_number(each) for each in ('nan', '-inf', '-', '', '1-3', 'many')] == [None] * 6
    assert score(record(kind='number', text='1', value=1.0, truth=('-1',))) == 0


def test_wilson() -> None:
    # Wilson 1927 for 8 of 10: 0.4902 to 0.9433 (Newcombe 1998, method 3).
    interval = proportion(8, 10)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    every = proportion(3, 3)
    assert every is not None and every.high == 1 and every.low == pytest.approx(0.4385, abs=1e-4)
    assert proportion(0, 0) is None


def test_yes_no() -> None:
    scores = yes_no_scores([True, True, True, False], [True, True, False, True])
    assert scores is not None
    assert (scores.precision, scores.recall, scores.f1) == (2 / 3, 2 / 3, 2 / 3)
    assert (scores.yes_ratio, scores.true_yes_ratio) == (0.75, 0.75)
    silent = yes_no_scores([False, False], [False, False])
    assert silent is not None and silent.precision is silent.recall is silent.f1 is None


def test_calibration() -> None:
    confidences, right = [0.95, 0.95, 0.65, 0.65], [True, False, True, True]
    bins = reliability(confidences, right)
    assert [(each.count, each.accuracy) for each in bins] == [(2, 1.0), (2, 0.5)]
    assert expected_calibration_error(bins) == pytest.approx((2 * 0.35 + 2 * 0.45) / 4)
    assert brier_score(confidences, right) == pytest.approx(
        (0.05**2 + 0.95**2 + 0.35**2 + 0.35**2) / 4
    )
    assert reliability([1.0], [True])[0].count == 1
    assert expected_calibration_error([]) is None and brier_score([], []) is None


def test_risk_coverage() -> None:
    assert risk_coverage([0.7, 0.9, 0.8], [False, True, True]) == pytest.approx([0, 0, 1 / 3])
    assert area_under_risk_coverage([0, 0, 1 / 3]) == pytest.approx(1 / 9)
    # Of the same confidence, the order does not matter.
    tied = risk_coverage([0.5, 0.5], [True, False])
    assert tied == risk_coverage([0.5, 0.5], [False, True]) == pytest.approx([0.5, 0.5])
    assert area_under_risk_coverage([]) is None


def test_flips() -> None:
    flips = count_flips([[(0.0, 'a'), (10.0, 'b'), (30.0, 'a')], [(0.0, 'a'), (30.0, 'a')], []])
    assert (flips.flips, flips.minutes, flips.per_minute) == (2, 1.0, 2.0)
    assert count_flips([[(1.0, 'a')]]).per_minute is None


def test_confusion() -> None:
    matrix = confusion([('a', 'b'), ('a', 'a'), ('b', 'b'), ('a', 'b')], ['b', 'a'])
    assert matrix is not None
    assert (matrix.truths, matrix.answers) == (('b', 'a'), ('b', 'a'))
    assert matrix.counts == ((1, 0), (2, 1))


@pytest.mark.parametrize(
    ('better', 'worse', 'p_value'),
    [(0, 0, 1.0), (1, 5, 2 * 7 / 64), (3, 3, 1.0), (10, 0, 2 / 1024), (0, 5000, 0.0)],
)
def test_mcnemar(better: int, worse: int, p_value: float) -> None:
    assert mcnemar(better, worse) == mcnemar(worse, better) == pytest.approx(p_value)


def test_runs_are_compared_pair_by_pair() -> None:
    before = [record(frame=i, stamp_ns=i + 1, text='red', truth=('red',)) for i in range(4)]
    texts = ('red', 'blue', 'red', 'red')
    now = [
        record(frame=i, stamp_ns=i + 1, entry=2, text=text, truth=('red',) if i < 3 else ('blue',))
        for i, text in enumerate(texts)
    ]
    comparison = compare('old', [*before, record(stamp_ns=99)], now)
    assert (comparison.pairs, comparison.scored) == (4, 4)
    assert (comparison.better, comparison.worse) == (0, 1)
    # Both are marked by today's truth: the last one was right only by the truth of before.
    assert (comparison.accuracy_before, comparison.accuracy_now) == (0.75, 0.5)
    (changed,) = comparison.changed
    assert (changed.change, changed.before, changed.now) == ('worse', 'red', 'blue')


def test_frames_of_one_stamp_are_compared_each_with_itself() -> None:
    texts = ('red', 'blue', 'red', 'green')
    run = [record(frame=i, stamp_ns=7, text=text, truth=('red',)) for i, text in enumerate(texts)]
    comparison = compare('same', run, run)
    assert (comparison.pairs, comparison.better, comparison.worse) == (4, 0, 0)
    assert comparison.changed == []


def test_all_scores_of_some_records() -> None:
    yes = {'kind': 'yes_no', 'allowed': ('Yes', 'No'), 'question': 'Red?'}
    records = [
        record(**yes, text='Yes', value=True, confidence=0.9, truth=('Yes',), when_blank='Yes'),
        record(**yes, text='No', value=False, confidence=0.6, truth=('yes',), at_s=30.0),
        record(**yes, text='cannot tell', abstain_reason='dark', truth=('Yes',), at_s=60.0),
        record(**yes, error='TIMEOUT', truth=('Yes',)),
        record(entry=2, kind='number', text='5', value=5.0, truth=('2', '4')),
    ]
    scores = score_records(records)
    assert (scores.asked, scores.answered) == (5, 3)
    assert (scores.refused, scores.abstained) == ({'TIMEOUT': 1}, {'dark': 1})
    assert scores.accuracy is not None
    assert (scores.accuracy.count, scores.accuracy.total) == (1, 4)
    assert scores.yes_no is not None and scores.yes_no.recall == 1 / 3
    assert scores.count_error == 1
    assert (scores.flips.flips, scores.flips.per_minute) == (2, 2.0)
    # The truths differ only in case.
    assert scores.true_flips.flips == 0
    assert scores.blank is not None and (scores.blank.count, scores.blank.total) == (1, 1)


def answered_yes_or_no(text: str, truth: tuple[str, ...], at_s: float) -> Record:
    """Return a record of a yes/no question; 'cannot tell' is an abstention."""
    rest = {'abstain_reason': 'dark'} if text == 'cannot tell' else {'value': text == 'Yes'}
    return record(kind='yes_no', allowed=('Yes', 'No'), text=text, truth=truth, at_s=at_s, **rest)


def test_any_acceptable_answer_counts_in_every_score() -> None:
    both = [answered_yes_or_no(text, ('No', 'yes'), at) for at, text in enumerate(('Yes', 'No'))]
    scores = score_records(both)
    assert scores.accuracy is not None and scores.accuracy.share == 1
    assert scores.yes_no is not None
    assert (scores.yes_no.precision, scores.yes_no.recall, scores.yes_no.f1) == (1, 1, 1)
    assert (scores.yes_no.yes_ratio, scores.yes_no.true_yes_ratio) == (0.5, 0.5)
    # The answers change, which nothing that is true asked of them.
    assert (scores.flips.flips, scores.true_flips.flips) == (1, 0)
    matrix = confusion_of(both)
    assert matrix is not None and matrix.counts == ((1, 0), (0, 1))
    either, yes, no = ('No', 'Yes'), ('Yes',), ('No',)
    changing = [answered_yes_or_no('Yes', each, at) for at, each in enumerate((either, yes, no))]
    assert score_records(changing).true_flips.flips == 1


def test_who_may_abstain_and_is_wrong_missed_what_is_true() -> None:
    truth = ('cannot tell', 'Yes')
    wrong = score_records([answered_yes_or_no('No', truth, 0)])
    assert wrong.yes_no is not None and wrong.yes_no.recall == 0
    assert score_records([answered_yes_or_no('cannot tell', truth, 0)]).yes_no is None


@pytest.mark.parametrize('seed', range(20))
def test_the_order_of_acceptable_answers_does_not_matter(seed: int) -> None:
    """As long as something was answered: of two wrong truths, an abstention has the first."""
    chance = random.Random(seed)
    truths = [
        tuple(chance.sample(['yes', 'No', 'no.', 'Cannot tell'], chance.randint(1, 4)))
        for _ in range(12)
    ]
    said = [
        chance.choice(['Yes', 'No', *(['cannot tell'] if 'Cannot tell' in truth else [])])
        for truth in truths
    ]

    def scores(*, shuffled: bool) -> Scores:
        return score_records(
            [
                answered_yes_or_no(
                    text, tuple(chance.sample(truth, len(truth))) if shuffled else truth, at_s
                )
                for at_s, (text, truth) in enumerate(zip(said, truths, strict=True))
            ]
        )

    found = scores(shuffled=False)
    assert scores(shuffled=True) == found
    if found.accuracy is not None and found.accuracy.share == 1 and found.yes_no is not None:
        assert found.yes_no.f1 in (1, None)
        assert found.yes_no.yes_ratio == found.yes_no.true_yes_ratio


def test_of_ten_people_the_most_frequent_answer_is_true() -> None:
    people = ('no',) + ('yes',) * 9
    scores = score_records([answered_yes_or_no('No', people, 0)])
    assert scores.yes_no is not None and scores.yes_no.true_yes_ratio == 1


def test_abstentions_are_left_out_of_the_area_under_risk_and_coverage() -> None:
    right = record(text='a', confidence=0.6, truth=('a',))
    abstained = record(text='cannot tell', abstain_reason='dark', confidence=0.9, truth=('a',))
    assert score_records([right, abstained]).risk_coverage_area == 0
