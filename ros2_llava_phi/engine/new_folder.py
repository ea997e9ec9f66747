"""A folder that is written whole, or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ros2_llava_phi.model.config import ModelError


@contextmanager
def new_folder(out: Path) -> Iterator[None]:
    """
    Make a folder, or take an empty one; on any exception within, remove what was put there.

    Raises ModelError if the folder is not empty or cannot be written, then, too.
    """
    try:
        was_there = out.is_dir()
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise ModelError(f'{out} is not empty; give a new folder')
    except OSError as error:
        raise ModelError(f'{out} cannot be written: {error.strerror}') from error
    try:
        yield
    except BaseException as error:
        for path in out.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not was_there:
            out.rmdir()
        if isinstance(error, OSError):
            raise ModelError(f'{out} cannot be written: {error.strerror or error}') from error
        raise
