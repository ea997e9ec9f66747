"""Use the robot's own cv_bridge where there is one that works."""

import functools
import importlib.util
import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What cv_bridge converts to colour; the rest, and anything big-endian, it refuses or gets wrong
# (vision_opencv, cv_bridge/src/cv_bridge.cpp: the swapped matrix keeps its 8-bit type).
ENCODINGS = frozenset(
    [f'{colour}{bits}' for colour in ('rgb', 'bgr', 'rgba', 'bgra', 'mono') for bits in (8, 16)]
    + [f'bayer_{order}{bits}' for order in ('rggb', 'bggr', 'gbrg', 'grbg') for bits in (8, 16)]
    + ['yuv422', 'yuv422_yuy2']
)

PROBE_SECONDS = 20.0
_PROBE = """
import sys
from cv_bridge import CvBridge
from sensor_msgs.msg import Image
message = Image(height=1, width=2, step=6, encoding='bgr8', data=bytes([1, 2, 3, 4, 5, 6]))
rgb = CvBridge().imgmsg_to_cv2(message, 'rgb8')
sys.exit(0 if rgb.tolist() == [[[3, 2, 1], [6, 5, 4]]] else 1)
"""


@functools.cache
def find_cv_bridge() -> Any | None:
    """
    Return a CvBridge if this machine has one that gives the right pixels, else None.

    It is tried once in a process of its own: built for another NumPy, it can take its process down
    (ros-perception/vision_opencv, issue 535).
    """
    if importlib.util.find_spec('cv_bridge') is None:
        return None
    try:
        probe = subprocess.run(
            [sys.executable, '-c', _PROBE], capture_output=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    if probe.returncode != 0:
        return None
    from cv_bridge import CvBridge

    return CvBridge()


def converts(message: Any, pixel_bytes: int) -> bool:
    """
    Return whether cv_bridge is there and converts this `sensor_msgs/Image` rightly.

    pixel_bytes: bytes of one pixel. cv_bridge shears rows whose step is no multiple of it, and
    wants the padding of the last row.
    """
    return (
        message.encoding in ENCODINGS
        and not message.is_bigendian
        and message.step % pixel_bytes == 0
        and len(message.data) == message.step * message.height
        and find_cv_bridge() is not None
    )


def to_rgb(message: Any) -> NDArray[np.uint8]:
    """Convert a `sensor_msgs/Image` that `converts` says yes to: uint8 [height, width, 3]."""
    bridge = find_cv_bridge()
    assert bridge is not None
    return np.asarray(bridge.imgmsg_to_cv2(message, 'rgb8'), np.uint8)
