"""A frame: one picture of one camera, with its stamp."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
