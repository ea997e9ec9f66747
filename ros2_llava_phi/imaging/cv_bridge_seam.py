"""Use the robot's own cv_bridge where there is one that works."""

import functools
import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PROBE_SECONDS = 60.0


@dataclass(frozen=True)
class Bridge:
    """A CvBridge, and the encodings that it makes the right pixels of."""

    bridge: Any
    encodings: frozenset[str]


@functools.cache
def find_cv_bridge() -> Bridge | None:
    """
    Return the cv_bridge of this machine, or None if there is none that works.

    It is tried once, in a process of its own (`cv_bridge_probe`), which takes seconds on a small
    computer: a node does it while it is configured.
    """
    if importlib.util.find_spec('cv_bridge') is None:
        return None
    try:
        probe = subprocess.run(
            [sys.executable, '-m', 'ros2_llava_phi.imaging.cv_bridge_probe'],
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
