"""
Print the encodings that this machine's cv_bridge converts to the same pixels as `pixels`.

For a process of its own: built for another NumPy, cv_bridge can take its process down
(ros-perception/vision_opencv, issue 535).
"""

from typing import Any

import numpy as np

from .pixels import PACKED, packed_to_rgb

WIDTH, HEIGHT = 8, 6


def agrees(bridge: Any, encoding: str) -> bool:
    """Return whether a CvBridge and `packed_to_rgb` make the same RGB of a picture of noise."""
    from sensor_msgs.msg import Image

    channels, bits = PACKED[encoding].channels, PACKED[encoding].bits
    step = WIDTH * channels * bits // 8
    noise = np.random.default_rng(0).integers(0, 256, HEIGHT * step, np.uint8)
    pixels = noise.view(f'<u{bits // 8}').reshape(HEIGHT, WIDTH, channels)
    image = Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=step, data=noise.tobytes())
    try:
        theirs = np.asarray(bridge.imgmsg_to_cv2(image, 'rgb8'))
    except Exception:
        # Old cv_bridges do not know every encoding; the half broken raise all kinds of things.
        return False
    ours = packed_to_rgb(pixels[..., 0] if channels == 1 else pixels, encoding)
    return theirs.dtype == ours.dtype and np.array_equal(theirs, ours)


def main() -> None:
    """Try every encoding."""
    from cv_bridge import CvBridge

    bridge = CvBridge()
    print(*(encoding for encoding in PACKED if agrees(bridge, encoding)))


if __name__ == '__main__':
    main()
