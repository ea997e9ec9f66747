"""The drive: it moves continuously, everything announced happens, and doubtful moments say so."""

from itertools import pairwise

import numpy as np
import pytest

from ros2_llava_phi.assistant.answer import CANNOT_TELL
from tiny.scenes.drive import DRIVE_QUESTIONS, SHORTEST, DriveFrame, drive_frames, ground_truth
from tiny.scenes.road import near_end

Truths = dict[str, list[dict[str, str | None]]]


@pytest.fixture(scope='module')
def frames() -> list[DriveFrame]:
    return list(drive_frames(seed=1, seconds=66, rate_hz=1))


@pytest.fixture(scope='module')
def truths(frames: list[DriveFrame]) -> Truths:
    """What is true of each frame, by camera."""
    cameras = ('front', 'rear')
    return {name: [ground_truth(f) for f in frames if f.camera == name] for name in cameras}


def test_both_cameras_take_a_picture_at_every_beat(frames: list[DriveFrame]) -> None:
    assert [(f.time_s, f.camera) for f in frames[:3]] == [(0, 'front'), (0, 'rear'), (1, 'front')]
    assert len(frames) == 132
    assert all(frame.rendering.image.shape == (240, 320, 3) for frame in frames)


def test_the_same_seed_gives_the_same_drive(frames: list[DriveFrame]) -> None:
    again = drive_frames(seed=1, seconds=66, rate_hz=1)
    for first, _ in zip(frames[:6], range(6), strict=True):
        assert np.array_equal(next(again).rendering.image, first.rendering.image)


def test_a_drive_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match='a drive of 10 s is too short'):
        next(drive_frames(1, SHORTEST - 52, 1))


@pytest.mark.parametrize(
    ('question', 'answers'),
    [
        ('Is someone on the crossing?', {'Yes', 'No', None}),
        ('What colour is the traffic light?', {'red', 'green', None}),
        ('Is there a stop sign?', {'Yes', 'No'}),
        ('Is there a traffic cone?', {'Yes', 'No'}),
        ('What is the weather?', {'clear', 'rain'}),
        ('Is it day or night?', {'day', 'night'}),
        ('Is our lane free?', {'Yes', 'No'}),
        ('What is in our lane?', {'car', 'traffic cone', None}),
        ('What should the car do?', {'stop', 'slow down', 'drive on'}),
        ('Is there a truck?', {'Yes', 'No'}),
    ],
)
def test_what_is_announced_happens(
    truths: Truths, question: str, answers: set[str | None]
) -> None:
    seen = {truth[question] for truth in truths['front']}
    assert answers - {'slow down'} <= seen


def test_the_light_is_red_before_it_is_green(truths: Truths) -> None:
    shown = [a for t in truths['front'] if (a := t['What colour is the traffic light?'])]
    assert [shown[0], *(b for a, b in pairwise(shown) if a != b)] == ['red', 'green', CANNOT_TELL]


def test_a_covered_lens_tells_nothing(frames: list[DriveFrame]) -> None:
    covered = [frame for frame in frames if not frame.readings]
    assert {frame.time_s for frame in covered} == {62.0, 63.0}
    for frame in covered:
        assert set(ground_truth(frame).values()) == {CANNOT_TELL}
        assert not frame.rendering.labels.any()


def test_the_rear_camera_is_not_asked_about_the_lane_ahead(truths: Truths) -> None:
    assert {truth['Is our lane free?'] for truth in truths['rear']} == {None, CANNOT_TELL}


def test_most_moments_are_scored_and_some_are_not(truths: Truths) -> None:
    answers = [truth['How many cars are there?'] for truth in truths['front']]
    assert 0 < answers.count(None) < len(answers) / 3
    assert len(set(answers)) >= 4


def test_what_is_answered_is_seen(frames: list[DriveFrame]) -> None:
    """A count that is scored is that of the cars of which the picture shows a fair part."""
    for frame in frames:
        count = ground_truth(frame)['How many cars are there?']
        if count not in (None, CANNOT_TELL):
            shown = [
                (frame.rendering.instances == index).sum() > 100
                for index, thing in enumerate(frame.scene.objects)
                if thing.kind == 'car'
            ]
            assert str(sum(shown)) == count, frame.time_s


@pytest.mark.slow
def test_motion_is_continuous() -> None:
    """From one picture to the next nothing jumps, and nothing near comes from nowhere."""
    quick = [f for f in drive_frames(seed=2, seconds=62, rate_hz=5) if f.camera == 'front']
    for before, after in pairwise(quick):
        places = {(t.kind, t.colour, t.width): t for t in before.scene.objects}
        for thing in after.scene.objects:
            old = places.get((thing.kind, thing.colour, thing.width))
            if old is None:
                assert near_end(thing) > 40 or near_end(thing) < 5, thing
            else:
                assert abs(near_end(thing) - near_end(old)) < 6, thing


def test_every_question_is_scored_somewhere(truths: Truths) -> None:
    for question in DRIVE_QUESTIONS:
        answers = {truth[question.text] for truth in truths['front']} - {None, CANNOT_TELL}
        assert answers, question.text
        if question.choices:
            assert answers <= set(question.choices)
