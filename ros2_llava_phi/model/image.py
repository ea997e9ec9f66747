"""
From a picture to the pixels that the vision tower sees: make it square, resize, normalise.

LLaVA pads to a square (`image_aspect_ratio: pad`); CLIP crops one out of the middle, SigLIP
stretches to one.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .config import Colour, ModelConfig

BICUBIC = 3  # PIL.Image.Resampling.BICUBIC, which Pillow before 9.1 does not have


def preprocess(picture: NDArray[np.uint8], config: ModelConfig) -> NDArray[np.float32]:
    """
    Turn an RGB picture, uint8 [height, width, 3], into normalised pixels, float32 [3, side, side].

    By the model's `fit`, 'pad' centres the picture on a square of the encoder's mean colour and
    resizes that, as LLaVA-1.5 does; 'crop' resizes the shorter edge and cuts the middle out, as
    CLIP does; 'stretch' resizes both edges, as SigLIP does. All with bicubic interpolation.
    """
    vision, image = config.vision, Image.fromarray(picture)
    side = vision.image_size
    if config.fit == 'crop':
        square = _cropped(image, side)
    else:
        whole = pad_to_square(image, vision.mean) if config.fit == 'pad' else image
        square = whole.resize((side, side), BICUBIC)
    scaled = np.asarray(square, np.float32) / 255
    mean, std = np.array(vision.mean, np.float32), np.array(vision.std, np.float32)
    return np.ascontiguousarray(((scaled - mean) / std).transpose(2, 0, 1))


def pad_to_square(picture: Image.Image, mean: Colour) -> Image.Image:
    """Centre an RGB picture on a square of a mean colour, whole levels of it, as LLaVA does."""
    width, height = picture.size
    if width == height:
        return picture
    side = max(width, height)
    red, green, blue = (int(255 * level) for level in mean)
    square = Image.new('RGB', (side, side), (red, green, blue))
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def _cropped(picture: Image.Image, side: int) -> Image.Image:
    """Resize the shorter edge to `side`, and cut the middle out of the longer one."""
    width, height = picture.size
    shorter = min(width, height)
    width, height = int(side * width / shorter), int(side * height / shorter)
    resized = picture.resize((width, height), BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return resized.crop((left, top, left + side, top + side))
