"""A folder that is written whole, or not at all."""

import fcntl
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .config import ModelError

# In a folder while it is written, and locked: what is found unlocked was left by a killed process.
UNFINISHED = '.unfinished'


@contextmanager
def new_folder(out: Path, reads: Iterable[Path] = ()) -> Iterator[None]:
    """
    Make a folder, or take an empty one; on any exception within, remove what was put there.

    What a killed process left unfinished is removed first.

    reads: files and folders that are read meanwhile, and so must not lie there.

    Raises ModelError if the folder is not empty, holds what is read or cannot be written, then,
    too, or if another process is writing it.
    """
    place = out.resolve()
    for path in reads:
        if place in (path.resolve(), *path.resolve().parents):
            raise ModelError(f'{out} holds {path}, which is to be read; give a new folder')
    mark, absent, ours = out / UNFINISHED, list[Path](), False
    try:
        check_new(out)
        absent = [place for place in (out, *out.parents) if not place.exists()]
        out.mkdir(parents=True, exist_ok=True)
        with mark.open('a') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            check_new(out)  # again: whoever had it locked may have finished it
            ours = True
            _remove_content(out, but=mark)
            yield
            mark.unlink()
    except BlockingIOError as error:
        raise ModelError(f'{out} is being written by another process') from error
    # An interrupt, too, which may come before anything is locked.
    except BaseException as error:
        if ours:
            _remove_content(out)
        elif out in absent:
            with suppress(OSError):
                mark.unlink()
        _remove_empty(absent)
        if isinstance(error, OSError):
            raise ModelError(f'{out} cannot be written: {error.strerror or error}') from error
        raise


def check_new(out: Path) -> None:
    """Raise ModelError if a folder holds anything but what a killed process left unfinished."""
    if out.is_dir() and not (out / UNFINISHED).is_file() and any(out.iterdir()):
        raise ModelError(f'{out} is not empty; give a new folder')


def _remove_content(folder: Path, but: Path | None = None) -> None:
    for path in folder.iterdir():
        if path != but:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, innermost first, in which nobody else has put anything."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
