"""A folder that is written whole, or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .config import ModelError

# In a folder while it is written, and locked: what is found unlocked was left by a killed process.
UNFINISHED = '.unfinished'


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """
    Yield a folder to write into, what is in which comes to stand in `out` once it is whole.

    On any exception within, nothing of it stays. What a killed process left unfinished is removed
    first; it lies apart from all that others may have put there.

    Raises ModelError if `out` is not empty or cannot be written, then, too, or if another process
    is writing it.
    """
    unfinished, mine, lock = out / UNFINISHED, list[Path](), None
    try:
        check_new(out)
        mine = [place for place in (unfinished, out, *out.parents) if not place.exists()]
        unfinished.mkdir(parents=True, exist_ok=True)
        lock = os.open(unfinished, os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        check_new(out)  # again: whoever had it locked may have finished it
        mine = [unfinished, *mine]
        _remove_content(unfinished)
        yield unfinished
        for path in unfinished.iterdir():
            path.rename(out / path.name)
        unfinished.rmdir()
    except BlockingIOError as error:
        raise ModelError(f'{out} is being written by another process') from error
    # An interrupt, too, which may come before anything is locked.
    except BaseException as error:
        if unfinished in mine:
            with suppress(OSError):
                _remove_content(unfinished)
        _remove_empty(mine)
        if isinstance(error, OSError):
            # NumPy says only how many bytes it could not write.
            reason = error.strerror or f'{error}; is the disk full?'
            raise ModelError(f'{out} cannot be written: {reason}') from error
        raise
    finally:
        if lock is not None:
            os.close(lock)


def check_new(out: Path) -> None:
    """Raise ModelError if `out` is a file, or holds more than what a killed process left there."""
    if out.exists() and not out.is_dir():
        raise ModelError(f'{out} is a file; give a new folder')
    if out.is_dir() and any(path.name != UNFINISHED for path in out.iterdir()):
        raise ModelError(f'{out} is not empty; give a new folder')


def _remove_content(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, innermost first, in which nobody else has put anything."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
