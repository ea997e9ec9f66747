"""Which camera a question is about: one topic is one camera, whatever it is called."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from replay_stand_in import PERIOD_NS, START_NS, Scripted, picture

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.bags.bag import Storage, Transport
from ros2_llava_phi.bags.bag_writer import write_bag
from ros2_llava_phi.errors import QuestionsFileError
from ros2_llava_phi.replay.questions import QuestionsFile
from ros2_llava_phi.replay.read_questions import read_questions
from ros2_llava_phi.replay.results import read_results
from ros2_llava_phi.replay.runs import conclude, open_recordings, run_offline
from ros2_llava_phi.replay.summary import Summary

FRAMES = 4
COLOURS = {'/front/image': 'red', '/rear/image': 'blue'}
SHORT = {'front_left': '/front/image', 'main': '/front/image', 'back': 'rear'}
NAMES = {
    '/front/image': ('/front/image', 'front/image', 'front', 'front_left', 'main'),
    '/rear/image': ('/rear/image', 'rear', 'back'),
}


def write_cameras(path: Path, colours: dict[str, str]) -> Path:
    """Write a recording of cameras that see a colour each."""

    def frames() -> Iterator[tuple[str, Frame]]:
        for index in range(FRAMES):
            for topic, colour in colours.items():
                yield topic, Frame(picture(colour), START_NS + index * PERIOD_NS)

    write_bag(path, Storage.MCAP, frames(), transport=Transport.RAW)
    return path


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write_cameras(tmp_path / 'bag', COLOURS)


def run(bag: Path, out: Path, file: QuestionsFile, baseline: Path | None = None) -> Summary:
    askings = open_recordings([bag], file)
    notes = run_offline(askings, Scripted(), out)  # type: ignore[arg-type]
    return conclude(askings, out, notes, baseline)


def asked_of(*cameras: str, short: dict[str, str] = SHORT) -> QuestionsFile:
    questions = [{'question': f'Colour {n}?', 'camera': each} for n, each in enumerate(cameras)]
    return QuestionsFile.model_validate({'cameras': short, 'questions': questions})


@pytest.mark.parametrize('seed', range(12))
def test_whatever_a_camera_is_called_its_frames_are_asked_about(
    bag: Path, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    topics = chance.choices(list(NAMES), k=4)
    short = dict(chance.sample(list(SHORT.items()), chance.randint(0, len(SHORT))))
    cameras = [
        chance.choice([name for name in NAMES[topic] if name in short or name not in SHORT])
        for topic in topics
    ]
    summary = run(bag, tmp_path / 'out', asked_of(*cameras, short=short))
    assert not summary.recordings[0].notes
    assert set(summary.recordings[0].frames.values()) == {FRAMES}
    records = read_results(tmp_path / 'out' / 'results.jsonl')
    assert len(records) == len(cameras) * FRAMES
    for record in records:
        assert record.text == COLOURS[topics[record.entry - 1]], cameras
    assert len({each.camera for each in records}) == len(set(topics))


def test_what_is_true_of_a_camera_is_found_by_any_name(bag: Path, tmp_path: Path) -> None:
    frame = {'camera': 'main', 'stamp_ns': START_NS, 'answers': ['red']}
    (tmp_path / 'truth.json').write_text(
        json.dumps({'questions': ['Colour 0?'], 'frames': [frame]})
    )
    file = asked_of('/front/image').model_copy(update={'ground_truth': tmp_path / 'truth.json'})
    summary = run(bag, tmp_path / 'out', file)
    assert summary.scores.accuracy is not None and summary.scores.accuracy.count == 1


def test_a_ground_truth_file_holds_what_can_be_answered(bag: Path, tmp_path: Path) -> None:
    path = tmp_path / 'truth.json'
    frame = {'camera': 'front', 'stamp_ns': START_NS}
    file = QuestionsFile.model_validate(
        {
            'ground_truth': path,
            'questions': [{'question': 'Red?', 'kind': 'yes_no', 'camera': 'front'}],
        }
    )
    for answer in ('true', 'maybe'):
        frames = [{**frame, 'answers': [answer]}]
        path.write_text(json.dumps({'questions': ['Red?'], 'frames': frames}))
        if answer == 'maybe':
            with pytest.raises(QuestionsFileError, match=r"truth.json: 'maybe' can never be the"):
                run(bag, tmp_path / answer, file)
        else:
            run(bag, tmp_path / answer, file)
            first, *_ = read_results(tmp_path / answer / 'results.jsonl')
            assert first.truth == ('Yes',)


def test_a_baseline_may_have_called_cameras_otherwise(bag: Path, tmp_path: Path) -> None:
    run(bag, tmp_path / 'old', asked_of('/front/image', 'rear', short={}))
    baseline = tmp_path / 'old' / 'results.jsonl'
    summary = run(bag, tmp_path / 'new', asked_of('main', 'back'), baseline)
    assert summary.comparison is not None and summary.comparison.pairs == 2 * FRAMES


@pytest.mark.parametrize(
    ('cameras', 'camera', 'sentence'),
    [
        (
            '{}',
            '',
            'more than one camera for question 1; it has pictures on /a/left, /a/right, /b; '
            'name one, `camera: /a/left or /a/right or b`',
        ),
        ('{l: /a/left, r: /a/right}', '', 'name one, `camera: l or r or b`'),
        (
            '{l: /a/left}',
            'a',
            "more than one camera 'a' for question 1; .* `camera: l or /a/right",
        ),
        ('{l: a}', 'l', "more than one camera 'l' for question 1"),
        ('{l: /c}', 'l', r"no camera 'l' \(topic /c\) for question 1; it has pictures on /a/left"),
    ],
)
def test_a_camera_that_may_be_several_is_refused(
    tmp_path: Path, cameras: str, camera: str, sentence: str
) -> None:
    bag = write_cameras(tmp_path / 'bag', dict.fromkeys(('/a/left', '/a/right', '/b'), 'red'))
    questions = tmp_path / 'q.yaml'
    questions.write_text(
        f'cameras: {cameras}\nquestions: [{{question: What, camera: "{camera}"}}]'
    )
    with pytest.raises(QuestionsFileError, match=sentence):
        open_recordings([bag], read_questions(questions))
