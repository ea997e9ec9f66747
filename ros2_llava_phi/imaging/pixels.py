"""Convert raw camera pixels to RGB with NumPy and OpenCV, to the same bytes as cv_bridge."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.errors import FrameError

# Beyond any camera, and small enough (192 MiB as RGB) not to exhaust the memory.
MOST_PIXELS = 64 * 2**20
MOST_BITS = 16  # bits a channel, the most that an encoding has
Pixels = NDArray[Any]
Bytes = NDArray[np.uint8]
RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class PackedEncoding:
    """
    An encoding that keeps all of a pixel in one place.

    channels, bits: per pixel, and per channel.
    code: what cv2.cvtColor calls the way to RGB; None where the pixels are RGB already.
    multiple: the width and height must be multiples of this [width, height].
    """

    channels: int
    bits: int
    code: int | None
    multiple: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class SemiPlanarEncoding:
    """
    An encoding with a plane of brightness, then a plane of colour pairs (V4L2's NV family).

    rows: rows of `step` bytes that the message has for every two rows of the picture.
    convert: makes RGB of the data, the height, the width and the step.
    multiple: the width and height must be multiples of this.
    """

    rows: int
    convert: Callable[[Any, int, int, int], RGB]
    multiple: tuple[int, int]


def _quarter_colour(code: int) -> Callable[[Any, int, int, int], RGB]:
    """Return what converts NV12 and NV21: one colour pair for four pixels."""

    def convert(data: Any, height: int, width: int, step: int) -> RGB:
        rows: Bytes = np.ndarray((height * 3 // 2, width), np.uint8, data, strides=(step, 1))
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(rows), code), np.uint8)

    return convert


def _full_colour(data: Any, height: int, width: int, step: int) -> RGB:
    """
    Convert NV24: one colour pair for each pixel, in rows of twice the step.

    OpenCV has no such conversion, so every pixel is written twice as UYVY, which shares one colour
    pair between two pixels, and every other result is taken.
    """
    luma: Bytes = np.ndarray((height, width), np.uint8, data, strides=(step, 1))
    colour: Bytes = np.ndarray((height, width, 2), np.uint8, data, height * step, (2 * step, 2, 1))
    doubled = np.stack([colour[..., 0], luma, colour[..., 1], luma], axis=-1)
    rgb = cv2.cvtColor(doubled.reshape(height, 2 * width, 2), cv2.COLOR_YUV2RGB_UYVY)
    return np.ascontiguousarray(rgb[:, ::2], np.uint8)


# OpenCV names a Bayer pattern after the second row's second and third pixel, ROS after the first
# four: rggb is OpenCV's BG.
PACKED = {
    'rgb8': PackedEncoding(3, 8, None),
    'bgr8': PackedEncoding(3, 8, cv2.COLOR_BGR2RGB),
    'rgba8': PackedEncoding(4, 8, cv2.COLOR_RGBA2RGB),
    'bgra8': PackedEncoding(4, 8, cv2.COLOR_BGRA2RGB),
    'rgb16': PackedEncoding(3, 16, None),
    'bgr16': PackedEncoding(3, 16, cv2.COLOR_BGR2RGB),
    'rgba16': PackedEncoding(4, 16, cv2.COLOR_RGBA2RGB),
    'bgra16': PackedEncoding(4, 16, cv2.COLOR_BGRA2RGB),
    'mono8': PackedEncoding(1, 8, cv2.COLOR_GRAY2RGB),
    'mono16': PackedEncoding(1, 16, cv2.COLOR_GRAY2RGB),
    'bayer_rggb8': PackedEncoding(1, 8, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': PackedEncoding(1, 8, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': PackedEncoding(1, 8, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': PackedEncoding(1, 8, cv2.COLOR_BayerGB2RGB),
    'bayer_rggb16': PackedEncoding(1, 16, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr16': PackedEncoding(1, 16, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg16': PackedEncoding(1, 16, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg16': PackedEncoding(1, 16, cv2.COLOR_BayerGB2RGB),
    'yuv422': PackedEncoding(2, 8, cv2.COLOR_YUV2RGB_UYVY, (2, 1)),
    'uyvy': PackedEncoding(2, 8, cv2.COLOR_YUV2RGB_UYVY, (2, 1)),
    'yuv422_yuy2': PackedEncoding(2, 8, cv2.COLOR_YUV2RGB_YUY2, (2, 1)),
    'yuyv': PackedEncoding(2, 8, cv2.COLOR_YUV2RGB_YUY2, (2, 1)),
    # Encodings without a meaning, taken for what OpenCV programs publish under them.
    '8UC1': PackedEncoding(1, 8, cv2.COLOR_GRAY2RGB),
    '8UC3': PackedEncoding(3, 8, cv2.COLOR_BGR2RGB),
    '8UC4': PackedEncoding(4, 8, cv2.COLOR_BGRA2RGB),
}

SEMI_PLANAR = {
    'nv12': SemiPlanarEncoding(3, _quarter_colour(cv2.COLOR_YUV2RGB_NV12), (2, 2)),
    'nv21': SemiPlanarEncoding(3, _quarter_colour(cv2.COLOR_YUV2RGB_NV21), (2, 2)),
    'nv24': SemiPlanarEncoding(6, _full_colour, (1, 1)),
}


def check_size(width: int, height: int) -> None:
    """Raise FrameError for a picture without pixels, and one larger than any camera's."""
    if width < 1 or height < 1:
        raise FrameError(f'the picture has {width} x {height} pixels; it needs at least one')
    if width * height > MOST_PIXELS:
        raise FrameError(
            f'the picture has {width} x {height} pixels; more than {MOST_PIXELS} are not accepted'
        )


def packed_to_rgb(pixels: Pixels, encoding: str, significant_bits: int = MOST_BITS) -> RGB:
    """
    Convert pixels of a packed encoding to RGB.

    pixels: [height, width] or [height, width, channels] as `PACKED[encoding]` says, uint8 or
    uint16 of either byte order, rows of any stride.
    significant_bits: of 16-bit values, 8..16; the largest that they have is white.

    Returns a uint8 array [height, width, 3] of its own. 16 bits become 8 by scaling and rounding,
    after any colour conversion, as in cv_bridge's toCvCopy(message, 'rgb8').
    """
    code = PACKED[encoding].code
    native = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder('='))
    coloured = native if code is None else cv2.cvtColor(native, code)
    if coloured.dtype == np.uint16:
        return np.asarray(
            cv2.convertScaleAbs(coloured, alpha=255 / (2**significant_bits - 1)), np.uint8
        )
    return np.array(coloured, np.uint8) if coloured is native else np.asarray(coloured, np.uint8)
