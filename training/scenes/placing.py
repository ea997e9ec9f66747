"""Placing things so that each of them is seen: large enough, inside the picture, barely covered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .world import PAINTS, Camera, Colour, Thing, bounds

REFERENCE = 144  # side in pixels at which everything must be legible
SMALLEST = 6.5  # least width and height in pixels at that side


class Layout:
    """The things placed so far in one picture."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.things: list[Thing] = []
        self.boxes: list[tuple[float, float, float, float]] = []

    def place(self, make: Callable[[], Thing], tries: int = 14, cover: float = 0.3) -> bool:
        """Add the first of `tries` made things that fits; say whether one did."""
        for _ in range(tries):
            thing = make()
            box = bounds(self.camera, thing)
            if self._inside(thing, box) and self._apart(thing, box, cover):
                self.things.append(thing)
                self.boxes.append(box)
                return True
        return False

    def _inside(self, thing: Thing, box: tuple[float, float, float, float]) -> bool:
        left, top, right, bottom = box
        width = min(right, self.camera.width) - max(left, 0.0)
        height = min(bottom, self.camera.height) - max(top, 0.0)
        if width <= 0 or height <= 0:
            return False
        scale = REFERENCE / self.camera.side
        large = min(width, height) * scale >= SMALLEST
        return large and width * height >= 0.72 * (right - left) * (bottom - top)

    def _apart(
        self, thing: Thing, box: tuple[float, float, float, float], cover: float
    ) -> bool:
        for other, taken in zip(self.things, self.boxes, strict=True):
            width = min(box[2], taken[2]) - max(box[0], taken[0])
            height = min(box[3], taken[3]) - max(box[1], taken[1])
            if width <= 0 or height <= 0:
                continue
            farther = box if thing.y > other.y else taken
            area = (farther[2] - farther[0]) * (farther[3] - farther[1])
            if width * height > cover * area:
                return False
        return True


def vary(rng: np.random.Generator, colour: str) -> Colour:
    """A paint that a person calls by the given colour name."""
    base = np.array(PAINTS[colour])
    paint = np.clip(base * rng.uniform(0.85, 1.12) + rng.normal(0, 7, 3), 8, 250)
    return float(paint[0]), float(paint[1]), float(paint[2])


def pick(rng: np.random.Generator, options: dict[str, float]) -> str:
    """One of the options, drawn by weight."""
    names = tuple(options)
    shares = np.cumsum(tuple(options.values()))
    return names[int(np.searchsorted(shares, rng.random() * shares[-1], side='right'))]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A plain float drawn uniformly."""
    return float(rng.uniform(low, high))
