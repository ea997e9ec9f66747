"""Files that grow line by line, and folders of runs that go on: kills, full disks, others."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.datasets.records import checked_path, objects_in, read_text
from ros2_llava_phi.errors import FileError, InputError, ResultsError
from ros2_llava_phi.files.atomic import new_folder, replace_folder, write_atomically
from ros2_llava_phi.files.json_lines import JsonLines, whole_lines
from ros2_llava_phi.files.run_folder import holds_run, open_run
from ros2_llava_phi.files.settings import read_json
from ros2_llava_phi.files.user_cache import user_cache


class Run(BaseModel):
    model: str
    way: str = 'offline'


def difference(field: str, before: Any, now: Any) -> str:
    return f'{field} was {before}, not {now}'


@pytest.mark.parametrize(
    ('content', 'kept'),
    [
        (b'', b''),
        (b'{"a', b''),
        (b'1\n\xe2\x80\xa8\n{"a', b'1\n\xe2\x80\xa8\n'),
    ],
)
def test_a_half_written_line_is_cut_off(tmp_path: Path, content: bytes, kept: bytes) -> None:
    path = tmp_path / 'lines.jsonl'
    path.write_bytes(content)
    assert whole_lines(path) == kept.split(b'\n')[:-1]
    with JsonLines(path, FileError) as lines:
        assert path.read_bytes() == kept
        lines.append(['{"b": 1}', '2'])
    assert path.read_bytes() == kept + b'{"b": 1}\n2\n'


def test_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / 'lines.jsonl'
    another = (
        'import sys, pathlib\n'
        'from ros2_llava_phi.errors import ResultsError\n'
        'from ros2_llava_phi.files.json_lines import JsonLines\n'
        'JsonLines(pathlib.Path(sys.argv[1]), ResultsError)\n'
    )
    command = [sys.executable, '-c', another, str(path)]
    with JsonLines(path, ResultsError) as lines:
        lines.append(['1'])
        refused = subprocess.run(command, capture_output=True, text=True)
        assert 'another process is writing' in refused.stderr and str(path) in refused.stderr
        lines.append(['2'])
    assert subprocess.run(command).returncode == 0
    assert whole_lines(path) == [b'1', b'2']


def test_a_forked_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / 'lines.jsonl'
    writing, reading = os.pipe()[::-1]
    if not (parent := os.fork()):
        lines = JsonLines(path, ResultsError)
        lines.append(['1'])
        if not os.fork():
            os.write(writing, str(os.getpid()).encode())
            signal.pause()
        signal.pause()
    child = int(os.read(reading, 100))
    try:
        with pytest.raises(ResultsError, match='another process is writing'):
            JsonLines(path, ResultsError)
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        os.kill(child, 0)  # it is still there
        JsonLines(path, ResultsError).close()
    finally:
        os.kill(child, signal.SIGKILL)
    assert whole_lines(path) == [b'1']


@pytest.mark.parametrize('fails', ['fcntl.flock', 'os.ftruncate', 'pathlib.Path.read_bytes'])
def test_a_file_that_cannot_be_gone_on_with_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Without locks, as some NFS are, for example."""
    path = tmp_path / 'lines.jsonl'

    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fails, fail)
        with pytest.raises(ResultsError, match=f'{path} cannot be written: No locks available'):
            JsonLines(path, ResultsError)
    JsonLines(path, ResultsError).close()


def test_records_are_appended_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'lines.jsonl'
    write = os.write

    def full_disk(number: int, data: bytes) -> int:
        if data.startswith(b'4'):
            return write(number, data[:1])
        if len(data) < 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(number, data)

    with JsonLines(path, ResultsError) as lines:
        lines.append(['1', '2', '3'])
        monkeypatch.setattr(os, 'write', full_disk)
        with pytest.raises(ResultsError, match=r'No space left.*; what it holds is kept'):
            lines.append(['45'])
        with monkeypatch.context() as patch:
            patch.setattr(os, 'ftruncate', lambda *_: (tmp_path / 'lost').stat())
            with pytest.raises(ResultsError, match='cannot be written: No such file'):
                lines.append(['6'])
        monkeypatch.setattr(os, 'write', write)
        lines.append(['5'])
    assert path.read_bytes() == b'1\n2\n3\n5\n'
    with pytest.raises(ResultsError, match='cannot be written: Bad file descriptor'):
        lines.append(['6'])  # closed, as it is in a forked process
    with pytest.raises(ResultsError, match=f'{tmp_path} cannot be written: '):
        JsonLines(tmp_path, ResultsError)


def test_a_run_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'out' / 'run.json'
    run = Run(model='a')
    assert not holds_run(path, run, difference, ResultsError)
    assert not path.parent.exists()
    open_run(path, run, difference, ResultsError)
    (path.parent / 'results').touch()
    before = path.read_bytes()
    open_run(path, run, difference, ResultsError)
    assert holds_run(path, run, difference, ResultsError)
    sentence = f'{path.parent} holds another run: model was a, not b; give a new folder'
    for ask in (holds_run, open_run):
        with pytest.raises(ResultsError, match=sentence):
            ask(path, Run(model='b'), difference, ResultsError)
    assert path.read_bytes() == before
    assert holds_run(path, Run(model='b'), difference, ResultsError, may_differ=['model'])
    path.write_bytes(before[:-9])
    with pytest.raises(ResultsError, match=f'{path}: .*; give a new folder, or remove that run'):
        open_run(path, run, difference, ResultsError)


def test_a_run_begins_in_no_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / 'mine').touch()
    path = tmp_path / 'run.json'
    with pytest.raises(ResultsError, match='is not empty and holds no run; give a new folder'):
        open_run(path, Run(model='a'), difference, ResultsError)
    (tmp_path / '.run.json.0a1b.partial').touch()  # of a killed process
    open_run(path, Run(model='a'), difference, ResultsError, besides=['mine'])
    inside = tmp_path / 'mine' / 'out' / 'run.json'
    with pytest.raises(ResultsError, match='cannot be written: Not a directory; name a new'):
        open_run(inside, Run(model='a'), difference, ResultsError)


def test_a_folder_that_may_not_be_searched_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    # Root may search any.
    monkeypatch.setattr(Path, 'exists', refuse)
    with pytest.raises(ResultsError, match=f'{tmp_path} cannot be read: Permission denied'):
        holds_run(tmp_path / 'run.json', Run(model='a'), difference, ResultsError)


@pytest.mark.parametrize('home', ['', 'relative', './x'])
def test_a_home_that_is_no_absolute_path_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', home)
    monkeypatch.delenv('XDG_CACHE_HOME')
    with pytest.raises(FileError, match=f"HOME is '{home}', no absolute path; let it or XDG_"):
        user_cache()
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert user_cache() == tmp_path / 'llava_phi'


def test_a_path_with_a_nul_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """As a file of settings may hold one."""
    path = tmp_path / 'a\0b'

    def write_folder(writes: Any) -> None:
        with writes(path):
            pass

    for ask in (
        lambda: write_atomically(path, 'text'),
        lambda: write_folder(new_folder),
        lambda: write_folder(replace_folder),
        lambda: open_run(path / 'run.json', Run(model='a'), difference, ResultsError),
        lambda: read_json(path, Run),
        lambda: list(objects_in(path)),
        lambda: read_text(path),
        lambda: Recording(path),
        lambda: load(path),
    ):
        with pytest.raises(InputError, match=r'NUL|null byte|does not exist|there is no'):
            ask()
    with pytest.raises(ValueError, match='holds a NUL character'):
        checked_path('a\0b')
    assert not list(tmp_path.iterdir())
