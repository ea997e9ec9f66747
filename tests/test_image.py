"""Pictures: CLIP's processor gives the same pixels."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from ros2_llava_phi.model.config import Fit, ModelConfig, VisionConfig
from ros2_llava_phi.model.image import pad_to_square, preprocess

MEAN, STD = VisionConfig().mean, VisionConfig().std
PADDING = (122, 116, 104)
SIZES = [(640, 480), (480, 640), (1920, 1080), (333, 333), (337, 336), (50, 201), (1001, 3)]
ONE_GREY_LEVEL = 1 / 255 / np.array(STD)[:, None, None]


def photo(width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture with smooth parts, edges and noise, up to both ends of the range."""
    rng = np.random.default_rng([width, height])
    ys, xs = np.mgrid[:height, :width]
    wave = 128 + 127 * np.sin(xs / 17 + ys / 23)
    checks = 255 * ((xs // 13 + ys // 9) % 2)
    noise = rng.integers(0, 256, (height, width))
    return np.stack([wave, checks, noise], -1).astype(np.uint8)


@pytest.mark.parametrize('fit', ['pad', 'crop'])
@pytest.mark.parametrize(('width', 'height'), SIZES)
def test_pixels_are_those_of_clips_processor(width: int, height: int, fit: Fit) -> None:
    settings = {
        'do_convert_rgb': True,
        'size': {'shortest_edge': 336},
        'crop_size': {'height': 336, 'width': 336},
        'resample': 3,
        'image_mean': MEAN,
        'image_std': STD,
    }
    processor = CLIPImageProcessorPil(**settings)
    picture = photo(width, height)
    image = Image.fromarray(picture)
    theirs = processor(pad_to_square(image, MEAN) if fit == 'pad' else image, return_tensors='np')
    ours = preprocess(picture, ModelConfig(fit=fit))
    assert ours.dtype == np.float32
    difference = np.abs(ours - theirs['pixel_values'][0])
    assert (difference <= 1.001 * ONE_GREY_LEVEL).all()


@pytest.mark.parametrize(('width', 'height'), [(8, 4), (4, 8), (7, 4), (5, 5)])
def test_padding(width: int, height: int) -> None:
    """As LLaVA pads: the picture in the middle, the odd line behind it."""
    picture = photo(width, height)
    padded = np.asarray(pad_to_square(Image.fromarray(picture), MEAN))
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    assert padded.shape == (side, side, 3)
    np.testing.assert_array_equal(padded[top : top + height, left : left + width], picture)
    outside = np.ones((side, side), bool)
    outside[top : top + height, left : left + width] = False
    assert (padded[outside] == PADDING).all()


@pytest.mark.parametrize(('width', 'height'), SIZES)
def test_stretched_pixels_are_those_of_siglips_processor(width: int, height: int) -> None:
    half = (0.5, 0.5, 0.5)
    vision = VisionConfig(kind='siglip', image_size=384, mean=half, std=half)
    picture = photo(width, height)
    processor = SiglipImageProcessorPil(size={'height': 384, 'width': 384})
    theirs = processor(Image.fromarray(picture), return_tensors='np')['pixel_values'][0]
    ours = preprocess(picture, ModelConfig(vision=vision, fit='stretch'))
    assert (np.abs(ours - theirs) <= 1.001 * 2 / 255).all()


def test_padding_is_of_the_encoders_mean() -> None:
    half = (0.5, 0.5, 0.5)
    vision = VisionConfig(kind='siglip', image_size=64, mean=half, std=half)
    seen = preprocess(photo(64, 16), ModelConfig(vision=vision))
    np.testing.assert_allclose(seen[:, :16], (127 / 255 - 0.5) / 0.5, atol=1e-6)


def test_where_a_point_is_seen() -> None:
    """A bright spot lies where it does in the square that is padded, cut out or stretched."""
    for width, height in ((640, 480), (300, 700)):
        picture = np.zeros((height, width, 3), np.uint8)
        picture[200:220, 120:140] = 255
        whole = np.array([width, height])
        squares: dict[Fit, Any] = {'pad': max(whole), 'crop': min(whole), 'stretch': whole}
        for fit, square in squares.items():
            seen = preprocess(picture, ModelConfig(fit=fit))[1]
            ys, xs = np.nonzero(seen > 1)
            found = np.array([xs.mean() + 0.5, ys.mean() + 0.5]) / 336
            expected = 0.5 + (np.array([130, 210]) - whole / 2) / square
            np.testing.assert_allclose(found, expected, atol=4e-3)
