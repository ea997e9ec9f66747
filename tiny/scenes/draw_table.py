"""Drawing a table top, the things on it, and the gripper."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import cv2
import numpy as np

from .canvas import Canvas, draw_box, faces_camera, scaled, spread
from .world import Points, Scene, Table, Thing, box_corners

RING = np.stack((np.cos(np.arange(24) * pi / 12), np.sin(np.arange(24) * pi / 12)), 1)


def draw_table_scene(canvas: Canvas, scene: Scene, table: Table, rng: np.random.Generator) -> None:
    """Draw everything, far to near. `rng` decides the room, the texture and the light's side."""
    _draw_room(canvas, rng)
    _draw_top(canvas, table, rng)
    light = float(rng.uniform(-1, 1))
    for thing in scene.objects:
        _draw_shadow(canvas, table, thing, light)
    order = sorted(enumerate(scene.objects), key=lambda entry: -entry[1].y)
    for index, thing in order:
        canvas.label = index + 1
        DRAW[thing.kind](canvas, thing)


def _draw_room(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw a wall and a few blurred, dull things behind the table."""
    camera = canvas.camera
    wall = rng.uniform(90, 215) * rng.uniform(0.9, 1.05, 3)
    slope = np.linspace(rng.uniform(0.8, 1.1), rng.uniform(0.6, 1.0), camera.height)
    column = np.clip(slope[:, None] * wall * canvas.air.brightness, 0, 255)
    canvas.image[:] = spread(column, camera.width)
    for _ in range(rng.integers(0, 6)):
        u, v = rng.uniform(0, camera.width), rng.uniform(0, 0.4) * camera.height
        w, h = rng.uniform(0.05, 0.3, 2) * camera.side
        grey = float(rng.uniform(40, 190))
        colour = (grey * 1.05, grey, grey * float(rng.uniform(0.8, 1.15)))
        quad = np.array(((u - w, v), (u + w, v), (u + w, v + h), (u - w, v + h)))
        canvas.polygon(quad, colour, 3.0)
    top = int(0.6 * camera.height)
    canvas.image[:top] = cv2.blur(canvas.image[:top], (9, 9))


def _draw_top(canvas: Canvas, table: Table, rng: np.random.Generator) -> None:
    near = 0.12
    corners = np.array(
        (
            (table.left, near, 0.0),
            (table.right, near, 0.0),
            (table.right, table.far_edge, 0.0),
            (table.left, table.far_edge, 0.0),
        )
    )
    pixels, _ = canvas.camera.project(corners)
    canvas.surface('table')
    canvas.polygon(pixels, table.paint, 1.0)
    contrast = float(rng.uniform(0.84, 0.94))
    if table.texture == 'wood':
        for x in np.arange(table.left, table.right, rng.uniform(0.05, 0.14)).tolist():
            end = x + float(rng.uniform(0.01, 0.04))
            _draw_tile(canvas, table, x, end, near, table.far_edge, contrast)
    elif table.texture == 'checks':
        side = float(rng.uniform(0.09, 0.16))
        for i, x in enumerate(np.arange(table.left, table.right - side, side).tolist()):
            for y in np.arange(near + side * (i % 2), table.far_edge - side, 2 * side).tolist():
                _draw_tile(canvas, table, x, x + side, y, y + side, contrast)
    elif table.texture == 'speckles':
        grain = rng.integers(-14, 15, canvas.labels.shape, np.int16)[..., None]
        inside = (canvas.labels >= 200)[..., None]
        speckled = np.clip(canvas.image.astype(np.int16) + grain * inside, 0, 255)
        canvas.image[:] = speckled.astype(np.uint8)


def _draw_tile(
    canvas: Canvas, table: Table, x: float, right: float, y: float, far: float, gain: float
) -> None:
    corners = np.array(((x, y, 0.0), (right, y, 0.0), (right, far, 0.0), (x, far, 0.0)))
    pixels, _ = canvas.camera.project(corners)
    canvas.polygon(pixels, scaled(table.paint, gain), 1.0)


def _draw_shadow(canvas: Canvas, table: Table, thing: Thing, light: float) -> None:
    canvas.surface('table')
    lift = max(thing.z, 0.0)
    x = thing.x + light * (0.25 * thing.height + 0.3 * lift)
    y = min(thing.y + 0.02, table.far_edge - thing.length)
    foot = np.zeros((24, 3))
    foot[:, 0] = x + RING[:, 0] * thing.width * 0.62
    foot[:, 1] = y + RING[:, 1] * min(thing.length, thing.width) * 0.6
    pixels, _ = canvas.camera.project(foot)
    canvas.polygon(pixels, scaled(table.paint, 0.78 if lift else 0.62), 1.0)


def _ring(canvas: Canvas, thing: Thing, z: float, radius: float) -> Points:
    """Return a level circle around the thing's axis in pixels [24, 2], from the right."""
    points = np.empty((24, 3))
    points[:, 0] = thing.x + RING[:, 0] * radius
    points[:, 1] = thing.y + RING[:, 1] * radius
    points[:, 2] = z
    return canvas.camera.project(points)[0]


def _draw_cube(canvas: Canvas, cube: Thing) -> None:
    draw_box(canvas, cube.corners(), cube.paint, top=1.22)


def _draw_ball(canvas: Canvas, ball: Thing) -> None:
    u, v, depth = canvas.camera.project_point(ball.x, ball.y, ball.z + ball.height / 2)
    radius = ball.height / 2 * canvas.camera.focal / depth
    for step, gain in enumerate((0.62, 0.8, 0.95, 1.06)):
        size = radius * (1 - 0.2 * step)
        place = (u - 0.09 * step * radius, v - 0.12 * step * radius)
        canvas.ellipse(place, (size, size), scaled(ball.paint, gain), 1.0, detail=step > 0)
    glint = (u - 0.33 * radius, v - 0.42 * radius)
    shine = tuple(min(255.0, 0.5 * c + 128) for c in ball.paint)
    canvas.ellipse(
        glint, (radius * 0.16, radius * 0.13), (shine[0], shine[1], shine[2]), 1.0, detail=True
    )


def _draw_side(canvas: Canvas, thing: Thing, taper: float) -> Points:
    """Draw the shaded side of a round thing, back to front; returns the top's circle."""
    radius = thing.width / 2
    foot = _ring(canvas, thing, thing.z, radius)
    top = _ring(canvas, thing, thing.z + thing.height, radius * taper)
    canvas.polygon(foot, scaled(thing.paint, 0.8), 1.0)
    for i in range(11, 24):
        j = (i + 1) % 24
        gain = 1.05 - 0.5 * abs((i + 0.5 - 16.5) / 8)
        quad = np.stack((foot[i], foot[j], top[j], top[i]))
        canvas.polygon(quad, scaled(thing.paint, gain), 1.0)
    return top


def _draw_cylinder(canvas: Canvas, thing: Thing) -> None:
    canvas.polygon(_draw_side(canvas, thing, 1.0), scaled(thing.paint, 1.2), 1.0)


def _draw_cone(canvas: Canvas, thing: Thing) -> None:
    foot = _ring(canvas, thing, thing.z, thing.width / 2)
    tip = canvas.camera.project_point(thing.x, thing.y, thing.z + thing.height)[:2]
    canvas.polygon(foot, scaled(thing.paint, 0.75), 1.0)
    for i in range(24):
        side = np.vstack((foot[[(i + 1) % 24, i]], tip))
        if faces_camera(side):
            canvas.polygon(side, scaled(thing.paint, 1.1 - 0.055 * abs((i + 20) % 24 - 12)), 1.0)


def _draw_mug(canvas: Canvas, mug: Thing) -> None:
    u, v, depth = canvas.camera.project_point(mug.x, mug.y, mug.z + mug.height * 0.52)
    scale = canvas.camera.focal / depth
    u += (0.5 if mug.yaw >= 0 else -0.5) * mug.width * scale
    size = mug.height * 0.33 * scale
    middle, axes = (round(u * 16), round(v * 16)), (round(size * 13), round(size * 16))
    thick = max(2, round(size * 0.42))
    tone = canvas.tone(scaled(mug.paint, 0.85), 1.0)
    cv2.ellipse(canvas.image, middle, axes, 0, 0, 360, tone, thick, cv2.LINE_AA, 4)
    label = (canvas.label,)
    cv2.ellipse(canvas.labels, middle, axes, 0, 0, 360, label, thick, cv2.LINE_8, 4)
    top = _draw_side(canvas, mug, 1.0)
    canvas.polygon(top, scaled(mug.paint, 1.2), 1.0)
    inner = _ring(canvas, mug, mug.z + mug.height, mug.width * 0.4)
    canvas.polygon(inner, scaled(mug.paint, 0.38), 1.0)


def _draw_gripper(canvas: Canvas, hand: Thing) -> None:
    gap = hand.pose
    for side in (-1, 1):
        x = hand.x + side * (gap / 2 + 0.022)
        finger = box_corners((x, hand.y, hand.z), (0.044, 0.05, 0.16))
        draw_box(canvas, finger, hand.paint)
        tip = box_corners((x, hand.y - 0.001, hand.z), (0.044, 0.05, 0.045))
        draw_box(canvas, tip, (45, 46, 50))
    palm = box_corners((hand.x, hand.y, hand.z + 0.15), (max(gap, 0.07) + 0.12, 0.08, 0.07))
    draw_box(canvas, palm, (70, 74, 82))
    arm = box_corners((hand.x, hand.y, hand.z + 0.22), (0.075, 0.075, 0.9))
    arm[4:, 1] = arm[:4, 1]
    draw_box(canvas, arm, (205, 208, 212))


DRAW: dict[str, Callable[[Canvas, Thing], None]] = {
    'cube': _draw_cube,
    'ball': _draw_ball,
    'cylinder': _draw_cylinder,
    'cone': _draw_cone,
    'mug': _draw_mug,
    'gripper': _draw_gripper,
}
