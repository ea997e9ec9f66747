"""
From a picture to the pixels that the vision tower sees: make it square, resize, normalise.

LLaVA pads to a square (`image_aspect_ratio: pad`); CLIP crops one out of the middle. Points and
boxes can be mapped to that square and back: continuous coordinates, (0, 0) is the upper left
corner of the upper left pixel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# CLIP's normalisation (Radford et al. 2021), and its mean as a colour, with which LLaVA pads.
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
PADDING = (122, 116, 104)
BICUBIC = 3  # PIL.Image.Resampling.BICUBIC, which Pillow before 9.1 does not have


@dataclass(frozen=True)
class Square:
    """
    The square that the model sees of a picture, in the picture's pixels.

    left, top: its corner; negative where the square reaches beyond the picture. side: its side.
    """

    left: float
    top: float
    side: float

    def from_picture(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Map pixels to shares of the square's side, 0..1 inside it.

        coordinates: points (x, y) or boxes (left, top, right, bottom), [..., 2] or [..., 4].
        """
        return (coordinates - self._corner(coordinates)) / self.side

    def to_picture(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map shares of the square's side back to pixels, [..., 2] or [..., 4]."""
        return shares * self.side + self._corner(shares)

    def _corner(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        if coordinates.shape[-1] not in (2, 4):
            raise ValueError(f'points have 2 numbers and boxes 4, not {coordinates.shape[-1]}')
        return np.tile([self.left, self.top], coordinates.shape[-1] // 2)


def square_of(width: int, height: int, fit: str) -> Square:
    """Return the square that is seen of a picture of that size: fit is 'pad' or 'crop'."""
    if fit == 'pad':
        side = max(width, height)
        return Square(-((side - width) // 2), -((side - height) // 2), side)
    side = min(width, height)
    return Square((width - side) / 2, (height - side) / 2, side)


def preprocess(picture: NDArray[np.uint8], side: int, fit: str = 'pad') -> NDArray[np.float32]:
    """
    Turn an RGB picture, uint8 [height, width, 3], into normalised pixels, float32 [3, side, side].

    fit: 'pad' centres the picture on a square of CLIP's mean colour and resizes that, as
    LLaVA-1.5 does; 'crop' resizes the shorter edge and cuts the middle out, as CLIP does. Both
    with bicubic interpolation.
    """
    image = Image.fromarray(picture)
    square = _padded(image, side) if fit == 'pad' else _cropped(image, side)
    scaled = np.asarray(square, np.float32) / 255
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


def _padded(picture: Image.Image, side: int) -> Image.Image:
    return pad_to_square(picture).resize((side, side), BICUBIC)


def _cropped(picture: Image.Image, side: int) -> Image.Image:
    """Resize the shorter edge to `side`, and cut the middle out of the longer one."""
    width, height = picture.size
    shorter = min(width, height)
    width, height = int(side * width / shorter), int(side * height / shorter)
    resized = picture.resize((width, height), BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return resized.crop((left, top, left + side, top + side))
