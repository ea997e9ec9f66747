"""What rain, lens, sensor and compression do to a picture."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .world import Air, Image


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.float32]:
    """Return normal numbers to cut noise from; new ones would cost more than the scene."""
    return np.random.default_rng(7).standard_normal(1 << 21, np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return normal noise of unit strength."""
    size = int(np.prod(shape))
    start = int(rng.integers(0, (1 << 21) - size))
    return _grain()[start : start + size].reshape(shape)


def add_rain(image: Image, night: bool, rng: np.random.Generator) -> None:
    """Draw slanted streaks into the picture."""
    height, width = image.shape[:2]
    side = max(height, width)
    layer = image.copy()
    count = int(rng.integers(70, 150))
    lean = rng.uniform(-0.35, 0.35)
    starts = rng.uniform((-0.1 * width, -0.1 * height), (1.1 * width, height), (count, 2))
    lengths = rng.uniform(0.04, 0.11, count) * side
    ends = starts + np.stack((lengths * lean, lengths), 1)
    lines = np.stack((starts, ends), 1).astype(np.int32)
    tone = (150, 155, 165) if night else (226, 230, 236)
    cv2.polylines(layer, list(lines), False, tone, 1 if side < 330 else 2, cv2.LINE_AA)
    cv2.addWeighted(layer, 0.5, image, 0.5, 0, image)


def expose(image: Image, air: Air, rng: np.random.Generator) -> Image:
    """Return a drawn picture, itself changed, as a camera sees it: uint8 [H, W, 3]."""
    if air.weather == 'rain':
        add_rain(image, air.night, rng)
    height, width = image.shape[:2]
    if rng.random() < 0.4:
        cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.1)), image)
    frame = _graded(image, air, rng)
    if rng.random() < 0.35:
        shade = _vignette(height, width, float(rng.uniform(0.1, 0.4)))
        cv2.multiply(frame, cv2.cvtColor(shade, cv2.COLOR_GRAY2RGB), frame)
    strength = float(rng.uniform(0, 9)) * (1.0 if rng.random() < 0.7 else 0.2)
    coloured = rng.random() < 0.5
    grain = noise(rng, (height, width, 3 if coloured else 1))
    colours = grain if coloured else cv2.cvtColor(grain, cv2.COLOR_GRAY2RGB)
    cv2.addWeighted(frame, 1.0, colours, strength, 0.0, image, cv2.CV_8U)
    if rng.random() < 0.35:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))]
        small = cv2.imencode('.jpg', image, quality)[1]
        return np.asarray(cv2.imdecode(small, cv2.IMREAD_COLOR), np.uint8)
    return image


def _graded(image: Image, air: Air, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the picture with another exposure, white balance and contrast."""
    gain = rng.uniform(0.86, 1.14) * rng.uniform(0.94, 1.06, 3)
    if air.weather == 'rain':
        gain = gain * 0.92
    contrast = rng.uniform(0.85, 1.12)
    offset = (1 - contrast) * (60 if air.night else 118) + rng.uniform(-8, 10)
    table = np.arange(256)[:, None] * (gain * contrast) + offset
    return np.asarray(cv2.LUT(image, table.astype(np.float32)[None]), np.float32)


def _vignette(height: int, width: int, strength: float) -> NDArray[np.float32]:
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
    columns = np.linspace(-1, 1, width, dtype=np.float32) ** 2
    return 1 - np.float32(strength / 2) * (rows + columns)
