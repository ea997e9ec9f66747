"""Pictures, whatever they are given as, to RGB; and RGB to a picture inside a page."""

import base64
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ros2_llava_phi.errors import FrameError, described

FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF')
# Beyond any camera, and small enough (192 MiB as RGB) not to exhaust the memory.
MOST_PIXELS = 64 * 2**20
# A path, the bytes of a picture file, a PIL picture, or RGB.
Picture = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[Any]


def to_rgb(picture: Picture) -> NDArray[np.uint8]:
    """
    Return whatever a picture is given as, as RGB: uint8 [height, width, 3].

    A path and the bytes of a picture file are read by `read_picture`. A PIL picture is converted;
    what is transparent becomes opaque. An array has the form already, and is not copied; whether
    it is BGR in truth, nobody can tell. Nothing is turned as EXIF may say.

    Raises FrameError for anything else; it says what would be right.
    """
    if isinstance(picture, Image.Image):
        picture = _converted(picture)
    elif isinstance(picture, (bytearray, memoryview)):
        picture = read_picture(bytes(picture))
    elif isinstance(picture, (str, bytes, os.PathLike)):
        picture = read_picture(picture)
    if not isinstance(picture, np.ndarray):
        raise FrameError(
            'a picture is a path, the bytes of a picture file, a PIL picture, or an RGB array, '
            f'not {described(picture)}'
        )
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise FrameError(
            'an RGB array is uint8 of shape [height, width, 3], '
            f'not {picture.dtype} {list(picture.shape)}{_remedy(picture)}'
        )
    if 0 in picture.shape:
        raise FrameError(f'a picture has at least one pixel, not {list(picture.shape)}')
    return np.asarray(picture)


def _converted(picture: Image.Image) -> NDArray[np.uint8]:
    try:
        check_picture(picture)
        return np.asarray(picture.convert('RGB'))
    except FrameError as error:
        raise FrameError(f'{described(picture)} cannot be used: {error}') from error
    except Exception as error:
        # Pillow raises whatever comes up in a damaged file, or in one that was closed.
        raise FrameError(f'{described(picture)} cannot be read: {error}') from error


def _remedy(array: NDArray[Any]) -> str:
    if array.dtype == np.uint8 and array.ndim == 2:
        return '; a grey one is np.stack([grey] * 3, axis=-1)'
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 4:
        return '; without alpha it is rgba[..., :3]'
    return ''


def read_picture(source: str | os.PathLike[str] | bytes) -> NDArray[np.uint8]:
    """
    Return a picture file, or the bytes of one, as RGB: uint8 [height, width, 3].

    It is not turned as EXIF may say. Raises FrameError, naming the file, if it is missing, cut
    off, damaged, of another format, far too large, or has more than 8 bits a channel.
    """
    if isinstance(source, bytes):
        name = f'the picture of {len(source)} bytes'
    else:
        name = os.fsdecode(source) or "''"
    try:
        with opened_picture(source) as picture:
            return np.asarray(picture.convert('RGB'))
    except FrameError as error:
        detail = f' ({error.__cause__})' if error.__cause__ else ''
        raise FrameError(f'{name} cannot be read: {error}{detail}') from error


@contextmanager
def opened_picture(source: str | os.PathLike[str] | bytes) -> Iterator[Image.Image]:
    """
    Open a picture file, or the bytes of one; the pixels are decoded when they are used.

    Raises FrameError, also for what comes up within the block: what is wrong, without the name.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file, formats=FORMATS) as picture:
            check_picture(picture)
            yield picture
    except FrameError:
        raise
    except FileNotFoundError:
        raise FrameError('there is no such file') from None
    except IsADirectoryError:
        raise FrameError('it is a folder') from None
    except UnidentifiedImageError:
        raise FrameError(f'it is none of {", ".join(FORMATS)}') from None
    except Image.DecompressionBombError as error:
        raise FrameError(f'it has more than {MOST_PIXELS} pixels') from error
    except Exception as error:
        # Of the system's own errors only those have a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise FrameError(os.strerror(error.errno)) from None
        # Pillow raises OSError, SyntaxError, ValueError, TypeError and more for a damaged file.
        raise FrameError('it is damaged or cut off') from error


def check_picture(picture: Image.Image) -> None:
    """Raise FrameError for what `convert('RGB')` would exhaust the memory with, or distort."""
    if picture.width * picture.height > MOST_PIXELS:
        raise FrameError(f'it has more than {MOST_PIXELS} pixels')
    if picture.mode[0] in 'IF':  # which Pillow would cut off at white
        raise FrameError('it has more than 8 bits a channel')


def jpeg_uri(image: NDArray[np.uint8], quality: int = 90, most_width: int | None = None) -> str:
    """
    Return an RGB picture, uint8 [height, width, 3], as a JPEG inside a URI (RFC 2397).

    quality: 0..100. most_width: in pixels; a wider one is made smaller.
    """
    height, width = image.shape[:2]
    if most_width is not None and width > most_width:
        size = most_width, max(1, round(height * most_width / width))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}'
