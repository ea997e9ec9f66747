"""Recordings become pictures with a questions sheet, and the sheet becomes training data."""

import csv
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from damaged_frames import as_jpeg, cut_and_ended
from helpers import write_compressed
from numpy.typing import NDArray
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from training_records import as_text, conversations

from ros2_llava_phi.assistant.answer import YES_NO
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.bags.bag import IMAGE, Storage, Transport
from ros2_llava_phi.bags.bag_writer import write_bag
from ros2_llava_phi.bags.keyframes import KeyframeSelection
from ros2_llava_phi.cli.main import main
from ros2_llava_phi.datasets.llava import read_llava
from ros2_llava_phi.datasets.sheet import read_questions, read_sheet
from ros2_llava_phi.errors import DataError
from ros2_llava_phi.imaging.pictures import read_picture

SECOND = 10**9
START_NS = 1_760_000_000 * SECOND


def view(x: int) -> NDArray[np.uint8]:
    """Return a grey picture with a white box of an eighth of its width."""
    image = np.full((96, 128, 3), 90, np.uint8)
    image[40:60, x : x + 16] = 255
    return image


def frames(
    places: list[int], topic: str = '/front', rate: int = 10
) -> Iterator[tuple[str, Frame]]:
    for index, x in enumerate(places):
        stamp_ns = START_NS + index * SECOND // rate
        yield topic, Frame(view(x), stamp_ns=stamp_ns, frame_id='optical')


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return what runs the command in this process: exit code, stdout, stderr."""

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['llava-phi', *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    return command


Run = Callable[..., tuple[int, str, str]]


def rows(out: Path) -> list[dict[str, str]]:
    with (out / 'questions.csv').open(encoding='utf-8-sig', newline='') as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize('storage', Storage)
@pytest.mark.parametrize('transport', Transport)
def test_at_a_rate_and_nothing_twice(
    tmp_path: Path, run: Run, storage: Storage, transport: Transport
) -> None:
    # Two seconds of standing still, then three of moving; ten pictures a second.
    places = [0] * 20 + [4 * step for step in range(30)]
    write_bag(tmp_path / 'bag', storage, frames(places), transport=transport)
    code, said, _ = run('extract', tmp_path / 'bag', '-o', tmp_path / 'out', '--rate', '2')
    assert code == 0 and '1 of 50' not in said
    found = rows(tmp_path / 'out')
    assert [float(row['stamp']) - START_NS / 1e9 for row in found] == [0, 2.5, 3, 3.5, 4, 4.5]
    assert '6 of 50 frames (6 of /front), 4 left out that look alike' in said
    assert {(row['scene'], row['camera'], row['question']) for row in found} == {
        ('bag', '/front', '')
    }
    moved = read_picture(tmp_path / 'out' / found[1]['frame']).astype(int) - view(20)
    assert np.abs(moved).max() < 30


def test_on_change(tmp_path: Path, run: Run) -> None:
    # A box that comes into a picture in which nothing else happens, and goes.
    places = [-16] * 10 + [40] * 10 + [-16] * 10 + [80] * 10
    images = [np.full((96, 128, 3), 90, np.uint8) if x < 0 else view(x) for x in places]
    write_bag(
        tmp_path / 'bag',
        Storage.MCAP,
        (
            ('/front', Frame(image, START_NS + index * SECOND // 10, 'optical'))
            for index, image in enumerate(images)
        ),
    )
    arguments = ('extract', tmp_path / 'bag', '--on-change')
    assert run(*arguments, '0.02', '-o', tmp_path / 'some')[0] == 0
    stamps = [float(row['stamp']) - START_NS / 1e9 for row in rows(tmp_path / 'some')]
    assert stamps == [0, 1, 3]
    assert run(*arguments, '0.5', '-o', tmp_path / 'much')[0] == 0
    assert len(rows(tmp_path / 'much')) == 1


def test_two_cameras_questions_scenes_and_png(tmp_path: Path, run: Run) -> None:
    places = [4 * step for step in range(30)]
    both = zip(frames(places, '/front', 1), frames(places, '/rear/image', 1), strict=True)
    one_by_one = (frame for pair in both for frame in pair)
    write_bag(tmp_path / 'bag', Storage.SQLITE3, one_by_one, transport=Transport.RAW)
    asked = tmp_path / 'asked.csv'
    asked.write_text('question,kind,choices\nHow many?,number,\nWhich?,choice,box|car\n')
    out = tmp_path / 'out'
    arguments = ('-o', out, '--questions', asked, '--scene-seconds', '10', '--png')
    assert run('extract', tmp_path / 'bag', *arguments)[0] == 0
    found = rows(out)
    assert len(found) == 2 * 2 * 30
    assert {row['scene'] for row in found} == {'bag-0000', 'bag-0001', 'bag-0002'}
    assert {row['camera'] for row in found} == {'/front', '/rear/image'}
    assert (read_picture(out / found[0]['frame']) == view(0)).all()
    assert [found[1][name] for name in ('question', 'kind', 'choices')] == [
        'Which?',
        'choice',
        'box|car',
    ]
    run('extract', tmp_path / 'bag', '-o', tmp_path / 'rear', '--topic', '/rear/image')
    assert {row['camera'] for row in rows(tmp_path / 'rear')} == {'/rear/image'}


def test_a_comma_in_a_choice_is_refused(tmp_path: Path) -> None:
    asked = tmp_path / 'asked.csv'
    asked.write_text('question,kind,choices\nWhat now?,choice,"stop, wait|go"\n')
    with pytest.raises(
        DataError, match=r'line 2: choices: no comma may stand in one \(stop, wait'
    ):
        read_questions(asked)


def test_a_filled_sheet_becomes_training_data(tmp_path: Path, run: Run) -> None:
    write_bag(tmp_path / 'bag', Storage.MCAP, frames([0, 20, 40, 60, 80, 100], rate=1))
    out = tmp_path / 'out'
    run('extract', tmp_path / 'bag', '-o', out)
    answers = [
        ('Is there a box?', 'Yes_No', '', 'YES'),
        ('How many?', 'number', '', '1'),
        ('Which side?', 'choice', 'left|right', 'Right'),
        ('What ist "it", bitte?', '', '', 'Ein weißes Kästchen; sonst nichts'),
        ('Is it far?', 'yes_no', '', 'maybe'),
        ('And now?', '', '', ''),
    ]
    names = ('question', 'kind', 'choices', 'answer')
    filled = [
        {**row, **dict(zip(names, each, strict=True))}
        for row, each in zip(rows(out), answers, strict=True)
    ]
    # As a spreadsheet of a country that writes decimals with a comma saves it.
    with (out / 'filled.csv').open('w', encoding='utf-8-sig', newline='') as file:
        writer = csv.DictWriter(file, filled[0].keys(), delimiter=';')
        writer.writeheader()
        writer.writerows(filled)

    code, said, complained = run('import', out / 'filled.csv', '-o', out / 'data.json')
    assert code == 0 and '4 questions about 1 scene\n' in said
    assert 'maybe' in complained and 'line 7' in complained
    found = conversations(read_llava(out / 'data.json', out))
    assert [each.kind for each in found] == ['yes_no', 'number', 'choice', 'free_text']
    # As the assistant expects answers, whatever way people write them.
    assert [each.turns[0].answer for each in found] == [
        YES_NO[0],
        '1',
        'right',
        'Ein weißes Kästchen; sonst nichts',
    ]
    # In the words in which the assistant will ask.
    assert as_text(found[0].turns[0]) == (
        '<image>\nIs there a box?\nAnswer the question using a single word or phrase.'
    )
    assert 'Answer with one of: left, right.' in as_text(found[2].turns[0])
    assert {each.scene for each in found} == {'bag'}
    assert all(each.pictures[0].is_file() for each in found)
    in_sheet = list(read_sheet(out / 'filled.csv', out))[:4]
    assert [each.turns for each in conversations(in_sheet)] == [each.turns for each in found]

    code, _, complained = run('import', out / 'filled.csv', '-o', out / 'data.json')
    assert code == 2 and 'exists already' in complained


def test_messages_that_a_recording_lacks_are_counted(tmp_path: Path, run: Run) -> None:
    bag = tmp_path / 'bag'
    write_bag(bag, Storage.SQLITE3, frames([4 * step for step in range(30)], rate=1))
    metadata = bag / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('message_count: 30', 'message_count: 90'))
    code, _, complained = run('extract', bag, '-o', tmp_path / 'out')
    assert code == 0 and complained.count('\n') == 1
    assert f'{bag}: 30 of 90 messages on /front are readable' in complained
    assert len(rows(tmp_path / 'out')) == 30


@pytest.mark.parametrize('storage', Storage)
def test_a_recording_that_breaks_off_keeps_what_there_is(
    tmp_path: Path, run: Run, storage: Storage
) -> None:
    """As after a power cut: the end of the file is missing, and no metadata.yaml was written."""
    bag, places = tmp_path / 'bag', [4 * step for step in range(30)]
    write_bag(bag, storage, frames(places, rate=1), transport=Transport.RAW)
    (bag / 'metadata.yaml').unlink()
    (file,) = bag.iterdir()
    with file.open('r+b') as data:
        data.truncate(int(0.6 * file.stat().st_size))
    code, said, complained = run('extract', bag, '-o', tmp_path / 'out')
    found = rows(tmp_path / 'out')
    assert code == 0 and 10 < len(found) < 30
    assert f'{len(found)} of {len(found)} frames' in said
    assert f'{bag}: {file.name} ' in complained and complained.count('\n') == 1
    assert [float(row['stamp']) - START_NS / 1e9 for row in found] == list(range(len(found)))
    file.write_bytes(b'nothing')
    code, _, complained = run('extract', bag, '-o', tmp_path / 'none')
    assert code == 2 and complained.count('\n') == 1
    assert not (tmp_path / 'none').exists()


@pytest.mark.parametrize('option', ['--scene-seconds', '--rate', '--on-change'])
@pytest.mark.parametrize('number', ['nan', 'inf', '-1'])
def test_numbers_that_are_none_are_refused(
    tmp_path: Path, run: Run, option: str, number: str
) -> None:
    code, _, complained = run('extract', tmp_path, '-o', tmp_path / 'out', option, number)
    assert code == 2 and complained.count('\n') == 1
    assert f"Invalid value for '{option}'" in complained


def test_the_other_recordings_are_read_all_the_same(tmp_path: Path, run: Run) -> None:
    places = [4 * step for step in range(30)]
    write_bag(tmp_path / 'a', Storage.MCAP, frames(places, rate=1))
    # No frame of another recording is taken twice.
    again = places[:10] + [x + 2 for x in places[:10]]
    write_bag(tmp_path / 'b', Storage.MCAP, frames(again, rate=1))
    bags = [tmp_path / name for name in ('a', 'gone', 'b')]
    code, _, complained = run('extract', *bags, '-o', tmp_path / 'out')
    assert code == 2 and 'gone does not exist' in complained and ': 40 frames' in complained
    assert {row['scene'] for row in rows(tmp_path / 'out')} == {'a', 'b'}


def test_a_rate_that_does_not_divide_the_cameras_is_kept_on_average() -> None:
    choice = KeyframeSelection(rate_hz=10.0)
    due = [choice.is_due(START_NS + index * SECOND // 30) for index in range(300)]
    assert due[0] and sum(due) in (99, 100, 101)
    # A clock that is set back does not stop it.
    assert any(choice.is_due(index * SECOND // 30) for index in range(4))


@pytest.mark.parametrize(('damaged', 'refused'), [(1, False), (2, True)])
def test_of_frames_that_lost_data_one_in_a_hundred_is_left_out_and_no_more(
    tmp_path: Path, run: Run, damaged: int, refused: bool
) -> None:
    pictures = [as_jpeg(Image.fromarray(view(3 * index))) for index in range(30)]
    for index in range(damaged):
        pictures[4 * index + 3] = cut_and_ended(pictures[4 * index + 3], random.Random(index))
    write_compressed(tmp_path / 'bag', pictures)
    code, said, complained = run('extract', tmp_path / 'bag', '-o', tmp_path / 'out')
    assert 'lost data' in complained
    if refused:
        assert code == 2 and not (tmp_path / 'out').exists()
        assert f'{damaged} of 30 pictures lost data, more than 1%' in complained
    else:
        assert code == 0 and '29 of 30 frames' in said
        assert '1 of /front are left out' in complained


def test_frames_with_the_zero_bytes_of_webcams_are_kept_and_counted(
    tmp_path: Path, run: Run
) -> None:
    whole = [as_jpeg(Image.fromarray(view(9 * index))) for index in range(4)]
    write_compressed(tmp_path / 'bag', [each[:-2] + bytes(20) + each[-2:] for each in whole])
    code, said, complained = run('extract', tmp_path / 'bag', '-o', tmp_path / 'out', '--png')
    assert code == 0 and '4 of 4 frames' in said
    assert '4 of /front have extraneous bytes, which lost nothing' in complained
    for row, each in zip(rows(tmp_path / 'out'), whole, strict=True):
        assert (read_picture(tmp_path / 'out' / row['frame']) == read_picture(each)).all()


def test_frames_of_twelve_bits_are_as_bright_as_they_were(tmp_path: Path, run: Run) -> None:
    grey = view(40)[..., 0].astype(np.uint16) * 16
    pictures = [cv2.imencode('.png', grey)[1].tobytes()]
    write_compressed(tmp_path / 'bag', pictures, 'mono16; png compressed ')
    arguments = ('extract', tmp_path / 'bag', '--png')
    code, _, complained = run(*arguments, '-o', tmp_path / 'dark')
    assert code == 2 and 'set significant_bits to that' in complained
    assert run(*arguments, '-o', tmp_path / 'out', '--significant-bits', '12')[0] == 0
    (row,) = rows(tmp_path / 'out')
    found = read_picture(tmp_path / 'out' / row['frame']).astype(int)
    assert np.abs(found - view(40)).max() <= 1


def write_topics(path: Path, topics: dict[str, str], message: object = None) -> None:
    types = get_typestore(Stores.ROS2_JAZZY)
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, kind in topics.items():
            connection = writer.add_connection(topic, kind, typestore=types)
            if message is not None:
                writer.write(connection, START_NS, types.serialize_cdr(message, kind))


def test_recordings_without_frames_are_refused_in_one_line(tmp_path: Path, run: Run) -> None:
    out = tmp_path / 'out'
    types = get_typestore(Stores.ROS2_JAZZY).types
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](0, 0), '')
    depth = types[IMAGE](header, 2, 2, '32FC1', 0, 8, np.zeros(16, np.uint8))
    write_topics(tmp_path / 'other', {'/scan': 'sensor_msgs/msg/LaserScan'})
    write_topics(tmp_path / 'none', {'/front': IMAGE})
    write_topics(tmp_path / 'depth', {'/depth': IMAGE}, depth)
    write_bag(tmp_path / 'good', Storage.MCAP, frames([0]))
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'mine').write_text('mine')
    for arguments, sentence in (
        (['gone', '-o', out], 'gone does not exist'),
        (['other', '-o', out], 'only /scan (sensor_msgs/msg/LaserScan)'),
        (['none', '-o', out], 'there are no frames on the image topics'),
        (['depth', '-o', out], "the encoding '32FC1'"),
        (['good', '-o', out, '--topic', '/rear'], 'it has them on /front'),
        (['good', '-o', tmp_path / 'full'], 'is not empty'),
        (['good', '-o', out, '--questions', 'gone.txt'], 'gone.txt cannot be read'),
    ):
        code, _, complained = run('extract', tmp_path / str(arguments[0]), *arguments[1:])
        assert code == 2 and complained.count('\n') == 1, complained
        assert sentence in complained
        assert not out.exists()
    assert (tmp_path / 'full' / 'mine').read_text() == 'mine'


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ('', "line 1: there is no column 'frame'"),
        ('frame,question\n', "there is no column 'answer'"),
        ('frame,question,answer\n', 'holds no records'),
        ('frame,question,answer\na.jpg,"What', 'unexpected end of data'),
        ('frame,question,answer,kind\na.jpg,What?,That.,riddle\n', 'kind: it must be one of'),
        ('frame,question,answer\na.jpg,What?,Yes, a box\n', 'more cells than names'),
        ('frame,question,answer\n../a.jpg,What?,That.\n', 'outside the folder'),
    ],
)
def test_damaged_sheets_are_refused_in_one_line(
    tmp_path: Path, run: Run, content: str, sentence: str
) -> None:
    (tmp_path / 'sheet.csv').write_text(content)
    code, _, complained = run('import', tmp_path / 'sheet.csv', '-o', tmp_path / 'data.json')
    assert code == 2 and complained.count('\n') == 1, complained
    assert 'sheet.csv' in complained and sentence in complained
    assert not (tmp_path / 'data.json').exists()
