"""Files and folders are written whole or not at all, whatever ends the process that writes."""

import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ros2_llava_phi.errors import FileError, ModelError
from ros2_llava_phi.files.atomic import (
    MOVING,
    PARTIAL,
    UNFINISHED,
    new_folder,
    remove_partial,
    replace_folder,
    write_atomically,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failure_takes_the_folders_above_along(tmp_path: Path) -> None:
    (tmp_path / 'mine').mkdir()
    for out in (tmp_path / 'a' / 'b' / 'out', tmp_path / 'mine' / 'out', tmp_path / 'mine'):
        message = f'{out.name} cannot be written: no space'
        with pytest.raises(FileError, match=message), new_folder(out) as folder:
            (folder / 'half').write_text('half')
            (folder / 'more').mkdir()
            raise OSError('no space')
    assert names(tmp_path) == ['mine'] and names(tmp_path / 'mine') == []
    (tmp_path / 'loop').symlink_to('loop')
    for name, reason in (('long' * 100, 'File name too long'), ('loop/x', 'Too many levels')):
        with pytest.raises(FileError, match=f'written: {reason}'), new_folder(tmp_path / name):
            pass
    assert names(tmp_path) == ['loop', 'mine']


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    if (child := os.fork()) == 0:
        with new_folder(out) as folder:
            (folder / 'half').write_text('half')
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert names(out) == [UNFINISHED] and names(out / UNFINISHED) == ['half']
    (out / 'mine').touch()
    with pytest.raises(FileError, match='out is not empty; give a new folder'), new_folder(out):
        pass
    assert names(out) == [UNFINISHED, 'mine']
    (out / 'mine').unlink()
    with new_folder(out) as folder:
        (folder / 'whole').write_text('whole')
    assert names(out) == ['whole']


def test_a_move_that_is_killed_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written last, whatever its name, is what a folder is known by."""
    out = tmp_path / 'out'

    def write(ends: Callable[[], None]) -> None:
        rename = Path.rename

        def rename_once(path: Path, to: Path) -> Path:
            if (out / 'weights').exists():
                ends()
            return rename(path, to)

        with new_folder(out) as folder:
            for age, name in enumerate(['manifest', 'weights']):
                (folder / name).write_text(name)
                os.utime(folder / name, (1000 - age, 1000 - age))
            monkeypatch.setattr(Path, 'rename', rename_once)

    if (child := os.fork()) == 0:
        write(lambda: os.kill(os.getpid(), signal.SIGKILL))
    os.waitpid(child, 0)
    assert names(out) == [UNFINISHED, 'weights']
    assert names(out / UNFINISHED) == [MOVING, 'manifest']
    # With the inode of what was removed, as a file system gives it to the next one.
    (out / 'weights').write_text('mine')
    with pytest.raises(FileError, match='out is not empty; give a new folder'), new_folder(out):
        pass
    assert (out / 'weights').read_text() == 'mine'
    (out / 'weights').write_text('weights')
    os.utime(out / 'weights', (999, 999))
    (out / 'weights').rename(tmp_path / 'kept')
    for name in ('mine', 'manifest', 'weights'):
        (out / name).write_text('mine')
        with pytest.raises(FileError, match='out is not empty; give a new f'), new_folder(out):
            pass
        assert (out / name).read_text() == 'mine'
        (out / name).unlink()
    (tmp_path / 'kept').rename(out / 'weights')

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(interrupt)
    assert names(out) == []


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    with new_folder(out) as folder:
        (folder / 'theirs').write_text('theirs')
        with pytest.raises(FileError, match='out is being written by another'), new_folder(out):
            pass
    assert names(out) == ['theirs']
    with pytest.raises(FileError, match='out is not empty; give a new folder'), new_folder(out):
        pass
    assert names(out) == ['theirs']


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    out, other = tmp_path / 'out', tmp_path / 'other'
    out.mkdir()
    other.mkdir()
    (other / 'theirs').touch()
    (out / UNFINISHED).symlink_to(other)
    with pytest.raises(FileError, match='out cannot be written'), new_folder(out):
        pass
    assert names(other) == ['theirs']


def test_an_interrupt_before_anything_is_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fcntl, 'flock', interrupt)
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / 'new' / 'out'):
        pass
    assert names(tmp_path) == []


def test_a_file_is_as_before_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'new' / 'file.json'
    write_atomically(path, 'äöü')
    assert path.read_bytes() == 'äöü'.encode()
    monkeypatch.setattr(os, 'fsync', lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, b'other')
    assert path.read_text() == 'äöü' and names(path.parent) == ['file.json']
    with pytest.raises(ModelError, match=f'{path}/below cannot be written: '):
        write_atomically(path / 'below', 'text', ModelError)


def test_a_file_that_many_write_is_one_of_theirs(tmp_path: Path) -> None:
    path = tmp_path / 'file'
    children = []
    for number in range(8):
        if not (child := os.fork()):
            for _ in range(20):
                write_atomically(path, str(number) * 100_000)
            os._exit(0)
        children.append(child)
    for child in children:
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if path.exists():
                content = path.read_text()
                assert len(content) == 100_000 and len(set(content)) == 1
    assert names(tmp_path) == ['file']


def test_a_folder_of_ours_is_as_before_or_new(tmp_path: Path) -> None:
    place = tmp_path / 'place'
    with replace_folder(place) as folder:
        (folder / 'old').touch()
    with pytest.raises(KeyboardInterrupt), replace_folder(place) as folder:
        (folder / 'half').touch()
        raise KeyboardInterrupt
    assert names(place) == ['old'] and names(tmp_path) == ['place']
    (tmp_path / f'place{PARTIAL}').mkdir()
    (tmp_path / f'place{PARTIAL}' / 'left').touch()
    with replace_folder(place) as folder:
        (folder / 'new').touch()
        assert names(place) == ['old']
    assert names(place) == ['new'] and names(tmp_path) == ['place']
    (tmp_path / f'.file.7{PARTIAL}').touch()
    (tmp_path / f'other{PARTIAL}').mkdir()
    remove_partial(tmp_path)
    assert names(tmp_path) == ['place']
