"""Pictures, whatever they are given as, to RGB; and RGB to a picture inside a page."""

import base64
import io
import os
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from ros2_llava_phi.errors import DamagedFrameError, FrameError, InstallationError, described

from .formats import PNG_START, format_of
from .jpeg import decode_jpeg
from .pixels import MOST_PIXELS, check_size, packed_to_rgb

FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF')
MOST_BYTES = 4 * MOST_PIXELS  # of a file: that many pixels, uncompressed
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
        if isinstance(picture, JpegImageFile) and picture.tile and not picture.tell():
            # Not decoded yet: so that Pillow makes no picture of what lost data.
            file: Any = picture.fp
            file.seek(0)
            whole = _rgb(file.read(), ignore)
            if whole.shape[:2] == (picture.height, picture.width):
                return whole
        return np.asarray(picture.convert('RGB'))
    except InstallationError:
        raise
    except FrameError as error:
        raise type(error)(f'{described(picture)} cannot be used: {error}') from error
    except Exception as error:
        # Pillow raises whatever comes up in a damaged file, or in one that was closed.
        raise FrameError(f'{described(picture)} cannot be read: {error}') from error


def _remedy(array: NDArray[Any]) -> str:
    if array.dtype == np.uint8 and array.ndim == 2:
        return '; a grey one is np.stack([grey] * 3, axis=-1)'
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 4:
        return '; without alpha it is rgba[..., :3]'
    return ''


def ignore(flaw: str) -> None:
    """Do nothing about a flaw."""


def read_picture(
    source: str | os.PathLike[str] | bytes,
    on_flaw: Callable[[str], object] = ignore,
) -> NDArray[np.uint8]:
    """
    Return a picture file, or the bytes of one, as RGB: uint8 [height, width, 3].

    It is not turned as EXIF may say. A path may begin with ~.

    on_flaw: hears in a sentence of what is amiss with the data, but lost nothing.

    Raises FrameError, naming the file, if it is missing, of another format, far too large, or has
    more than 8 bits a channel; DamagedFrameError if it lost data.
    """
    if isinstance(source, bytes):
        name = f'the picture of {len(source)} bytes'
    else:
        name = os.fsdecode(source) or "''"
    try:
        return _rgb(_content(source), on_flaw=on_flaw)
    except FrameError as error:
        detail = f' ({error.__cause__})' if error.__cause__ else ''
        raise type(error)(f'{name} cannot be read: {error}{detail}') from error


def check_picture_file(
    path: str | os.PathLike[str], on_flaw: Callable[[str], object] = ignore
) -> None:
    """
    Raise FrameError where `read_picture` would, in less time; what is wrong, without the name.

    on_flaw: as of `read_picture`.
    """
    _rgb(_content(path), eighth=True, on_flaw=on_flaw)


def extraneous_bytes(count: int) -> str:
    """Return the sentence about a JPEG with extraneous bytes."""
    return f'{count} extraneous bytes before markers of the JPEG, which lost nothing'


def check_png(data: bytes) -> None:
    """
    Raise FrameError for a PNG that is far too large; DamagedFrameError where it lost data.

    That is, it is cut off, or a chunk has another checksum than it says (RFC 2083, section 3.4).
    Pillow does not look at those of a picture's data.
    """
    at, name = len(PNG_START), b''
    while name != b'IEND':
        length = int.from_bytes(data[at : at + 4], 'big')
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        checksum = data[at + 8 + length : at + 12 + length]
        if len(checksum) < 4:
            raise DamagedFrameError('the PNG is cut off')
        if zlib.crc32(name + content) != int.from_bytes(checksum, 'big'):
            raise DamagedFrameError('the PNG is damaged: a checksum is wrong')
        if name == b'IHDR' and length >= 8:
            check_size(*(int.from_bytes(content[side : side + 4], 'big') for side in (0, 4)))
        at += 12 + length


def _content(source: str | os.PathLike[str] | bytes) -> bytes:
    """Return the bytes of a picture file; raises FrameError without its name."""
    if isinstance(source, bytes):
        return source
    try:
        with open(os.path.expanduser(source), 'rb') as file:  # noqa: PTH111, PTH123
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise FrameError('there is no such file') from None
    except IsADirectoryError:
        raise FrameError('it is a folder') from None
    except OSError as error:
        raise FrameError(os.strerror(error.errno or 0)) from None
    except ValueError as error:  # a NUL in the name
        raise FrameError('it is no path') from error
    if len(content) > MOST_BYTES:
        raise FrameError(f'it has more than {MOST_BYTES} bytes')
    return content


def _rgb(
    content: bytes, on_flaw: Callable[[str], object], eighth: bool = False
) -> NDArray[np.uint8]:
    """Decode the bytes of a picture file; JPEG at an eighth of its size if that is enough."""
    found = format_of(content)
    if found == 'JPEG':
        jpeg = decode_jpeg(content, eighth)
        if jpeg.extraneous:
            on_flaw(extraneous_bytes(jpeg.extraneous))
        grey = jpeg.pixels.ndim == 2
        return packed_to_rgb(jpeg.pixels, 'mono8') if grey else jpeg.pixels
    if found == 'PNG':
        check_png(content)
    return _by_pillow(content, found)


def _by_pillow(content: bytes, found: str) -> NDArray[np.uint8]:
    if not content:
        raise DamagedFrameError('it is empty')
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise FrameError(
            'Pillow is set to fill up what is cut off; PIL.ImageFile.LOAD_TRUNCATED_IMAGES must '
            'be False'
        )
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            check_picture(picture)
            return np.asarray(picture.convert('RGB'))
    except FrameError:
        raise
    except UnidentifiedImageError:
        if found in FORMATS:
            raise DamagedFrameError('it is damaged or cut off') from None
        also = f', but {found}' if found else ''
        raise FrameError(f'it is none of {", ".join(FORMATS)}{also}') from None
    except Image.DecompressionBombError as error:
        raise FrameError(f'it has more than {MOST_PIXELS} pixels') from error
    except Exception as error:
        # Pillow raises OSError, SyntaxError, ValueError, TypeError and more for a damaged file.
        raise DamagedFrameError('it is damaged or cut off') from error


def check_picture(picture: Image.Image) -> None:
    """Raise FrameError for what `convert('RGB')` would exhaust the memory with, or distort."""
    if picture.width * picture.height > MOST_PIXELS:
        raise FrameError(f'it has more than {MOST_PIXELS} pixels')
    if picture.mode[0] in 'IF':  # which Pillow would cut off at white
        raise FrameError('it has more than 8 bits a channel')
    if picture.info.get('compression') in ('jpeg', 'tiff_jpeg'):
        raise FrameError('it is a TIFF with JPEG inside; what such a one lost, nobody would see')


def jpeg_uri(image: NDArray[np.uint8], quality: int = 90, most_side: int | None = None) -> str:
    """
    Return an RGB picture, uint8 [height, width, 3], as a JPEG inside a URI (RFC 2397).

    quality: 0..100. most_side: in pixels; a wider or higher one is made smaller.
    """
    height, width = image.shape[:2]
    if most_side is not None and max(height, width) > most_side:
        shrunk = most_side / max(height, width)
        size = max(1, round(width * shrunk)), max(1, round(height * shrunk))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}'
