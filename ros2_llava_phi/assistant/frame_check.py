"""Tell, before the model runs, that a frame cannot show anything."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .frame import Frame

SHRUNK_TO = (32, 32)
BOX = 4  # PIL.Image.Resampling.BOX, which Pillow before 9.1 does not have
# In grey levels after shrinking: what a covered or blinded sensor still varies by.
LEAST_CONTRAST = 2.0
# Neighbouring cells of any scene resemble each other; those of noise do not.
LEAST_CORRELATION = 0.2
DARK, BRIGHT = 40, 215


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
