"""Sampling table-top scenes as a robot's camera sees them."""

from __future__ import annotations

from math import radians

import numpy as np

from .placing import Layout, between, pick, vary
from .road import picture_size
from .world import Air, Camera, Colour, Scene, Table, Thing

SHAPES = ('cube', 'ball', 'cylinder', 'cone', 'mug')
TABLE_COLOURS = ('red', 'blue', 'green', 'yellow', 'purple', 'white')
TOPS: tuple[Colour, ...] = (
    (150, 110, 74),
    (196, 160, 118),
    (110, 78, 54),
    (128, 130, 134),
    (92, 96, 104),
    (176, 178, 176),
    (64, 62, 66),
    (140, 150, 142),
    (176, 164, 148),
    (104, 118, 132),
)
STEEL: Colour = (120, 124, 132)


def sample_table(rng: np.random.Generator) -> Scene:
    """Return a table scene whose things can all be seen."""
    far_edge = between(rng, 1.15, 1.5)
    camera = _sample_camera(rng)
    while camera.project_point(0.0, far_edge, 0.0)[1] < 0.06 * camera.height:
        camera = _sample_camera(rng)  # an empty table must still be seen to be one
    table = Table(
        far_edge=far_edge,
        left=-between(rng, 0.55, 1.2),
        right=between(rng, 0.55, 1.2),
        paint=TOPS[rng.integers(len(TOPS))],
        texture=pick(rng, {'plain': 0.4, 'wood': 0.3, 'checks': 0.15, 'speckles': 0.15}),
    )
    air = Air(False, 'clear', between(rng, 0.75, 1.1), 1e6, 'indoor')
    layout = Layout(camera, smallest=14.0)
    wanted = int(rng.integers(0, 6))
    shape = pick(rng, {'': 0.5, **dict.fromkeys(SHAPES, 0.1)})
    colour = pick(rng, {'': 0.5, **dict.fromkeys(TABLE_COLOURS, 0.5 / 6)})
    if rng.random() < 0.7:
        wanted -= _add_gripper(rng, layout, table, wanted > 0, shape, colour)
    for _ in range(wanted):
        layout.place(
            lambda: _lying(rng, table, camera, shape, colour), 60, cover=0.08, inside=0.85
        )
    return Scene(camera, table, air, tuple(layout.things), int(rng.integers(1 << 31)))


def _sample_camera(rng: np.random.Generator) -> Camera:
    width, height, turn = picture_size(rng)
    field = between(rng, 48, 58) if turn else between(rng, 40, 48)
    elevation = between(rng, 0.42, 0.66)
    aim = between(rng, 0.62, 0.72)
    return Camera(
        width,
        height,
        radians(field),
        elevation,
        float(np.arctan2(elevation, aim)),
        radians(between(rng, -3, 3)),
    )


def _looks(
    rng: np.random.Generator, shape: str, colour: str
) -> tuple[str, str, float, float, float]:
    kind = shape if shape and rng.random() < 0.8 else str(rng.choice(SHAPES))
    name = colour if colour and rng.random() < 0.8 else str(rng.choice(TABLE_COLOURS))
    side = between(rng, 0.125, 0.165)
    height = side * (between(rng, 1.25, 1.5) if kind in ('cylinder', 'cone') else 1.0)
    width = side * (0.85 if kind == 'cylinder' else 1.0)
    return kind, name, width, height, between(rng, -0.7, 0.7)


def _lying(
    rng: np.random.Generator, table: Table, camera: Camera, shape: str, colour: str
) -> Thing:
    kind, name, width, height, yaw = _looks(rng, shape, colour)
    y = between(rng, 0.42, min(table.far_edge - 0.1, 1.0))
    half = min(0.5, 0.42 * y * camera.width / camera.focal + 0.1)
    x = between(rng, max(-half, table.left + 0.1), min(half, table.right - 0.1))
    return Thing(kind, x, y, 0.0, width, width, height, vary(rng, name), name, yaw=yaw)


def _add_gripper(
    rng: np.random.Generator, layout: Layout, table: Table, may_hold: bool, shape: str, colour: str
) -> int:
    """Place a gripper; returns how many objects it holds (0 or 1)."""
    holding = may_hold and bool(rng.random() < 0.45)
    closed = holding or bool(rng.random() < 0.5)
    kind, name, width, height, yaw = _looks(rng, shape, colour)
    gap = width if holding else 0.015 if closed else between(rng, 0.15, 0.2)

    def make() -> Thing:
        return gripper(
            between(rng, -0.28, 0.28),
            between(rng, 0.6, 0.85),
            between(rng, 0.08, 0.2),
            gap,
            closed,
        )

    if not layout.place(make, 40) or not holding:
        return 0
    hand = layout.things[-1]
    held = Thing(
        kind,
        hand.x,
        hand.y,
        hand.z - 0.4 * height,
        width,
        width,
        height,
        vary(rng, name),
        name,
        'held',
        0.0 if kind == 'cube' else yaw,
    )
    layout.add(held)
    return 1


def gripper(x: float, y: float, z: float, gap: float, closed: bool) -> Thing:
    """Return a gripper of two fingers, `gap` metres apart, their tips at height z."""
    return Thing(
        'gripper',
        x,
        y,
        z,
        gap + 0.09,
        0.06,
        0.24,
        STEEL,
        state='closed' if closed else 'open',
        pose=gap,
    )
