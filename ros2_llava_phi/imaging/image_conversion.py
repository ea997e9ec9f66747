"""Camera messages to RGB pictures, and a sentence where a message is no picture."""

from collections.abc import Callable
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.errors import DamagedFrameError, FrameError

from . import ros_cv_bridge
from .formats import begins_as_video, format_of, is_depth, is_video, sent_as
from .jpeg import decode_jpeg
from .pictures import check_png, extraneous_bytes, ignore
from .pixels import (
    MOST_BITS,
    PACKED,
    SEMI_PLANAR,
    PackedEncoding,
    SemiPlanarEncoding,
    check_size,
    packed_to_rgb,
)

# A 16-bit picture whose brightest value has no more bits than this comes out black.
BLACK_BITS = 12
NO_PICTURE = 'it is depth or another measurement more often than a picture'


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


def image_to_rgb(message: ImageMessage, significant_bits: int = MOST_BITS) -> NDArray[np.uint8]:
    """
    Convert a `sensor_msgs/Image` to RGB, by cv_bridge where it works, else to the same bytes.

    `step` and `is_bigendian` are honoured; the padding of the last row may be missing.

    significant_bits: of the values of 16-bit encodings, 8..16: 12 where white is 4095.

    Returns uint8 [height, width, 3], sharing no memory with the message. Raises FrameError for an
    unknown encoding, sizes that do not fit together, and 16-bit values that have other bits than
    these; DamagedFrameError for too few or too many data.
    """
    encoding = _encoding_of(message)
    check_size(message.width, message.height)
    _check_multiple(message, encoding.multiple)
    rows, row_bytes = _rows_and_row_bytes(message, encoding)
    if message.step < row_bytes:
        raise FrameError(
            f'step is {message.step} bytes, but a row of {message.width} {message.encoding} '
            f'pixels takes {row_bytes}'
        )
    data = np.frombuffer(message.data, np.uint8)
    needed = message.step * (rows - 1) + row_bytes
    if not needed <= data.size <= message.step * rows:
        raise DamagedFrameError(
            f'the message has {data.size} bytes of data, but {message.width} x {message.height} '
            f'pixels as {message.encoding} with a step of {message.step} bytes take '
            f'{message.step * rows}'
        )
    try:
        if isinstance(encoding, SemiPlanarEncoding):
            return encoding.convert(data, message.height, message.width, message.step)
        pixels = _packed_pixels(data, message, encoding)
        if encoding.bits == MOST_BITS:
            _check_range(pixels, message.encoding, significant_bits)
        if encoding.bits < MOST_BITS or significant_bits == MOST_BITS:
            rgb = ros_cv_bridge.to_rgb(message, encoding.channels * encoding.bits // 8)
            if rgb is not None:
                return rgb
        return packed_to_rgb(pixels, message.encoding, significant_bits)
    except cv2.error as error:
        raise FrameError(f'OpenCV cannot convert {message.encoding}: {error.err}') from error


def compressed_to_rgb(
    message: CompressedImageMessage,
    significant_bits: int = MOST_BITS,
    on_flaw: Callable[[str], object] = ignore,
) -> NDArray[np.uint8]:
    """
    Decode a `sensor_msgs/CompressedImage`, JPEG or PNG by its content, to RGB.

    The picture stays as the sensor delivered it: an EXIF orientation is not applied. `format` is
    used for what the content does not say: that it was depth, which is refused as raw depth is,
    and that a one-channel picture is a Bayer pattern (compressed_image_transport sends those as
    they are).

    significant_bits: as of `image_to_rgb`, of a PNG with 16 bits a channel.
    on_flaw: hears in a sentence of what is amiss with the data, but lost nothing.

    Returns uint8 [height, width, 3]. Raises FrameError for depth and other formats, video among
    them; DamagedFrameError for what lost data.
    """
    data = bytes(message.data)
    check_format(message.format, data)
    if format_of(data) == 'JPEG':
        picture = decode_jpeg(data)
        if picture.extraneous:
            on_flaw(extraneous_bytes(picture.extraneous))
        if picture.pixels.ndim == 3:
            return picture.pixels
        return packed_to_rgb(picture.pixels, _one_channel(message.format, 8))
    check_png(data)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise DamagedFrameError('the PNG is damaged: it cannot be decoded')
    bits = 8 * pixels.dtype.itemsize
    if pixels.ndim == 3:
        encoding = f'bgra{bits}' if pixels.shape[2] == 4 else f'bgr{bits}'
    else:
        encoding = _one_channel(message.format, bits)
    if bits == MOST_BITS:
        _check_range(pixels, encoding, significant_bits)
    return packed_to_rgb(pixels, encoding, significant_bits)


def _encoding_of(message: ImageMessage) -> PackedEncoding | SemiPlanarEncoding:
    encoding = PACKED.get(message.encoding) or SEMI_PLANAR.get(message.encoding)
    if encoding is None:
        known = ', '.join([*PACKED, *SEMI_PLANAR])
        why = f'; {NO_PICTURE}' if is_depth(message.encoding) else ''
        raise FrameError(f'the encoding {message.encoding!r} is not one of {known}{why}')
    return encoding


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


def check_format(named: str, data: bytes) -> None:
    """
    Raise FrameError for a CompressedImage that is no picture, before anything is decoded.

    named, data: its fields `format` and `data`.
    """
    if not data:
        raise DamagedFrameError('the message holds no data')
    if is_depth(named):
        raise FrameError(f'the format {named!r} is not a picture: {NO_PICTURE}')
    found = format_of(data)
    if found in ('JPEG', 'PNG'):
        return
    if is_video(named) or begins_as_video(data):
        raise FrameError(
            f'the format {named!r} is video, whose pictures cannot be decoded one by one; publish '
            'the camera as JPEG, or raw'
        )
    what = f'it is {found}' if found else f'its format is {named!r}'
    raise FrameError(f'the compressed picture is neither JPEG nor PNG: {what}')


def _one_channel(named: str, bits: int) -> str:
    """Return the encoding of a one-channel picture: grey, or the Bayer pattern it was made of."""
    encoding = sent_as(named)
    bayer = encoding.startswith('bayer_') and encoding in PACKED and PACKED[encoding].bits == bits
    return encoding if bayer else f'mono{bits}'


def _check_range(pixels: NDArray[Any], encoding: str, significant_bits: int) -> None:
    """
    Raise FrameError for 16-bit values that make sense with other significant bits only.

    An alpha channel does not count: it is full, however many bits the colours have.
    """
    peak = int((pixels if pixels.ndim == 2 else pixels[..., :3]).max())
    if peak >> significant_bits:
        raise FrameError(
            f'the {encoding} values go up to {peak}, beyond the {2**significant_bits - 1} of '
            f'{significant_bits} significant bits; set significant_bits as the sensor has them'
        )
    if significant_bits == MOST_BITS and 0 < peak < 1 << BLACK_BITS:
        raise FrameError(
            f'the {encoding} values end at {peak} of {2**MOST_BITS - 1}, and would come out '
            f'black; where the sensor has {max(8, peak.bit_length())} bits or a few more, set '
            'significant_bits to that'
        )
