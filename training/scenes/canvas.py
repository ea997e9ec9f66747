"""A picture and its label map, drawn together, with the air's effect on every colour."""

from __future__ import annotations

from math import exp

import cv2
import numpy as np
from numpy.typing import NDArray

from .world import SURFACES, Air, Camera, Colour, Points

FIRST_SURFACE = 200  # labels: 0 nothing, 1 + index of a thing, FIRST_SURFACE + index of a surface
LIMIT = 6000.0  # pixels; keeps OpenCV's fixed-point numbers in range


class Canvas:
    """Draws polygons and ellipses in pixels; `label` is what the next shapes belong to."""

    def __init__(self, camera: Camera, air: Air) -> None:
        self.camera = camera
        self.air = air
        self.image: NDArray[np.uint8] = np.zeros((camera.height, camera.width, 3), np.uint8)
        self.labels: NDArray[np.uint8] = np.zeros((camera.height, camera.width), np.uint8)
        self.label = 0
        self.fog = fog_colour(air)

    def surface(self, name: str) -> None:
        """Make the next shapes part of a surface."""
        self.label = FIRST_SURFACE + SURFACES.index(name)

    def tone(self, colour: Colour, depth: float, glow: bool = False) -> Colour:
        """How a colour looks at a depth in metres; what glows needs no light."""
        gain = 1.0 if glow else self.air.brightness
        if self.air.night and not glow:
            gain *= 0.75 + 0.5 * exp(-depth / 14)
        clear = exp(-depth / self.air.fog_length)
        if glow:
            clear = clear**0.5
        fog = self.fog
        return (
            min(colour[0] * gain, 255) * clear + fog[0] * (1 - clear),
            min(colour[1] * gain, 255) * clear + fog[1] * (1 - clear),
            min(colour[2] * gain, 255) * clear + fog[2] * (1 - clear),
        )

    def polygon(
        self, pixels: Points, colour: Colour, depth: float, glow: bool = False, detail: bool = False
    ) -> None:
        """Fill a convex polygon [N, 2]; a detail lies on something that is labelled already."""
        points = (np.clip(pixels, -LIMIT, LIMIT) * 16 + 0.5).astype(np.int32)
        cv2.fillConvexPoly(self.image, points, self.tone(colour, depth, glow), cv2.LINE_AA, 4)
        if not detail:
            cv2.fillConvexPoly(self.labels, points, (self.label,), cv2.LINE_8, 4)

    def ellipse(
        self, centre: tuple[float, float], axes: tuple[float, float], colour: Colour, depth: float,
        glow: bool = False, detail: bool = False, angle: float = 0.0,
    ) -> None:  # fmt: skip
        """Fill an ellipse with half axes in pixels."""
        if abs(centre[0]) > LIMIT or abs(centre[1]) > LIMIT or max(axes) > LIMIT:
            return
        middle = (round(centre[0] * 16), round(centre[1] * 16))
        size = (max(round(axes[0] * 16), 4), max(round(axes[1] * 16), 4))
        turn = angle * 57.29578
        tone = self.tone(colour, depth, glow)
        cv2.ellipse(self.image, middle, size, turn, 0, 360, tone, -1, cv2.LINE_AA, 4)
        if not detail:
            cv2.ellipse(self.labels, middle, size, turn, 0, 360, (self.label,), -1, cv2.LINE_8, 4)


def fog_colour(air: Air) -> Colour:
    """What fog fades to."""
    return (52, 54, 60) if air.night else (196, 200, 204)


def scaled(colour: Colour, gain: float) -> Colour:
    """A lighter or darker colour."""
    return colour[0] * gain, colour[1] * gain, colour[2] * gain


# Faces of a box by corner index (world.box_corners): which way they look and how light they are.
FACES = (
    ((3, 2, 6, 7), (0.0, 1.0), 0.7),
    ((0, 3, 7, 4), (-1.0, 0.0), 0.72),
    ((2, 1, 5, 6), (1.0, 0.0), 0.8),
    ((1, 0, 4, 5), (0.0, -1.0), 1.0),
)
TOP = (4, 5, 6, 7)


def draw_box(
    canvas: Canvas, corners: Points, paint: Colour, top: float = 1.15, detail: bool = False
) -> tuple[Points, float]:
    """Draw an upright box from its corners [8, 3]; returns the corners' pixels [8, 2] and depth."""
    camera = canvas.camera
    pixels, depths = camera.project(corners)
    depth = float(depths[:4].mean())
    for face, _, light in FACES:
        quad = pixels[list(face)]
        if _faces_camera(quad):
            canvas.polygon(quad, scaled(paint, light), depth, detail=detail)
    roof = pixels[list(TOP)]
    if not _faces_camera(roof):
        canvas.polygon(roof, scaled(paint, top), depth, detail=detail)
    return pixels, depth


def _faces_camera(quad: Points) -> bool:
    a, b, c = quad[0], quad[1], quad[2]
    return bool((b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0]) > 0)


def patch_of(quad: Points, left: float, right: float, low: float, high: float) -> Points:
    """Part [4, 2] of a quad given as foot left, foot right, top right, top left; in fractions."""
    a, b, c, d = quad
    rows = []
    for u, v in ((left, low), (right, low), (right, high), (left, high)):
        rows.append((a * (1 - u) + b * u) * (1 - v) + (d * (1 - u) + c * u) * v)
    return np.stack(rows)
