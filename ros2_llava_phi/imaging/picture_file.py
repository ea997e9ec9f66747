"""Pictures from files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture file as RGB, uint8 [height, width, 3]; raises OSError naming the file."""
    try:
        with Image.open(path) as picture:
            if picture.mode[0] in 'IF':  # which Pillow would cut off at white
                raise ValueError('more than 8 bits a channel')
            return np.asarray(picture.convert('RGB'))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow raises any of them for a damaged file, few with its name.
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise OSError(f'{path} cannot be read ({reason}); name a picture file') from error
