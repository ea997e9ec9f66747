"""Camera messages to RGB pictures, and a sentence where a message is no picture."""

import io
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from ros2_llava_phi.errors import FrameError

from . import ros_cv_bridge
from .pictures import MOST_PIXELS
from .pixels import PACKED, SEMI_PLANAR, PackedEncoding, SemiPlanarEncoding, packed_to_rgb

JPEG_START, JPEG_SCAN, JPEG_END = b'\xff\xd8\xff', b'\xff\xda', b'\xff\xd9'
PNG_START = b'\x89PNG\r\n\x1a\n'


class ImageMessage(Protocol):
    """The fields of `sensor_msgs/Image` that make the picture."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class CompressedImageMessage(Protocol):
    """The fields of `sensor_msgs/CompressedImage` that make the picture."""

    format: str
    data: Any


def image_to_rgb(message: ImageMessage) -> NDArray[np.uint8]:
    """
    Convert a `sensor_msgs/Image` to RGB, by cv_bridge where it works, else to the same bytes.

    `step` and `is_bigendian` are honoured; the padding of the last row may be missing.

    Returns uint8 [height, width, 3], sharing no memory with the message. Raises FrameError for an
    unknown encoding, sizes that do not fit together, and too few data.
    """
    encoding = _encoding_of(message)
    _check_size(message.width, message.height)
    _check_multiple(message, encoding.multiple)
    rows, row_bytes = _rows_and_row_bytes(message, encoding)
    if message.step < row_bytes:
        raise FrameError(
            f'step is {message.step} bytes, but a row of {message.width} {message.encoding} '
            f'pixels takes {row_bytes}'
        )
    data = np.frombuffer(message.data, np.uint8)
    needed = message.step * (rows - 1) + row_bytes
    if data.size < needed:
        raise FrameError(
            f'the message has {data.size} bytes of data, but {message.width} x {message.height} '
            f'pixels as {message.encoding} with a step of {message.step} bytes take {needed}'
        )
    try:
        if isinstance(encoding, SemiPlanarEncoding):
            return encoding.convert(data, message.height, message.width, message.step)
        rgb = ros_cv_bridge.to_rgb(message, encoding.channels * encoding.bits // 8)
        if rgb is not None:
            return rgb
        return packed_to_rgb(_packed_pixels(data, message, encoding), message.encoding)
    except cv2.error as error:
        raise FrameError(f'OpenCV cannot convert {message.encoding}: {error.err}') from error


def compressed_to_rgb(message: CompressedImageMessage) -> NDArray[np.uint8]:
    """
    Decode a `sensor_msgs/CompressedImage`, JPEG or PNG by its content, to RGB.

    The picture stays as the sensor delivered it: an EXIF orientation is not applied. `format` is
    used for one thing only: a one-channel picture of which it says that it is a Bayer pattern
    (compressed_image_transport sends those as they are).

    Returns uint8 [height, width, 3]. Raises FrameError for other formats and damaged data.
    """
    data = bytes(message.data)
    _check_compressed(data)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise FrameError('the compressed picture is damaged: it cannot be decoded')
    bits = 8 * pixels.dtype.itemsize
    if pixels.ndim == 3:
        return packed_to_rgb(pixels, f'bgra{bits}' if pixels.shape[2] == 4 else f'bgr{bits}')
    sent_as = message.format.split(';')[0].strip()
    bayer = sent_as.startswith('bayer_') and sent_as in PACKED and PACKED[sent_as].bits == bits
    return packed_to_rgb(pixels, sent_as if bayer else f'mono{bits}')


def _encoding_of(message: ImageMessage) -> PackedEncoding | SemiPlanarEncoding:
    encoding = PACKED.get(message.encoding) or SEMI_PLANAR.get(message.encoding)
    if encoding is None:
        known = ', '.join([*PACKED, *SEMI_PLANAR])
        raise FrameError(f'the encoding {message.encoding!r} is not one of {known}')
    return encoding


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise FrameError(f'the picture has {width} x {height} pixels; it needs at least one')
    if width * height > MOST_PIXELS:
        raise FrameError(
            f'the picture has {width} x {height} pixels; more than {MOST_PIXELS} are not accepted'
        )


def _check_multiple(message: ImageMessage, multiple: tuple[int, int]) -> None:
    if message.width % multiple[0] or message.height % multiple[1]:
        raise FrameError(
            f'{message.width} x {message.height} pixels cannot be {message.encoding}: the width '
            f'must be a multiple of {multiple[0]}, the height of {multiple[1]}'
        )


def _rows_and_row_bytes(
    message: ImageMessage, encoding: PackedEncoding | SemiPlanarEncoding
) -> tuple[int, int]:
    if isinstance(encoding, SemiPlanarEncoding):
        return message.height * encoding.rows // 2, message.width
    return message.height, message.width * encoding.channels * encoding.bits // 8


def _packed_pixels(
    data: NDArray[np.uint8], message: ImageMessage, encoding: PackedEncoding
) -> NDArray[Any]:
    size = encoding.bits // 8
    pixels: NDArray[Any] = np.ndarray(
        (message.height, message.width, encoding.channels),
        f'{">" if message.is_bigendian else "<"}u{size}',
        data,
        strides=(message.step, encoding.channels * size, size),
    )
    return pixels[..., 0] if encoding.channels == 1 else pixels


def _check_compressed(data: bytes) -> None:
    if not data.startswith((JPEG_START, PNG_START)):
        raise FrameError('the compressed picture is neither JPEG nor PNG')
    # Older OpenCV decodes half a JPEG to a half grey picture without a word.
    if data.startswith(JPEG_START) and data.rfind(JPEG_END) < data.rfind(JPEG_SCAN):
        raise FrameError('the JPEG picture ends too early: it was cut off on the way')
    try:
        with PillowImage.open(io.BytesIO(data), formats=['JPEG', 'PNG']) as header:
            width, height = header.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise FrameError('the compressed picture is damaged: its header cannot be read') from error
    except PillowImage.DecompressionBombError as error:
        raise FrameError(
            'the compressed picture is far larger than any camera delivers'
        ) from error
    _check_size(width, height)
