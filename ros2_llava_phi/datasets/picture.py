"""Open the pictures of a data set, and find those that cannot be opened."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ros2_llava_phi.errors import DataError

from .records import RecordError

# Beyond any camera, and small enough (192 MiB as RGB) not to exhaust the memory.
MOST_PIXELS = 64 * 2**20
PORTION = 4096
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF')


def load_picture(path: Path) -> NDArray[np.uint8]:
    """
    Read a picture file as RGB, uint8 [height, width, 3]; it is not turned as EXIF may say.

    Raises DataError, naming the file, if it is missing, cut off, damaged, far too large, or has
    more than 8 bits a channel.
    """
    try:
        with _opened(path) as picture:
            return np.asarray(picture.convert('RGB'))
    except RecordError as error:
        raise DataError(f'{path}: {error.reason} ({error.detail})') from error


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
            with _opened(path) as picture:
                picture.draft('RGB', (picture.width // 8, picture.height // 8))
                picture.load()
        except RecordError as error:
            return error
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


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise RecordError(f'image: it has more than {MOST_PIXELS} pixels', str(path))
            if picture.mode[0] in 'IF':  # which Pillow would cut off at white
                raise RecordError('image: it has more than 8 bits a channel', str(path))
            yield picture
    except RecordError:
        raise
    except FileNotFoundError as error:
        raise RecordError('image: there is no such file', str(path)) from error
    except UnidentifiedImageError as error:
        raise RecordError(f'image: it is none of {", ".join(FORMATS)}', str(path)) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow raises any of them for a damaged file.
        raise RecordError('image: it is damaged or cut off', f'{path}: {error}') from error
