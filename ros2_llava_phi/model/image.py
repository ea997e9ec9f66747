"""From a picture to the pixels that the vision tower sees: pad to square, resize, normalise."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# CLIP's normalisation (Radford et al. 2021), and its mean as a colour, with which LLaVA pads.
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
PADDING = (122, 116, 104)


def preprocess(picture: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """
    Turn an RGB picture, uint8 [height, width, 3], into normalised pixels, float32 [3, side, side].

    The picture is centred on a square of CLIP's mean colour and resized with bicubic
    interpolation, as LLaVA-1.5 does with `image_aspect_ratio: pad`.
    """
    square = pad_to_square(Image.fromarray(picture))
    resized = square.resize((side, side), Image.Resampling.BICUBIC)
    scaled = np.asarray(resized, np.float32) / 255
    return np.ascontiguousarray(((scaled - MEAN) / STD).transpose(2, 0, 1))


def pad_to_square(picture: Image.Image) -> Image.Image:
    """Centre an RGB picture on a square of CLIP's mean colour."""
    width, height = picture.size
    if width == height:
        return picture
    side = max(width, height)
    square = Image.new('RGB', (side, side), PADDING)
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square
