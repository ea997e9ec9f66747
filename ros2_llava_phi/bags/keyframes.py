"""Keyframes, the frames of a recording worth keeping: at a rate, on a change, each only once."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

# A picture is compared by the mean colours of 16 x 16 cells. In levels of 0..255: noise and JPEG
# move a cell's mean by less than SAME, anything that a person would point at by more than MOVED.
CELLS = 16
SAME = 8
MOVED = 24


@dataclass
class KeyframeSelection:
    """
    Decides about the frames of one camera, in the order of recording.

    rate_hz: at most so many frames a second.
    change: the share of the picture, 0..1, that must have changed since the last frame kept.
    """

    rate_hz: float | None = None
    change: float = 0.0
    _first_ns: int | None = None
    _period: float | None = None
    _kept: NDArray[np.int16] = field(
        default_factory=lambda: np.empty((0, CELLS, CELLS, 3), np.int16)
    )

    def is_due(self, recorded_ns: int) -> bool:
        """Return whether a frame is the first of its period, whatever way the clock goes."""
        if self.rate_hz is None:
            return True
        if self._first_ns is None:
            self._first_ns = recorded_ns
        period = (recorded_ns - self._first_ns) * self.rate_hz // 1e9
        is_first = period != self._period
        self._period = period
        return is_first

    def is_new(self, picture: NDArray[np.uint8]) -> bool:
        """
        Return whether a frame is to be kept, and remember it then.

        picture: uint8 [height, width, 3]. It is not new if nothing in it differs from some frame
        that was kept, nor if less than `change` of it differs from the last.
        """
        cells = cv2.resize(picture, (CELLS, CELLS), interpolation=cv2.INTER_AREA).astype(np.int16)
        if (np.abs(self._kept - cells).max(axis=(1, 2, 3)) < SAME).any():
            return False
        if len(self._kept) and _changed(cells, self._kept[-1]) < self.change:
            return False
        self._kept = np.concatenate([self._kept, cells[np.newaxis]])
        return True


def _changed(cells: NDArray[np.int16], before: NDArray[np.int16]) -> float:
    """Return the share of cells that differ, 0..1."""
    return float((np.abs(cells - before).max(axis=2) >= MOVED).mean())
