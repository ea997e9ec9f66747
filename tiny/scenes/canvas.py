"""A picture and its label map, drawn together, with the air's effect on every colour."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import exp

import cv2
import numpy as np
from numpy.typing import NDArray

from .world import FIRST_SURFACE, SURFACES, Air, Camera, Colour, Points

LIMIT = 6000.0  # pixels; an ellipse beyond it would overflow OpenCV's fixed-point numbers


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
        self,
        pixels: Points,
        colour: Colour,
        depth: float,
        glow: bool = False,
        detail: bool = False,
    ) -> None:
        """Fill a convex polygon [N, 2]; a detail lies on something that is labelled already."""
        points = (pixels * 16 + 0.5).astype(np.int32)
        cv2.fillConvexPoly(self.image, points, self.tone(colour, depth, glow), cv2.LINE_AA, 4)
        if not detail:
            cv2.fillConvexPoly(self.labels, points, (self.label,), cv2.LINE_8, 4)

    def panes(self, quads: Points, colour: Colour, depth: float, glow: bool = False) -> None:
        """Fill details [N, 4, 2] of one colour that do not overlap."""
        points = (quads * 16 + 0.5).astype(np.int32)
        tone = self.tone(colour, depth, glow)
        cv2.fillPoly(self.image, list(points), tone, cv2.LINE_AA, 4)

    def pave(self, polygons: Sequence[Points], colour: Colour) -> None:
        """Fill parts of the ground, in colours that `cover` gives to the air later."""
        points = [(pixels * 16 + 0.5).astype(np.int32) for pixels in polygons]
        cv2.fillPoly(self.image, points, colour, cv2.LINE_AA, 4)
        cv2.fillPoly(self.labels, points, (self.label,), cv2.LINE_8, 4)

    def cover(self, horizon: float) -> None:
        """Let light and fog act on everything paved below the horizon, by each row's distance."""
        first = int(min(max(horizon + 1, 0), self.camera.height))
        rows = np.arange(first, self.camera.height)
        depth = self.camera.elevation * self.camera.focal / np.maximum(rows - horizon, 1.0)
        clear = np.exp(-depth / self.air.fog_length)
        gain = np.full(len(rows), self.air.brightness)
        if self.air.night:
            gain *= 0.75 + 0.5 * np.exp(-depth / 14)
        land = self.image[first:].astype(np.float32)
        land *= (gain * clear).astype(np.float32)[:, None, None]
        fog = spread((1 - clear)[:, None] * self.fog, self.camera.width)
        cv2.add(land, fog, self.image[first:], dtype=cv2.CV_8U)

    def ellipse(
        self,
        centre: tuple[float, float],
        axes: tuple[float, float],
        colour: Colour,
        depth: float,
        glow: bool = False,
        detail: bool = False,
        angle: float = 0.0,
    ) -> None:
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


def spread(column: Points, width: int) -> NDArray[np.float32]:
    """Return the colours [H, 3] of a column as float32 [H, width, 3]."""
    pixels = column.astype(np.float32)[:, None]
    wide = cv2.resize(pixels, (width, len(column)), interpolation=cv2.INTER_NEAREST)
    return np.asarray(wide, np.float32)


def fog_colour(air: Air) -> Colour:
    """Return what fog fades to."""
    return (52, 54, 60) if air.night else (196, 200, 204)


def scaled(colour: Colour, gain: float) -> Colour:
    """Return a lighter or darker colour."""
    return colour[0] * gain, colour[1] * gain, colour[2] * gain


# Faces of a box by corner index (see world.box_corners), and how light they are.
FACES = (
    (np.array((3, 2, 6, 7)), 0.7),
    (np.array((0, 3, 7, 4)), 0.72),
    (np.array((2, 1, 5, 6)), 0.8),
    (np.array((1, 0, 4, 5)), 1.0),
)
TOP = np.array((4, 5, 6, 7))


def draw_box(
    canvas: Canvas, corners: Points, paint: Colour, top: float = 1.15, detail: bool = False
) -> tuple[Points, float]:
    """Draw an upright box from its corners [8, 3]; return their pixels [8, 2] and its depth."""
    pixels, depths = canvas.camera.project(corners)
    depth = float(depths[0] + depths[2]) / 2
    for face, light in FACES:
        quad = pixels[face]
        if faces_camera(quad):
            canvas.polygon(quad, scaled(paint, light), depth, detail=detail)
    roof = pixels[TOP]
    if not faces_camera(roof):
        canvas.polygon(roof, scaled(paint, top), depth, detail=detail)
    return pixels, depth


def faces_camera(quad: Points) -> bool:
    """Say whether a polygon's pixels [N, 2] run clockwise in the picture."""
    (ax, ay), (bx, by), (cx, cy) = quad[:3].tolist()
    return bool((bx - ax) * (cy - by) > (by - ay) * (cx - bx))


def patch_of(quad: Points, left: float, right: float, low: float, high: float) -> Points:
    """Part [4, 2] of a quad given as foot left, foot right, top right, top left; in fractions."""
    return _shares(left, right, low, high) @ quad


def tiles_of(quad: Points, columns: int, rows: int) -> Points:
    """Windows [columns * rows, 4, 2] in a quad, evenly spread."""
    return (_window_shares(columns, rows) @ quad).reshape(-1, 4, 2)


@lru_cache(maxsize=256)
def _shares(left: float, right: float, low: float, high: float) -> Points:
    spots = ((left, low), (right, low), (right, high), (left, high))
    return np.array([((1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v) for u, v in spots])


@lru_cache(maxsize=64)
def _window_shares(columns: int, rows: int) -> Points:
    panes = [
        _shares((i + 0.25) / columns, (i + 0.7) / columns, (j + 0.3) / rows, (j + 0.75) / rows)
        for j in range(rows)
        for i in range(columns)
    ]
    return np.concatenate(panes)
