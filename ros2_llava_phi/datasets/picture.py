"""Open the pictures of a data set, and find those that cannot be opened."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.errors import DataError, FrameError
from ros2_llava_phi.imaging.pictures import opened_picture, read_picture

from .records import RecordError

PORTION = 4096


def load_picture(path: Path) -> NDArray[np.uint8]:
    """
    Read a picture file as RGB, uint8 [height, width, 3]; it is not turned as EXIF may say.

    Raises DataError, naming the file, if it is missing, cut off, damaged, far too large, or has
    more than 8 bits a channel.
    """
    try:
        return read_picture(path)
    except FrameError as error:
        raise DataError(str(error)) from error


def picture_faults(
    paths: Iterable[Path], folder: Path, checked: Callable[[], object] = lambda: None
) -> dict[Path, RecordError]:
    """
    Return what is wrong with those pictures of a data set that cannot be used.

    Each is decoded to its end once, JPEG at an eighth of its size, with a thread per core.

    folder: where all of them must lie, symbolic links followed. checked: called after each.
    """
    inside = folder.resolve()

    def fault(path: Path) -> RecordError | None:
        try:
            _check_inside(path, inside)
            with opened_picture(path) as picture:
                picture.draft('RGB', (picture.width // 8, picture.height // 8))
                picture.load()
        except RecordError as error:
            return error
        except FrameError as error:
            return RecordError(f'image: {error}', f'{path}: {error.__cause__ or error}')
        finally:
            checked()
        return None

    unique = iter(dict.fromkeys(paths))
    faults: dict[Path, RecordError] = {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        # By portions, for a million tasks that wait would take a gigabyte.
        while portion := list(islice(unique, PORTION)):
            found = zip(portion, threads.map(fault, portion), strict=True)
            faults |= {path: error for path, error in found if error}
    return faults


def _check_inside(path: Path, folder: Path) -> None:
    try:
        lies_inside = path.resolve().is_relative_to(folder)
    except (OSError, ValueError, RuntimeError) as error:
        # A NUL in the name, a name too long, links in a circle.
        raise RecordError('image: it is no path', f'{path!s:.200}: {error}') from error
    if not lies_inside:
        raise RecordError('image: it lies outside the folder of the pictures', str(path))
