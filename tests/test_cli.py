"""The command llava-phi: what it writes, and how it refuses."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ros2_llava_phi import __version__
from ros2_llava_phi.bags.bag import COMPRESSED_IMAGE, IMAGE
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.cli import main as cli
from ros2_llava_phi.cli.options import at_home


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Make a video of 10 pictures, 20 a second."""
    path = tmp_path / 'drive.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 20.0, (64, 48))
    for index in range(10):
        writer.write(np.full((48, 64, 3), 20 * index, np.uint8))
    writer.release()
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command in this process; return its exit code."""
    monkeypatch.setattr(sys, 'argv', ['llava-phi', *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_bag_from_video(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, video: Path, storage: str
) -> None:
    out = tmp_path / 'bag'
    assert run(monkeypatch, 'bag-from-video', video, out, '--storage', storage) == 0
    assert Recording(out).image_topics() == {'/camera/image_raw/compressed': COMPRESSED_IMAGE}
    messages = list(Recording(out).frames())
    assert [message.frame_id for message in messages] == ['camera_optical_frame'] * 10
    stamps = np.array([message.stamp_ns for message in messages])
    assert np.all(np.diff(stamps) == 50_000_000)


def test_bag_from_video_heeds_its_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, video: Path
) -> None:
    out = tmp_path / 'bag'
    options = ['--raw', '--topic', '/front', '--frame-id', 'front', '--zstd']
    options += ['--start-stamp', '1700000000.5', '--rate', '100']
    assert run(monkeypatch, 'bag-from-video', video, out, *options) == 0
    assert Recording(out).image_topics() == {'/front': IMAGE}
    first, second, *_ = Recording(out).frames()
    assert first.frame_id == 'front'
    assert first.stamp_ns == 1_700_000_000_500_000_000
    assert second.stamp_ns == 1_700_000_000_510_000_000


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--topic', 'front'], "'front/compressed' is not the full name of a topic"),
        (['--start-stamp', '2147483647', '--rate', '1'], 'between 1970 and 2038'),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    video: Path,
    options: list[str],
    sentence: str,
) -> None:
    out = tmp_path / 'bag'
    assert run(monkeypatch, 'bag-from-video', video, out, *options) == 2
    printed = capsys.readouterr()
    assert printed.out == ''
    assert printed.err.startswith('llava-phi: ')
    assert printed.err.count('\n') == 1
    assert sentence in printed.err
    assert not out.exists()


def test_no_video_and_an_existing_folder_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    video: Path,
) -> None:
    (tmp_path / 'notes.txt').write_text('hello')
    assert run(monkeypatch, 'bag-from-video', tmp_path / 'notes.txt', tmp_path / 'bag') == 2
    assert 'is not a video' in capsys.readouterr().err
    assert run(monkeypatch, 'bag-from-video', video, tmp_path) == 2
    assert 'is not empty; give a new folder' in capsys.readouterr().err


@pytest.mark.parametrize(
    'options',
    [
        ['--storage', 'tape'],
        ['--rate', '0'],
        ['--rate', 'nan'],
        ['--start-stamp', 'inf'],
        ['--start-stamp', '-1'],
    ],
)
def test_impossible_options_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    video: Path,
    options: list[str],
) -> None:
    assert run(monkeypatch, 'bag-from-video', video, tmp_path / 'bag', *options) == 2
    assert options[0] in capsys.readouterr().err


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, '--version') == 0
    assert capsys.readouterr().out == f'llava-phi {__version__}\n'


def test_help_loads_nothing_heavy() -> None:
    program = (
        'import sys\n'
        'from ros2_llava_phi.cli.main import app\n'
        'app(["--help"], standalone_mode=False)\n'
        'heavy = {"torch", "cv2", "numpy", "rosbags", "rclpy", "pydantic"} & set(sys.modules)\n'
        'sys.exit(f"loaded {heavy}" if heavy else 0)\n'
    )
    finished = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert 'bag-from-video' in finished.stdout


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'Missing command'),
        (['fly'], "No such command 'fly'"),
        (['ask', 'What?'], 'image'),
        (['convert', 'a', 'b', '--layout', 'gguf'], "'gguf' is not one of"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert run(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert message in err
    assert err.endswith('See --help.\n')
    assert err.count('\n') == 1


def test_every_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No shell expands it in `--out=~/run`, nor does any where it is quoted."""
    monkeypatch.setenv('HOME', str(tmp_path))
    given: dict[str, Any] = {}
    verb = at_home(lambda **values: given.update(values))
    verb(one=Path('~/run'), some=[Path('~/a'), Path('b')], text='~/text', none=None)
    assert given == {
        'one': tmp_path / 'run',
        'some': [tmp_path / 'a', Path('b')],
        'text': '~/text',
        'none': None,
    }
    callbacks = [command.callback for command in cli.app.registered_commands]
    assert len(callbacks) > 10
    assert all(getattr(one, '__code__', None) is verb.__code__ for one in callbacks)


def test_the_videos_path_begins_at_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, video: Path
) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    assert run(monkeypatch, 'bag-from-video', f'~/{video.name}', '~/bag') == 0
    assert (tmp_path / 'bag' / 'metadata.yaml').is_file()


def test_a_path_of_nobody_is_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for command in (['inspect'], ['benchmark', '--table']):
        assert run(monkeypatch, *command, '~nobody-of-this-name/model') == 2
