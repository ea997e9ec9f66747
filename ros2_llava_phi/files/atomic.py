"""
Files and folders that are written whole, or not at all, whenever the process is killed.

Three cases: a file, which may replace an older one; a folder of the user's, which must be new; and
a folder of our own among others, which may replace an older one.
"""

import functools
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ros2_llava_phi.errors import FileError, InputError

from .locks import Lock

# What a killed process leaves of a file, or of a folder of our own, ends so.
PARTIAL = '.partial'
# Nobody writes one file for as long as this, in seconds.
LONG_AGO = 24 * 3600.0
# In a new folder while it is written, and locked: what is found unlocked was left by a killed
# process. The lock is on the folder itself, so that no lock file is left beside it.
UNFINISHED = '.unfinished'
# In that, what moves to its place and its marks: what of it has arrived is not whole yet.
MOVING = '.moving'


def write_atomically(
    path: Path, content: str | bytes, error: type[InputError] = FileError
) -> None:
    """
    Write a file, text as UTF-8: afterwards it is whole and on the disk, or as it was before.

    Several threads, processes and machines may write one file at once; the last one counts. The
    folder is made if need be; what a process that was killed a day ago left in it is removed.
    Raises `error`, which names the file, if it cannot be written.
    """
    _check_path(path, error)
    partial = path.with_name(f'.{path.name}.{secrets.token_hex(8)}{PARTIAL}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path.parent)
        # Not by tempfile, whose files only their owner can read.
        with partial.open('xb') as file:
            file.write(content.encode() if isinstance(content, str) else content)
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    except BaseException as reason:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(reason, OSError):
            raise error(_unwritable(path, reason)) from reason
        raise


@functools.cache
def _remove_left(folder: Path) -> None:
    """Remove, once in a process, what was left of files by processes that were killed."""
    with suppress(OSError):
        for left in folder.glob(f'.*.{"[0-9a-f]" * 16}{PARTIAL}'):
            if time.time() - left.lstat().st_mtime > LONG_AGO:
                left.unlink()


@contextmanager
def replace_folder(place: Path, error: type[InputError] = FileError) -> Iterator[Path]:
    """
    Yield a folder to write into, which comes to stand at its place once it is whole and on disk.

    An older one there is removed then; on any exception within, it stays as it is. One process at
    a time may write a place; what a killed one left is removed first. Raises `error`, which names
    the place, if it cannot be written.
    """
    _check_path(place, error)
    partial = place.with_name(place.name + PARTIAL)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        _sync_all(partial)
        shutil.rmtree(place, ignore_errors=True)
        partial.rename(place)
        _sync(place.parent)
    except BaseException as reason:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(reason, OSError):
            raise error(_unwritable(place, reason)) from reason
        raise


def remove_partial(folder: Path) -> None:
    """Remove what killed processes have left in a folder that only one process writes into."""
    for left in folder.glob(f'*{PARTIAL}'):
        _remove([left])


@contextmanager
def new_folder(out: Path, error: type[InputError] = FileError) -> Iterator[Path]:
    """
    Yield a folder to write into, what is in which comes to stand in `out` once whole and on disk.

    What was written last arrives last, so that what says that all is there is not there before.
    On any exception within, nothing of it stays. What a killed process left unfinished is removed
    first, and nothing that others may have put there.

    Raises `error` if `out` is not empty or cannot be written, then, too, or if another process
    is writing it.
    """
    _check_path(out, error)
    unfinished, mine, lock = out / UNFINISHED, list[Path](), None
    try:
        _check_new(out, error)
        mine = [place for place in (unfinished, out, *out.parents) if not place.exists()]
        unfinished.mkdir(parents=True, exist_ok=True)
        try:
            lock = Lock(unfinished, os.O_DIRECTORY | os.O_NOFOLLOW)
        except BlockingIOError as reason:
            mine = []  # All that is there is the other's.
            raise error(f'{out} is being written by another process') from reason
        _check_new(out, error)  # again: whoever had it locked may have finished it
        mine = [unfinished, *mine]
        _empty(unfinished, out)
        yield unfinished
        _move(unfinished, out, error)
    # An interrupt, too, which may come before anything is locked.
    except BaseException as reason:
        if unfinished in mine:
            with suppress(OSError):
                _empty(unfinished, out)
        _remove_empty(mine)
        if isinstance(reason, OSError):
            raise error(_unwritable(out, reason)) from reason
        raise
    finally:
        if lock is not None:
            lock.close()


def move_in_order(paths: Sequence[Path], folder: Path) -> None:
    """
    Move files and folders, which are on disk, into a folder; the last one is there last.

    Even after a power cut none is there without all before it. Raises OSError.
    """
    for path in paths:
        path.rename(folder / path.name)
        _sync(folder)


def _check_path(path: Path, error: type[InputError]) -> None:
    """Raise `error` for what no file system takes; it may come from a file of settings."""
    if '\0' in str(path):
        raise error(f'{str(path)!r} cannot be written: a path has no NUL character')


def _check_new(out: Path, error: type[InputError]) -> None:
    """Raise `error` if `out` is a file, or holds more than what a killed process left there."""
    if out.exists() and not out.is_dir():
        raise error(f'{out} is a file; give a new folder')
    if out.is_dir() and set(out.iterdir()) - {out / UNFINISHED, *_arrived(out)}:
        raise error(f'{out} is not empty; give a new folder')


def _move(unfinished: Path, out: Path, error: type[InputError]) -> None:
    paths = sorted(unfinished.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    moving = unfinished / MOVING
    moving.write_text(json.dumps({path.name: _mark(path) for path in paths}))
    _sync_all(unfinished)
    for path in paths:
        if os.path.lexists(out / path.name):
            raise error(f'{out / path.name} was put there meanwhile; give a new folder')
        move_in_order([path], out)
    moving.unlink()
    unfinished.rmdir()
    _sync(out)  # Otherwise all might be taken for what a killed process left.


def _empty(unfinished: Path, out: Path) -> None:
    """Remove what was written; what has arrived comes back first, so that it stays known."""
    for path in _arrived(out):
        path.rename(unfinished / path.name)
    _remove(unfinished.iterdir())


def _arrived(out: Path) -> list[Path]:
    """Return what stands in `out` of a move that has not come to its end."""
    try:
        moving = json.loads((out / UNFINISHED / MOVING).read_bytes())
    except (OSError, ValueError, RecursionError):  # no move has begun
        return []
    if not isinstance(moving, dict):  # written by nobody here
        return []
    return [path for path in out.iterdir() if moving.get(path.name) == _mark(path)]


def _mark(path: Path) -> list[int]:
    """Return what a rename keeps, and another file of the same name has not."""
    status = path.lstat()
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, innermost first, in which nobody else has put anything."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _unwritable(path: Path, reason: OSError) -> str:
    # NumPy says only how many bytes it could not write.
    return f'{path} cannot be written: {reason.strerror or f"{reason}; is the disk full?"}'


def _sync_all(folder: Path) -> None:
    """Wait until a folder and all that is in it is on the disk."""
    for path in folder.rglob('*'):
        if not path.is_symlink():
            _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
