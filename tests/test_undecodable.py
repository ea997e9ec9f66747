"""Where no frame can be decoded, a run ends with 2 and says why; where some cannot, it counts."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from replay_stand_in import START_NS, Scripted, picture
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from video_packets import encode, number_of, write_video

from ros2_llava_phi.bags.bag import COMPRESSED_IMAGE, IMAGE, PICTURE_TYPES
from ros2_llava_phi.bags.recorded_frame import count_by_reason
from ros2_llava_phi.cli.main import main
from ros2_llava_phi.imaging.pictures import read_picture

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return what runs the command with a scripted assistant: exit code, stdout, stderr."""
    monkeypatch.setattr('ros2_llava_phi.assistant.load.load', lambda *_: Scripted())

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['llava-phi', *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    return command


def compressed(kind: str) -> bytes:
    """Return a picture as bytes, in some format of Pillow."""
    stream = io.BytesIO()
    Image.fromarray(picture('red')).save(stream, kind)
    return stream.getvalue()


def write_cameras(path: Path, cameras: dict[str, list[tuple[str, bytes]]]) -> Path:
    """Write a recording of cameras, each with the format and the data of its pictures."""
    types = get_typestore(Stores.ROS2_JAZZY)
    known: Any = types.types
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, pictures in cameras.items():
            kind = IMAGE if pictures[0][0] == '16UC1' else COMPRESSED_IMAGE
            connection = writer.add_connection(topic, kind, typestore=types)
            for index, (named, content) in enumerate(pictures):
                at_ns = START_NS + index * 500_000_000
                time = known['builtin_interfaces/msg/Time'](at_ns // 10**9, at_ns % 10**9)
                header = known['std_msgs/msg/Header'](time, 'optical')
                data = np.frombuffer(content, np.uint8)
                if kind == IMAGE:
                    message = known[kind](header, 2, 2, named, 0, 4, data)
                else:
                    message = known[kind](header, named, data)
                writer.write(connection, at_ns, types.serialize_cdr(message, kind))
    return path


KINDS = [
    ('webp', compressed('WEBP'), 'WebP'),
    ('16UC1', bytes(8), '16UC1'),
    ('16UC1; compressedDepth png', b'\x00' * 12 + compressed('PNG'), '16UC1'),
    ('av1', b'\x12\x00\x0a\x0a', "'av1' is video that is not read"),
    ('h264', b'\x00\x00\x00\x01\x41' + b'\x9a' * 40, "'h264', it builds on pictures from before"),
    ('jpeg', b'', 'no data'),
    ('jpeg', compressed('JPEG')[:200], 'JPEG'),
]
QUESTION = 'questions:\n  - {question: "Is it red?", kind: yes_no, when: {%s}}\n'


@pytest.mark.parametrize(('named', 'data', 'why'), KINDS, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize('when', ['every_s: 0.5', 'on_change: 0.1'])
def test_replay_of_what_cannot_be_decoded(
    tmp_path: Path, run: Run, named: str, data: bytes, why: str, when: str
) -> None:
    bag = write_cameras(tmp_path / 'bag', {'/front': [(named, data)] * 6})
    (tmp_path / 'questions.yaml').write_text(QUESTION % when)
    arguments = ('--questions', tmp_path / 'questions.yaml', '-o', tmp_path / 'out')
    code, _, complained = run('replay', bag, *arguments)
    assert code == 2 and complained.count('\n') == 1, complained
    assert 'no frame of /front in bag can be decoded' in complained and why in complained
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    asked = 1 if 'on_change' in when else 6
    note = f'{asked} of the {asked} frames of /front that were asked about cannot be decoded'
    assert note in ' '.join(summary['recordings'][0]['notes'])
    assert note in (tmp_path / 'out' / 'report.html').read_text()


@pytest.mark.parametrize(('named', 'data', 'why'), KINDS, ids=lambda value: str(value)[:20])
def test_extract_of_what_cannot_be_decoded(
    tmp_path: Path, run: Run, named: str, data: bytes, why: str
) -> None:
    bag = write_cameras(tmp_path / 'bag', {'/front': [(named, data)] * 6})
    code, _, complained = run('extract', bag, '-o', tmp_path / 'out')
    assert code == 2 and complained.count('\n') == 1 and why in complained, complained
    assert not (tmp_path / 'out').exists()


def test_a_camera_beside_one_that_cannot_be_decoded(tmp_path: Path, run: Run) -> None:
    good, bad = ('png', compressed('PNG')), ('webp', compressed('WEBP'))
    bag = write_cameras(tmp_path / 'bag', {'/front': [good] * 6, '/rear': [bad] * 6})
    questions = tmp_path / 'questions.yaml'
    questions.write_text(
        'questions:\n  - {question: "Is it red?", kind: yes_no, camera: front}\n'
        '  - {question: "Is it red?", kind: yes_no, camera: rear}\n'
    )
    code, _, complained = run('replay', bag, '--questions', questions, '-o', tmp_path / 'out')
    assert code == 2 and 'no frame of rear in bag can be decoded' in complained
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert summary['scores']['answered'] == 6 and summary['scores']['refused'] == {'BAD_FRAME': 6}
    code, _, complained = run('extract', bag, '-o', tmp_path / 'set')
    assert code == 2 and 'no frame of /rear can be decoded' in complained
    assert 'what could be read is in' in complained
    assert (tmp_path / 'set' / 'questions.csv').is_file()


def test_some_frames_that_cannot_be_decoded_are_counted_by_reason(
    tmp_path: Path, run: Run
) -> None:
    good = ('png', compressed('PNG'))
    others = [('webp', compressed('WEBP'))] * 2 + [('av1', b'\x12\x00')]
    bag = write_cameras(tmp_path / 'bag', {'/front': [good, *others, good]})
    (tmp_path / 'questions.yaml').write_text(QUESTION % 'every_s: 0.5')
    arguments = ('--questions', tmp_path / 'questions.yaml', '-o', tmp_path / 'out')
    code, _, complained = run('replay', bag, *arguments)
    assert code == 0
    assert '3 of the 5 frames of /front that were asked about cannot be decoded' in complained
    assert '2 of them: ' in complained and "1 of them: the format 'av1'" in complained
    code, _, complained = run('extract', bag, '-o', tmp_path / 'set', '--rate', '2')
    assert code == 0 and '3 of /front are left out, which cannot be decoded: 2 of' in complained


def test_reasons_that_differ_in_numbers_are_one() -> None:
    same = [f'the picture at {n} ns on /a cannot be decoded: {n} bytes are few' for n in range(9)]
    assert count_by_reason(same) == '0 bytes are few'
    mixed = count_by_reason([*same, 'b', 'b', 'c', 'd', 'e'])
    assert mixed == '9 of them: 0 bytes are few; 2 of them: b; 1 of them: c; 2 for other reasons'


@pytest.mark.parametrize('kind', PICTURE_TYPES[1:])
def test_replay_and_extract_of_video(tmp_path: Path, run: Run, kind: str) -> None:
    """Cut off before the first key frame, so that some frames are refused, and counted."""
    packets = encode('h264', count=60, gop=20)[10:]
    bag = write_video(tmp_path / 'bag', [each.data for each in packets], kind)
    (tmp_path / 'questions.yaml').write_text(QUESTION % 'every_s: 0.05')
    arguments = ('--questions', tmp_path / 'questions.yaml', '-o', tmp_path / 'out')
    code, _, complained = run('replay', bag, *arguments)
    assert code == 0
    assert '10 of the 50 frames of /front/video that were asked about cannot' in complained
    assert 'before the first key frame' in complained
    code, _, complained = run('extract', bag, '-o', tmp_path / 'set', '--rate', '20', '--png')
    assert code == 0 and '10 of /front/video are left out' in complained
    kept = sorted((tmp_path / 'set').rglob('*.png'))
    assert [number_of(read_picture(each)) for each in kept] == list(range(20, 60))


def test_without_pyav_nothing_is_asked(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = write_video(tmp_path / 'bag', [each.data for each in encode('h264')])
    (tmp_path / 'questions.yaml').write_text(QUESTION % 'every_s: 1')
    monkeypatch.setitem(sys.modules, 'av', None)
    arguments = ('--questions', tmp_path / 'questions.yaml', '-o', tmp_path / 'out')
    for verb in (('replay', bag, *arguments), ('extract', bag, '-o', tmp_path / 'set')):
        code, _, complained = run(*verb)
        assert code == 2 and complained.count('\n') == 1
        assert "pip install 'av>=" in complained
    # Whoever installs it goes on with the same command.
    monkeypatch.delitem(sys.modules, 'av')
    assert run('replay', bag, *arguments)[0] == 0
