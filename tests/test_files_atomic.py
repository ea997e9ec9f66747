"""Files and folders are written whole or not at all, whatever ends the process that writes."""

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
            if (out / 'weights').exists() and to.parent == out:
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


def test_a_forked_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    reading, writing = os.pipe()
    if not (parent := os.fork()):
        with new_folder(out) as folder:
            (folder / 'half').touch()
            if not os.fork():
                os.write(writing, str(os.getpid()).encode())
                signal.pause()
            signal.pause()
    child = int(os.read(reading, 100))
    try:
        with pytest.raises(FileError, match='out is being written by another'), new_folder(out):
            pass
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        os.kill(child, 0)  # it is still there
        with new_folder(out) as folder:
            (folder / 'whole').touch()
    finally:
        os.kill(child, signal.SIGKILL)
    assert names(out) == ['whole']


def test_what_arrives_last_is_on_disk_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even after a power cut, no manifest is there without the weights that it names."""
    out, on_disk, arrived = tmp_path / 'out', set[Path](), list[str]()
    rename, unlink = Path.rename, Path.unlink

    def sync(number: int) -> None:
        on_disk.add(Path(f'/proc/self/fd/{number}').readlink())

    def rename_synced(path: Path, to: Path) -> Path:
        assert {path.parent, *path.parent.rglob('*')} <= on_disk
        assert not arrived or out in on_disk
        on_disk.discard(out)
        arrived.append(path.name)
        return rename(path, to)

    def unlink_synced(path: Path) -> None:
        assert path.name == MOVING and out in on_disk
        on_disk.discard(out)
        unlink(path)

    with new_folder(out) as folder:
        (folder / 'graphs').mkdir()
        (folder / 'graphs' / 'one').touch()
        for age, name in enumerate(['graphs', 'weights', 'manifest']):
            if name != 'graphs':
                (folder / name).touch()
            os.utime(folder / name, (1000 + age, 1000 + age))
        monkeypatch.setattr(os, 'fsync', sync)
        monkeypatch.setattr(Path, 'rename', rename_synced)
        monkeypatch.setattr(Path, 'unlink', unlink_synced)
    assert arrived == ['graphs', 'weights', 'manifest']
    assert out in on_disk


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


def test_who_may_read_a_file_is_as_always(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / 'file', 'text')
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / 'file').stat().st_mode) == 0o640


def test_threads_write_one_file(tmp_path: Path) -> None:
    """As machines do that share a folder, their process numbers are the same."""
    path = tmp_path / 'file'
    contents = [str(number) * 100_000 for number in range(8)] * 20
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write_atomically, [path] * len(contents), contents))
    assert path.read_text() in contents
    assert names(tmp_path) == ['file']


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
    for reason, sentence in (
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 'place cannot be written: No space'),
        (OSError('3 bytes requested'), '3 bytes requested; is the disk full'),
    ):
        with pytest.raises(ModelError, match=sentence), replace_folder(place, ModelError):
            raise reason
    assert names(place) == ['new'] and names(tmp_path) == ['place']
    with (
        pytest.raises(FileError, match='below cannot be written: Not a directory'),
        replace_folder(place / 'new' / 'below'),
    ):
        pass
    (tmp_path / f'.file.7{PARTIAL}').touch()
    (tmp_path / f'other{PARTIAL}').mkdir()
    remove_partial(tmp_path)
    assert names(tmp_path) == ['place']


def test_who_is_killed_at_any_moment_leaves_what_the_next_one_can_remove(tmp_path: Path) -> None:
    """While it writes, moves, and removes what it wrote: each change of the disk may be the last.

    Twice in a row: the second one is killed while it removes what the first one left.
    """

    def write(out: Path, changes: int) -> bool:
        """Return whether a process that is killed before a further change came to its end."""
        if child := os.fork():
            return os.waitpid(child, 0)[1] == 0
        left = changes

        def watched(change: Callable[..., object]) -> Callable[..., object]:
            def counted(*arguments: object, **options: object) -> object:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return change(*arguments, **options)

            return counted

        setattr(os, 'fsync', lambda number: None)  # noqa: B010 - mypy knows os.fsync's type
        for name in ('mkdir', 'rename', 'unlink', 'rmdir'):
            setattr(os, name, watched(getattr(os, name)))
        for name in ('write_text', 'touch', 'symlink_to'):
            setattr(Path, name, watched(getattr(Path, name)))
        try:
            with new_folder(out) as folder:
                for name in ('first', 'second'):
                    (folder / name).mkdir()
                    (folder / name / 'one').touch()
                    (folder / name / 'two').touch()
                (folder / 'link').symlink_to('first')
                (folder / 'third').touch()
            os._exit(0)
        finally:
            os._exit(1)

    whole = ['first', 'link', 'second', 'third']
    for first in range(40):
        for second in {first * 7 % 20, (first * 11 + 3) % 20}:
            out = tmp_path / f'{first} {second}'
            ended = write(out, first) or write(out, second)
            if not ended and (not out.exists() or names(out) != [UNFINISHED, *whole]):
                assert write(out, 1000), (first, second, names(out))
            assert set(names(out)) - {UNFINISHED} == set(whole), (first, second, names(out))
        if write(tmp_path / f'{first}', first):
            return
    pytest.fail('it never came to its end')


def test_what_others_put_there_meanwhile_is_kept(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    for put in ('b', 'dangling'):
        with pytest.raises(FileError, match=f'{put} was put there m'), new_folder(out) as folder:
            for name in ('a', put):
                (folder / name).write_text('ours')
                os.utime(folder / name, (1000 + ord(name[0]), 1000 + ord(name[0])))
            if put == 'b':
                (out / 'b').write_text('theirs')
            else:
                (out / put).symlink_to('nowhere')
        assert names(out) == [put]
        assert (out / put).is_symlink() or (out / put).read_text() == 'theirs'
        (out / put).unlink()


@pytest.mark.parametrize('content', ['[1]', 'null', '"x"', '{', '{"a": null}', '[' * 100_000])
def test_what_nobody_here_wrote_is_no_move(tmp_path: Path, content: str) -> None:
    out = tmp_path / 'out'
    (out / UNFINISHED).mkdir(parents=True)
    (out / UNFINISHED / MOVING).write_text(content)
    with new_folder(out) as folder:
        (folder / 'whole').touch()
    assert names(out) == ['whole']


def test_a_link_to_a_folder_within_is_removed_as_a_link(tmp_path: Path) -> None:
    (tmp_path / 'theirs').mkdir()
    (tmp_path / 'theirs' / 'file').touch()
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / 'out') as folder:
        (folder / 'link').symlink_to(tmp_path / 'theirs')
        (folder / 'nowhere').symlink_to('nothing')
        raise KeyboardInterrupt
    assert names(tmp_path) == ['theirs'] and names(tmp_path / 'theirs') == ['file']


def test_what_was_left_of_a_file_long_ago_is_removed(tmp_path: Path) -> None:
    left = [tmp_path / f'.{name}.{"0123456789abcdef"}{PARTIAL}' for name in ('file', 'new')]
    mine = [tmp_path / name for name in (f'.mine{PARTIAL}', f'mine{PARTIAL}', '.file.0123')]
    for path in [*left, *mine]:
        path.touch()
    for path in [left[0], *mine]:
        os.utime(path, (1000, 1000))
    write_atomically(tmp_path / 'file', 'text')
    assert names(tmp_path) == sorted(['file', left[1].name, *(path.name for path in mine)])
