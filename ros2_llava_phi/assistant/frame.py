"""A frame: one picture of one camera, with its stamp; and whether it shows anything at all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHRUNK_TO = (32, 32)
BOX = 4  # PIL.Image.Resampling.BOX, which Pillow before 9.1 does not have
# In grey levels after shrinking: what a covered or blinded sensor still varies by.
LEAST_CONTRAST = 2.0
# Neighbouring cells of any scene resemble each other; those of noise do not.
LEAST_CORRELATION = 0.2
DARK, BRIGHT = 40, 215


@dataclass(frozen=True)
class Frame:
    """
    One picture and where it came from.

    image: uint8 [height, width, 3], RGB.
    stamp_ns: acquisition time in nanoseconds, as the camera's header says.
    frame_id: the camera's optical frame (REP-103).
    camera: the camera's name; empty where the picture came with the question.
    """

    image: NDArray[np.uint8]
    stamp_ns: int = 0
    frame_id: str = ''
    camera: str = ''

    def __post_init__(self) -> None:
        """Refuse anything but an RGB picture."""
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(
                f'a frame is a uint8 picture of shape [height, width, 3], '
                f'not {self.image.dtype} {list(self.image.shape)}'
            )
        if 0 in self.image.shape:
            raise ValueError(f'a frame has at least one pixel, not {list(self.image.shape)}')


def nothing_to_see(frame: Frame) -> str:
    """Return in one sentence why a frame shows nothing; empty if there is something to see."""
    small = Image.fromarray(frame.image).convert('L').resize(SHRUNK_TO, BOX)
    levels = np.asarray(small, np.float32)
    if levels.std() < LEAST_CONTRAST:
        mean = float(levels.mean())
        look = 'black' if mean < DARK else 'white' if mean > BRIGHT else 'one flat colour'
        return f'the frame is {look}: it shows nothing'
    if _neighbour_correlation(levels) < LEAST_CORRELATION:
        return 'the frame is noise: it shows nothing'
    return ''


def _neighbour_correlation(levels: NDArray[np.float32]) -> float:
    sideways = np.corrcoef(levels[:, :-1].ravel(), levels[:, 1:].ravel())[0, 1]
    downwards = np.corrcoef(levels[:-1].ravel(), levels[1:].ravel())[0, 1]
    return float(max(sideways, downwards))
