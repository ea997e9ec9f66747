"""Placing things so that each is seen: large enough, inside the picture, barely covered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .world import PAINTS, Camera, Colour, Thing, bounds

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
REFERENCE = 144  # side in pixels at which everything must be legible


class Layout:
    """The things placed so far in one picture."""

    def __init__(self, camera: Camera, smallest: float) -> None:
        """Start empty; `smallest` is the least width and height of a thing at side REFERENCE."""
        self.camera = camera
        self.smallest = smallest
        self.things: list[Thing] = []
        self._boxes: list[Box] = []

    def place(
        self, make: Callable[[], Thing], tries: int = 14, cover: float = 0.3, inside: float = 0.72
    ) -> bool:
        """Add the first of `tries` made things that fits; say whether one did.

        A share `inside` of it must lie in the picture, and of any two things that overlap the
        nearer may cover at most a share `cover` of the farther.
        """
        for _ in range(tries):
            thing = make()
            box = bounds(self.camera, thing)
            if in_picture(self.camera, box, self.smallest, inside) and self._apart(
                thing, box, cover
            ):
                self.add(thing)
                return True
        return False

    def add(self, thing: Thing) -> None:
        """Add a thing wherever it is."""
        self.things.append(thing)
        self._boxes.append(bounds(self.camera, thing))

    def _apart(self, thing: Thing, box: Box, cover: float) -> bool:
        for other, taken in zip(self.things, self._boxes, strict=True):
            width = min(box[2], taken[2]) - max(box[0], taken[0])
            height = min(box[3], taken[3]) - max(box[1], taken[1])
            if width <= 0 or height <= 0:
                continue
            farther = box if thing.y > other.y else taken
            area = (farther[2] - farther[0]) * (farther[3] - farther[1])
            if width * height > cover * area:
                return False
        return True


def in_picture(camera: Camera, box: Box, smallest: float, share: float) -> bool:
    """Say whether at least a share of a box is in the picture, and large enough there.

    `smallest` is the least width and height in pixels at side REFERENCE.
    """
    left, top, right, bottom = box
    width = min(right, camera.width) - max(left, 0.0)
    height = min(bottom, camera.height) - max(top, 0.0)
    if width <= 0 or height <= 0:
        return False
    large = min(width, height) * REFERENCE / camera.side >= smallest
    return large and width * height >= share * (right - left) * (bottom - top)


def vary(rng: np.random.Generator, colour: str) -> Colour:
    """Return a paint that a person calls by the given colour name."""
    base = np.array(PAINTS[colour])
    paint = np.clip(base * rng.uniform(0.85, 1.12) + rng.normal(0, 7, 3), 8, 250)
    return float(paint[0]), float(paint[1]), float(paint[2])


def pick(rng: np.random.Generator, options: dict[str, float]) -> str:
    """One of the options, drawn by weight."""
    names = tuple(options)
    shares = np.cumsum(tuple(options.values()))
    return names[int(np.searchsorted(shares, rng.random() * shares[-1], side='right'))]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a plain float drawn uniformly."""
    return low + (high - low) * rng.random()
