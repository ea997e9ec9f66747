"""A frame: one picture of one camera, with its stamp; and whether it shows anything at all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ros2_llava_phi.errors import FrameError, described
from ros2_llava_phi.imaging.pictures import Picture, to_rgb

SHRUNK_TO = (32, 32)
BOX = 4  # PIL.Image.Resampling.BOX, which Pillow before 9.1 does not have
# In grey levels after shrinking: what a covered or blinded sensor still varies by.
LEAST_CONTRAST = 2.0
# Neighbouring cells of any scene resemble each other; those of noise do not.
LEAST_CORRELATION = 0.2
DARK, BRIGHT = 40, 215


@dataclass(frozen=True, init=False, eq=False)
class Frame:
    """
    One picture and where it came from.

        Frame('photo.jpg')
        Frame(rgb, stamp_ns=1_700_000_000_000_000_000, frame_id='front_optical', camera='front')

    image: uint8 [height, width, 3], RGB; also given as a path, the bytes of a picture file or a
    PIL picture. It is not turned as EXIF may say.
    stamp_ns: acquisition time in nanoseconds, as the camera's header says.
    frame_id: the camera's optical frame (REP-103).
    camera: the camera's name; empty where the picture came with the question.

    Raises FrameError where these do not hold.
    """

    image: NDArray[np.uint8]
    stamp_ns: int
    frame_id: str
    camera: str

    def __init__(
        self, image: Picture, stamp_ns: int = 0, frame_id: str = '', camera: str = ''
    ) -> None:
        """Bring what is given into form; refuse what is no picture."""
        if isinstance(stamp_ns, bool) or not isinstance(stamp_ns, (int, np.integer)):
            raise FrameError(f'stamp_ns is a whole number of ns, not {described(stamp_ns)}')
        for name, text in (('frame_id', frame_id), ('camera', camera)):
            if not isinstance(text, str):
                raise FrameError(f'{name} is a text, not {described(text)}')
        given = {
            'image': to_rgb(image),
            'stamp_ns': int(stamp_ns),
            'frame_id': frame_id,
            'camera': camera,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)


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
