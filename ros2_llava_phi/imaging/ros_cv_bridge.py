"""
The robot's own cv_bridge, where there is one that works.

`python -m ros2_llava_phi.imaging.ros_cv_bridge` prints the encodings that it converts to the same
pixels as we do. That is tried in a process of its own: built for another NumPy, cv_bridge can take
its process down (ros-perception/vision_opencv, issue 535).
"""

import functools
import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pixels import PACKED, packed_to_rgb

PROBE_SECONDS = 60.0
PROBE_WIDTH, PROBE_HEIGHT = 8, 6


@dataclass(frozen=True)
class Bridge:
    """A CvBridge, and the encodings that it makes the right pixels of."""

    bridge: Any
    encodings: frozenset[str]


@functools.cache
def find_cv_bridge() -> Bridge | None:
    """
    Return the cv_bridge of this machine, or None if there is none that works.

    It is tried once, which takes seconds on a small computer: a node does it while it is
    configured.
    """
    if importlib.util.find_spec('cv_bridge') is None:
        return None
    try:
        probe = subprocess.run(
            [sys.executable, '-m', __spec__.name],
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    encodings = frozenset(probe.stdout.split())
    if probe.returncode != 0 or not encodings:
        return None
    from cv_bridge import CvBridge

    return Bridge(CvBridge(), encodings)


def to_rgb(message: Any, pixel_bytes: int) -> NDArray[np.uint8] | None:
    """
    Convert a `sensor_msgs/Image` with cv_bridge: uint8 [height, width, 3].

    pixel_bytes: bytes of one pixel.

    Returns None where there is no cv_bridge, where it fails, and where it is known to be wrong: it
    shears rows whose step is no multiple of a pixel, wants the padding of the last row, and swaps
    the bytes of a big-endian matrix that keeps its 8-bit type (vision_opencv, cv_bridge.cpp).
    """
    if (
        message.is_bigendian
        or message.step % pixel_bytes
        or len(message.data) != message.step * message.height
    ):
        return None
    found = find_cv_bridge()
    if found is None or message.encoding not in found.encodings:
        return None
    try:
        return np.asarray(found.bridge.imgmsg_to_cv2(message, 'rgb8'), np.uint8)
    except Exception:
        # Whatever it is that cv_bridge cannot do, our own conversion may.
        return None


def main() -> None:
    """Print the encodings that this machine's cv_bridge converts rightly."""
    from cv_bridge import CvBridge

    bridge = CvBridge()
    print(*(encoding for encoding in PACKED if _agrees(bridge, encoding)))


def _agrees(bridge: Any, encoding: str) -> bool:
    """Return whether a CvBridge and `packed_to_rgb` make the same RGB of a picture of noise."""
    from sensor_msgs.msg import Image

    channels, bits = PACKED[encoding].channels, PACKED[encoding].bits
    step = PROBE_WIDTH * channels * bits // 8
    noise = np.random.default_rng(0).integers(0, 256, PROBE_HEIGHT * step, np.uint8)
    pixels = noise.view(f'<u{bits // 8}').reshape(PROBE_HEIGHT, PROBE_WIDTH, channels)
    image = Image(
        height=PROBE_HEIGHT,
        width=PROBE_WIDTH,
        encoding=encoding,
        step=step,
        data=noise.tobytes(),
    )
    try:
        theirs = np.asarray(bridge.imgmsg_to_cv2(image, 'rgb8'))
    except Exception:
        # Old cv_bridges do not know every encoding; the half broken raise all kinds of things.
        return False
    ours = packed_to_rgb(pixels[..., 0] if channels == 1 else pixels, encoding)
    return theirs.dtype == ours.dtype and np.array_equal(theirs, ours)


if __name__ == '__main__':
    main()
