"""Seconds count from what can be trusted, whichever clock of a recording jumps where."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import START_NS, Written, frame, point, text, write_mcap, write_rosbag2
from replay_stand_in import Scripted

from ros2_llava_phi.bags.bag import Storage
from ros2_llava_phi.bags.clock import (
    LONGEST_PAUSE_NS,
    never_falling,
    steady_stamps,
    steady_times,
    steps_between,
)
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.bags.stamps import NS
from ros2_llava_phi.datasets.extraction import SHEET, Extraction, extract
from ros2_llava_phi.replay.asking import Asking
from ros2_llava_phi.replay.live import replay_live
from ros2_llava_phi.replay.notes import NoteTaker
from ros2_llava_phi.replay.offline import replay_offline
from ros2_llava_phi.replay.questions import QuestionsFile

PERIOD_NS = NS // 2
COUNT = 40
YEAR_NS = 365 * 86400 * NS
# Where a clock may stand: the epoch, before it, behind 32 bits with and without a sign.
FAR_NS = [-START_NS, -START_NS - 5 * NS, 2**31 * NS - START_NS, 2**32 * NS - START_NS]

# The times of a recording: camera (0), labels (1), and one latched message (2).
Times = tuple[list[int], list[int], list[int]]


def clean(chosen: random.Random, jitter_ns: int) -> list[tuple[int, int]]:
    """Return time and source of messages: 20 s of a camera, of labels, and one latched."""
    events = [(START_NS, 2)]
    for index in range(COUNT):
        events.append((START_NS + index * PERIOD_NS + chosen.randint(0, jitter_ns), 0))
        if index % 2 == 0:
            at_ns = START_NS + index * PERIOD_NS + NS // 10
            events.append((at_ns + chosen.randint(0, jitter_ns), 1))
    return sorted(events, key=lambda each: (each[0], -each[1]))


def broken(
    chosen: random.Random, events: Sequence[tuple[int, int]], *, smallest_ns: int
) -> tuple[list[int], int, list[int]]:
    """Return times of which one jumped, by how much, and which messages it concerns."""
    sources = chosen.choice([[0, 1, 2], [0], [1], [2]])
    at_ns = START_NS + chosen.randrange(COUNT * PERIOD_NS)
    concerned = [
        index for index, (time_ns, source) in enumerate(events)
        if source in sources and time_ns >= at_ns
    ]  # fmt: skip
    if chosen.random() < 0.5:
        concerned = concerned[:1]
    size = round(smallest_ns * (YEAR_NS * 80 / smallest_ns) ** chosen.random())
    by_ns = chosen.choice([size, -size, chosen.choice(FAR_NS)])
    return [
        time_ns + by_ns * (index in concerned) for index, (time_ns, _) in enumerate(events)
    ], by_ns, concerned  # fmt: skip


@pytest.mark.parametrize('jitter_ns', [0, 20_000_000])
@pytest.mark.parametrize('stamps_jump', [False, True])
def test_seconds_stay_whichever_clock_jumps_where(jitter_ns: int, stamps_jump: bool) -> None:
    """Where stamps jump as well, a jump ahead by less than a pause is taken for one."""
    smallest_ns = LONGEST_PAUSE_NS + NS if stamps_jump else 2 * NS
    for seed in range(300):
        chosen = random.Random(seed)
        events = clean(chosen, jitter_ns)
        true_ns = np.array([time_ns for time_ns, _ in events])
        sources = np.array([source for _, source in events])
        jumped, _, _ = broken(chosen, events, smallest_ns=smallest_ns)
        times = np.array(jumped, np.int64)
        stamps = times if stamps_jump else true_ns
        steps = steps_between(np.where(sources == 0, stamps - 5_000_000, 0), sources)
        found = never_falling(steady_times(times, sources, steps).times, sources)
        off_ns = (found - found.min())[sources == 0] - (true_ns - true_ns[0])[sources == 0]
        assert np.abs(off_ns).max() <= 3 * jitter_ns, seed


def test_several_jumps_end_in_a_recording_of_about_its_length() -> None:
    for seed in range(200):
        chosen = random.Random(seed)
        events = clean(chosen, 0)
        sources = np.array([source for _, source in events])
        times = np.array([time_ns for time_ns, _ in events])
        for _ in range(5):
            times += np.array(broken(chosen, events, smallest_ns=NS)[0]) - [
                time_ns for time_ns, _ in events
            ]
        found = steady_times(times, sources, np.zeros_like(times)).times
        assert found.max() - found.min() <= COUNT * PERIOD_NS + 5 * LONGEST_PAUSE_NS, seed


def test_times_without_a_jump_are_as_they_were() -> None:
    rng = np.random.default_rng(0)
    times = START_NS + np.cumsum(rng.integers(0, 5 * NS, 500))
    sources = rng.integers(0, 4, 500)
    steady = steady_times(times, sources, np.zeros(500, np.int64))
    assert (steady.times == times).all() and not steady.jumps
    # A picture every ten minutes is no clock that jumps.
    rare = START_NS + np.arange(10) * 600 * NS
    assert (steady_times(rare, np.zeros(10, int), np.zeros(10, int)).times == rare).all()


def test_messages_that_were_held_up_and_catch_up_are_no_clock_that_was_set() -> None:
    for seed in range(50):
        chosen = random.Random(seed)
        stamps = START_NS + np.arange(COUNT) * PERIOD_NS
        # Up to ten of them wait, and come one right after the other.
        held = chosen.randrange(1, COUNT - 12)
        until_ns = stamps[held + chosen.randrange(4, 10)]
        times = np.where(np.arange(COUNT) < held, stamps, np.maximum(stamps, until_ns))
        times += np.arange(COUNT) * 1000
        sources = np.zeros(COUNT, np.int64)
        found = steady_times(times, sources, steps_between(stamps, sources))
        assert (found.times == times).all() and not found.jumps, seed


def test_a_topic_that_is_written_behind_the_others_has_their_jump() -> None:
    for seed in range(100):
        chosen = random.Random(seed)
        sources = np.repeat([0, 1], COUNT)
        true_ns = np.tile(START_NS + np.arange(COUNT) * PERIOD_NS, 2)
        jump_ns = START_NS + chosen.randrange(2, COUNT - 2) * PERIOD_NS
        by_ns = chosen.choice([LONGEST_PAUSE_NS + NS, YEAR_NS, -chosen.randrange(2 * NS, 12 * NS)])
        times = true_ns + by_ns * (true_ns >= jump_ns)
        found = steady_times(times, sources, np.zeros_like(times)).times
        assert (found - found.min() == true_ns - START_NS).all(), seed


def test_stamps_that_go_at_another_rate_are_as_they_were() -> None:
    times = START_NS + np.arange(50) * NS
    for rate in (0.3, 3):
        stamps = (np.arange(1, 51) * NS * rate).astype(np.int64)
        assert (steady_stamps(stamps, times).times == stamps).all()


def test_one_wrong_stamp_near_the_recorders_clock_does_not_move_the_others() -> None:
    times = START_NS + np.arange(50) * PERIOD_NS
    since_boot = 100 * NS + np.arange(50) * PERIOD_NS
    stamps = since_boot.copy()
    stamps[20] = times[20] - 3600 * NS
    assert (steady_stamps(stamps, times).times == since_boot).all()


QUESTIONS: dict[str, Any] = {
    'questions': [
        {
            'question': 'Is it red?',
            'kind': 'yes_no',
            'truth': [{'to_s': 5, 'answers': 'yes'}, {'from_s': 5, 'answers': 'no'}],
        },
        {
            'question': 'Which?',
            'kind': 'number',
            'labels': {'topic': '/labels', 'field': 'point.x', 'within_s': 0.2},
            'when': {'every_s': 2},
        },
    ]
}


def write(path: Path, recorded: Sequence[int], stamps: Sequence[int], kind: Storage) -> Path:
    """Write the events of `clean` with these times and stamps."""
    messages: list[Written] = []
    frames = labels = 0
    events = clean(random.Random(0), 0)
    for (_, source), recorded_ns, stamp_ns in zip(events, recorded, stamps, strict=True):
        if source == 2:
            messages.append(text(recorded_ns, 'latched', '/tf_static'))
        elif source == 1:
            # It is about the frame before it, whose stamp it has.
            messages.append(point(recorded_ns, stamp_ns - NS // 10, float(labels)))
            labels += 1
        else:
            messages.append(frame(recorded_ns, stamp_ns, 'red' if frames < 10 else 'blue'))
            frames += 1
    if kind is Storage.MCAP:
        return write_mcap(path.with_suffix('.mcap'), messages)
    return write_rosbag2(path, messages, kind)


def ask(path: Path) -> tuple[list[Any], float, list[str]]:
    """Return what is asked with what is true, the length, and the notes."""
    asking = Asking(Recording(path), QuestionsFile.model_validate(QUESTIONS))
    taker = NoteTaker(asking.recording, asking.cameras)
    assistant: Any = Scripted()
    records = [
        each for group in replay_offline(asking, assistant, on_frame=taker.see) for each in group
    ]
    notes = taker.notes(asking.questions)
    asked = [(each.entry, each.frame, each.at_s, each.truth) for each in records]
    return asked, notes.seconds, list(notes.notes)


@pytest.mark.parametrize('storage', Storage)
def test_truth_is_that_of_the_clean_recording(tmp_path: Path, storage: Storage) -> None:
    """The same frames are asked, at the same seconds, with the same truth."""
    events = clean(random.Random(0), 0)
    true_ns = [time_ns for time_ns, _ in events]
    expected, seconds, notes = ask(write(tmp_path / 'clean', true_ns, true_ns, storage))
    assert len(expected) == COUNT + COUNT * PERIOD_NS // (2 * NS) and notes == []
    for seed in range(40 if storage is Storage.MCAP else 8):
        chosen = random.Random(seed)
        jumped, _, concerned = broken(chosen, events, smallest_ns=LONGEST_PAUSE_NS + NS)
        which = chosen.choice(['recorded', 'stamps', 'both'])
        recorded = true_ns if which == 'stamps' else jumped
        stamps = true_ns if which == 'recorded' else jumped
        path = write(tmp_path / str(seed), recorded, stamps, storage)
        found, length, notes = ask(path)
        assert [each[:3] for each in found] == [each[:3] for each in expected], seed
        assert length == seconds
        alone = {events[each][1] for each in concerned} == {0}
        for answer, right in zip(found, expected, strict=True):
            # Where all clocks of the camera jump and none of the labels', they may not meet.
            assert answer[3] == right[3] or (which == 'both' and alone and not answer[3]), seed
        if concerned and which != 'stamps':
            assert any(' set ' in each or 'by a clock' in each or 'time' in each for each in notes)


@pytest.mark.parametrize(
    ('by_ns', 'note'),
    [
        (86400 * NS, 'The clock of the recording is set ahead by 1.0 days at 5.0 s; seconds go'),
        (-3600 * NS, 'The clock of the recording is set back by 1.0 h at 5.0 s; seconds go on'),
        (-START_NS, 'The clock of the recording is set back by 53.9 years at 5.0 s'),
        (30 * NS, 'Nothing is recorded from 4.5 s to 35.0 s: a pause, or a clock that was set'),
    ],
)
def test_a_jump_is_noted_with_where(tmp_path: Path, by_ns: int, note: str) -> None:
    true_ns = [time_ns for time_ns, _ in clean(random.Random(0), 0)]
    jumped = [each + by_ns * (each >= START_NS + 5 * NS) for each in true_ns]
    _, _, notes = ask(write(tmp_path / 'bag', jumped, jumped, Storage.SQLITE3))
    assert any(each.startswith(note) for each in notes), notes


def test_a_latched_message_is_no_start(tmp_path: Path) -> None:
    true_ns = [time_ns for time_ns, _ in clean(random.Random(0), 0)]
    day_before = [true_ns[0] - 86400 * NS, *true_ns[1:]]
    asked, seconds, notes = ask(write(tmp_path / 'bag', day_before, true_ns, Storage.MCAP))
    assert asked[0][2] == 0 and seconds == (COUNT - 1) / 2
    assert notes == [
        '/tf_static is recorded by a clock that is back by 1.0 days of the others; '
        'seconds do not count from it.'
    ]


def test_a_clock_that_stands_still_does_not_stop_the_seconds(tmp_path: Path) -> None:
    true_ns = [time_ns for time_ns, _ in clean(random.Random(0), 0)]
    for stood_ns in (0, START_NS):
        path = write(tmp_path / str(stood_ns), [stood_ns] * len(true_ns), true_ns, Storage.MCAP)
        asked, seconds, notes = ask(path)
        assert seconds == (COUNT - 1) / 2
        assert [each[2] for each in asked if each[0] == 1] == [index / 2 for index in range(COUNT)]
        assert any('without a time of its own' in each for each in notes)


class TimedRobot:
    """Takes note of the times and stamps that are played to it."""

    plays = True

    def __init__(self) -> None:
        self.times: list[int] = []

    def begin(self) -> None:
        pass

    def wait_for(self, time_ns: int) -> None:
        self.times.append(time_ns)

    def idle(self) -> None:
        pass

    def show(self, message: Any) -> None:
        # What a node goes by: the stamp agrees with the clock.
        assert abs(stamp_of(message.cdr) - self.times[-1]) < NS

    def ask(self, question: Any, topic: str, oldest_stamp_ns: int) -> Any:
        raise AssertionError('nothing is asked')


def stamp_of(cdr: bytes) -> int:
    seconds, nanoseconds = np.frombuffer(cdr[4:12], '<i4').tolist()
    return seconds * NS + nanoseconds


def test_a_live_run_does_not_wait_a_jump_out(tmp_path: Path) -> None:
    events = clean(random.Random(0), 0)
    true_ns = [time_ns for time_ns, _ in events]
    file = QuestionsFile.model_validate(
        {'questions': [{'question': 'What?', 'when': {'at_s': [999]}}]}
    )
    for seed in range(10):
        chosen = random.Random(seed)
        jumped, _, concerned = broken(chosen, events, smallest_ns=LONGEST_PAUSE_NS + NS)
        if len(concerned) == len(events):
            continue
        which = chosen.choice(['recorded', 'stamps', 'both'])
        recorded = true_ns if which == 'stamps' else jumped
        stamps = true_ns if which == 'recorded' else jumped
        path = write(tmp_path / str(seed), recorded, stamps, Storage.MCAP)
        robot = TimedRobot()
        list(replay_live(Asking(Recording(path), file), robot))
        assert np.diff(robot.times).tolist() == [PERIOD_NS] * (COUNT - 1), seed


@pytest.mark.parametrize('year', [1960, 2045, 2106])
def test_a_recording_of_another_time_is_read(tmp_path: Path, year: int) -> None:
    """Log times are of 64 bits; what a stamp cannot hold wraps around."""
    by_ns = (year - 2023) * YEAR_NS
    elsewhere = [time_ns + by_ns for time_ns, _ in clean(random.Random(0), 0)]
    for storage in Storage:
        path = write(tmp_path / storage.value, elsewhere, elsewhere, storage)
        asked, seconds, notes = ask(path)
        assert seconds == (COUNT - 1) / 2 and notes == []
        assert asked[2][3] == ('Yes',) and asked[-1][3] == ('No',)
        assert 0 <= Recording(path).start_ns < 2**31 * NS


def test_a_few_messages_across_a_jump_do_not_stretch_it(tmp_path: Path) -> None:
    day_ns = 86400 * NS
    rare = [text(START_NS, 'begins', '/rare'), text(START_NS + 10 * NS + day_ns, 'ends', '/rare')]
    frames = []
    for index in range(COUNT):
        at_ns = START_NS + index * PERIOD_NS
        at_ns += day_ns * (at_ns >= START_NS + 5 * NS)
        frames.append(frame(at_ns, at_ns))
    both = sorted([*rare, *frames], key=lambda each: each.recorded_ns)
    recording = Recording(write_rosbag2(tmp_path / 'bag', both, Storage.MCAP))
    assert [each.at_s for each in recording.frames()] == [index / 2 for index in range(COUNT)]
    rare_at = [
        recording.seconds(each.time_ns)
        for each in recording.messages(
            [each for each in recording.channels if each.topic == '/rare']
        )
    ]
    assert rare_at == [0, 10]


def test_scenes_and_rate_of_an_extraction_do_not_jump(tmp_path: Path) -> None:
    true_ns = [START_NS + index * PERIOD_NS for index in range(COUNT)]
    how = Extraction(rate_hz=1.0, scene_s=5.0)

    def scenes(name: str, recorded: Sequence[int]) -> Counter[str]:
        frames = [frame(each, true, 'noise') for each, true in zip(recorded, true_ns, strict=True)]
        bag = write_rosbag2(tmp_path / name / 'bag', frames, Storage.MCAP)
        extract([bag], tmp_path / name / 'out', how)
        rows = (tmp_path / name / 'out' / SHEET).read_text().splitlines()[1:]
        return Counter(row.split(',')[1] for row in rows)

    expected = scenes('clean', true_ns)
    assert expected == Counter({f'bag-{number:04}': 5 for number in range(4)})
    for name, by_ns in (('ahead', 86400 * NS), ('back', -7200 * NS), ('never', -START_NS)):
        jumped = [each + by_ns * (each >= START_NS + 7 * NS) for each in true_ns]
        assert scenes(name, jumped) == expected
