"""Drawing what stands beside a road, and everything that moves on it, each thing by its kind."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import cv2
import numpy as np

from .canvas import Canvas, draw_box, faces_camera, patch_of, scaled, tiles_of
from .world import Colour, Points, Thing, box_corners

FRONT = np.array((0, 1, 5, 4))
RIGHT_SIDE = np.array((1, 2, 6, 5))
LEFT_SIDE = np.array((3, 0, 4, 7))
WHEEL = 0.33  # metres
RING = np.stack((np.cos(np.arange(12) * pi / 6), np.sin(np.arange(12) * pi / 6)), 1)
WHITE: Colour = (225, 225, 222)
LAMPS: dict[str, Colour] = {'red': (255, 40, 30), 'yellow': (255, 205, 30), 'green': (40, 235, 90)}


def _draw_house(canvas: Canvas, house: Thing) -> None:
    pixels, depth = draw_box(canvas, house.corners(), house.paint, top=0.6)
    side = LEFT_SIDE if house.x > 0 else RIGHT_SIDE
    rows = max(int(house.height / 2.8), 1)
    chance = np.random.default_rng(int(house.pose * 1e6)).random(8 * rows)
    for face, columns in ((FRONT, 3), (side, 4)):
        quad = pixels[face]
        if faces_camera(quad[::-1]):
            windows = tiles_of(quad, columns, rows)
            lit = (chance[-len(windows) :] < 0.35) & canvas.air.night
            canvas.panes(windows[~lit], (70, 82, 98), depth)
            canvas.panes(windows[lit], (235, 205, 120), depth, glow=True)


def _upright(canvas: Canvas, thing: Thing) -> tuple[float, float, float, float]:
    """Foot column, foot row, pixels a metre and depth of something flat that faces the camera."""
    u, v, depth = canvas.camera.project_point(thing.x, thing.y, thing.z)
    return u, v, canvas.camera.focal / depth, depth


def _bar(
    canvas: Canvas,
    u: float,
    v: float,
    half: float,
    low: float,
    high: float,
    scale: float,
    colour: Colour,
    depth: float,
    detail: bool = False,
) -> None:
    """Draw an upright rectangle around column u, from low to high in metres over row v."""
    corners = ((-half, low), (half, low), (half, high), (-half, high))
    quad = np.array([(u + x * scale, v - y * scale) for x, y in corners])
    canvas.polygon(quad, colour, depth, detail=detail)


def _draw_tree(canvas: Canvas, tree: Thing) -> None:
    u, v, scale, depth = _upright(canvas, tree)
    _bar(canvas, u, v, 0.2, 0, tree.height * 0.5, scale, (88, 66, 46), depth)
    radius, top = tree.width / 2 * scale, tree.height * scale
    for dx, up, size, light in (
        (0, 0.62, 1.0, 0.85),
        (-0.4, 0.7, 0.7, 1.0),
        (0.35, 0.8, 0.7, 1.12),
    ):
        centre = (u + dx * radius, v - up * top)
        canvas.ellipse(
            centre, (radius * size, radius * size * 1.1), scaled(tree.paint, light), depth
        )


def _draw_lamp(canvas: Canvas, lamp: Thing) -> None:
    u, v, scale, depth = _upright(canvas, lamp)
    _bar(canvas, u, v, 0.09, 0, lamp.height, scale, lamp.paint, depth)
    reach = -0.8 if lamp.x > 0 else 0.8
    centre = (u + reach * scale, v - lamp.height * scale)
    colour = (255, 236, 190) if canvas.air.night else (200, 200, 195)
    canvas.ellipse(centre, (0.7 * scale, 0.16 * scale), colour, depth, glow=canvas.air.night)


def _shadow(canvas: Canvas, thing: Thing, spread: float = 1.12) -> None:
    if canvas.air.night:
        return
    size = (thing.width * spread, thing.length * spread, 0.0)
    foot = box_corners((thing.x, thing.y, 0.0), size, thing.yaw)[:4]
    pixels, depths = canvas.camera.project(foot)
    label = canvas.label
    canvas.surface('road')
    canvas.polygon(pixels, (34, 34, 37), float(depths.mean()))
    canvas.label = label


def _draw_car(canvas: Canvas, car: Thing) -> None:
    _shadow(canvas, car)
    x, y, w, long, h = car.x, car.y, car.width, car.length, car.height
    draw_box(
        canvas, box_corners((x, y, 0.0), (w * 0.94, long * 0.86, 0.36), car.yaw), (20, 20, 22)
    )
    away = car.state == 'away'
    back = -0.06 if away else 0.08
    shift = np.array((np.sin(car.yaw), np.cos(car.yaw))) * long * back
    cabin = box_corners(
        (x + shift[0], y + shift[1], h * 0.54), (w * 0.9, long * 0.62, h * 0.46), car.yaw, 0.78
    )
    body = box_corners((x, y, 0.2), (w, long, h * 0.54 - 0.2), car.yaw)
    roof, depth = draw_box(canvas, cabin, car.paint)
    for face in (FRONT, RIGHT_SIDE if car.x < canvas.camera.x else LEFT_SIDE):
        glass = patch_of(roof[face], 0.1, 0.9, 0.08, 0.78)
        canvas.polygon(glass, (48, 60, 74), depth, detail=True)
    pixels, depth = draw_box(canvas, body, car.paint)
    front = pixels[FRONT]
    _draw_wheels(canvas, car, depth)
    _draw_lamps(canvas, front, away, depth, 0.5, 0.86)
    plate = patch_of(front, 0.38, 0.62, 0.2, 0.4)
    if away:
        canvas.polygon(plate, (215, 212, 190), depth, detail=True)
    else:
        canvas.polygon(patch_of(front, 0.28, 0.72, 0.14, 0.5), (30, 31, 34), depth, detail=True)


def _draw_wheels(canvas: Canvas, car: Thing, depth: float) -> None:
    """Draw the wheels of the side that is seen; each is a ring [12, 3] in that side's plane."""
    side = 0.5 if car.x < canvas.camera.x else -0.5
    c, s = np.cos(car.yaw), np.sin(car.yaw)
    for middle in (-0.3, 0.3):
        u = side * car.width * np.ones(12)
        v = middle * car.length + WHEEL * RING[:, 0]
        ring = np.stack(
            (car.x + u * c + v * s, car.y + v * c - u * s, WHEEL * (1 + RING[:, 1])), 1
        )
        canvas.polygon(canvas.camera.project(ring)[0], (16, 16, 18), depth)


def _draw_lamps(
    canvas: Canvas, front: Points, away: bool, depth: float, low: float, high: float
) -> None:
    night = canvas.air.night
    if away:
        colour: Colour = (255, 36, 30) if night else (170, 14, 18)
    else:
        colour = (255, 250, 225) if night else (235, 236, 225)
    for left in (0.03, 0.8):
        lamp = patch_of(front, left, left + 0.17, low, high)
        canvas.polygon(lamp, colour, depth, glow=night, detail=True)
        if night and not away:
            centre = lamp.mean(0)
            radius = float(np.abs(front[1, 0] - front[0, 0])) * 0.11
            middle = (float(centre[0]), float(centre[1]))
            canvas.ellipse(middle, (radius, radius), colour, depth, glow=True, detail=True)


def _draw_truck(canvas: Canvas, truck: Thing) -> None:
    _shadow(canvas, truck)
    x, y, w, long, h = truck.x, truck.y, truck.width, truck.length, truck.height
    draw_box(
        canvas, box_corners((x, y, 0.0), (w * 0.9, long * 0.92, 0.8), truck.yaw), (22, 22, 24)
    )
    body = box_corners((x, y, 0.7), (w, long, h - 0.7), truck.yaw)
    pixels, depth = draw_box(canvas, body, truck.paint)
    front = pixels[FRONT]
    line = scaled(truck.paint, 0.6) if sum(truck.paint) > 150 else (70, 70, 74)
    if truck.state == 'away':
        canvas.polygon(patch_of(front, 0.485, 0.515, 0.04, 0.96), line, depth, detail=True)
        for edge in ((0.0, 0.03), (0.97, 1.0)):
            canvas.polygon(patch_of(front, *edge, 0.0, 1.0), line, depth, detail=True)
        canvas.polygon(patch_of(front, 0, 1, 0.95, 1), line, depth, detail=True)
        canvas.polygon(patch_of(front, 0.1, 0.9, -0.16, -0.1), WHITE, depth, detail=True)
        _draw_lamps(canvas, front, True, depth, -0.14, -0.03)
    else:
        canvas.polygon(patch_of(front, 0.06, 0.94, 0.34, 0.68), (46, 58, 72), depth, detail=True)
        canvas.polygon(patch_of(front, 0, 1, 0.76, 0.79), line, depth, detail=True)
        canvas.polygon(patch_of(front, 0.25, 0.75, 0.08, 0.24), line, depth, detail=True)
        _draw_lamps(canvas, front, False, depth, -0.06, 0.06)
    _draw_wheels(canvas, truck, depth)


def _draw_pedestrian(canvas: Canvas, person: Thing) -> None:
    u, v, scale, depth = _upright(canvas, person)
    h = person.height * scale
    stride = 0.11 * np.cos(person.pose * 2 * pi) * h
    light = (0.3, 0.45, 0.6, 0.8)[int(person.pose * 4) % 4]
    trousers = scaled((105, 95, 110), light)
    for side in (-1, 1):
        foot = u + side * stride
        hip = u + side * 0.04 * h
        leg = np.array(
            (
                (foot - 0.05 * h, v),
                (foot + 0.05 * h, v),
                (hip + 0.06 * h, v - 0.5 * h),
                (hip - 0.06 * h, v - 0.5 * h),
            )
        )
        canvas.polygon(leg, trousers, depth)
        hand = u - side * stride * 0.9
        arm = np.array(
            (
                (hand - 0.035 * h, v - 0.45 * h),
                (hand + 0.035 * h, v - 0.45 * h),
                (u + side * 0.1 * h + 0.04 * h, v - 0.8 * h),
                (u + side * 0.1 * h - 0.04 * h, v - 0.8 * h),
            )
        )
        canvas.polygon(arm, scaled(person.paint, 0.8), depth)
    torso = np.array(
        (
            (u - 0.11 * h, v - 0.46 * h),
            (u + 0.11 * h, v - 0.46 * h),
            (u + 0.145 * h, v - 0.83 * h),
            (u - 0.145 * h, v - 0.83 * h),
        )
    )
    canvas.polygon(torso, person.paint, depth)
    skin = ((226, 180, 150), (190, 138, 104), (120, 82, 60))[int(person.pose * 97) % 3]
    canvas.ellipse((u, v - 0.91 * h), (0.075 * h, 0.09 * h), skin, depth)
    hair = ((50, 36, 26), (120, 86, 44), (22, 20, 20))[int(person.pose * 53) % 3]
    canvas.ellipse((u, v - 0.955 * h), (0.075 * h, 0.05 * h), hair, depth)


def _draw_cone(canvas: Canvas, cone: Thing) -> None:
    u, v, scale, depth = _upright(canvas, cone)
    w, h = cone.width * scale, cone.height * scale
    _bar(canvas, u, v, cone.width / 2, -0.02, 0.1, scale, (60, 58, 58), depth)

    def layer(low: float, high: float, colour: Colour) -> None:
        a, b = 0.42 * w * (1 - 0.85 * low), 0.42 * w * (1 - 0.85 * high)
        rows = (
            (u - a, v - low * h),
            (u + a, v - low * h),
            (u + b, v - high * h),
            (u - b, v - high * h),
        )
        canvas.polygon(np.array(rows), colour, depth)

    layer(0.06, 1.0, cone.paint)
    layer(0.38, 0.62, (240, 240, 238))


def _draw_carton(canvas: Canvas, box: Thing) -> None:
    _shadow(canvas, box, 1.2)
    pixels, depth = draw_box(canvas, box.corners(), box.paint, top=1.25)
    for face in (FRONT, RIGHT_SIDE, LEFT_SIDE):
        quad = pixels[face]
        if faces_camera(quad[::-1]):
            tape = patch_of(quad, 0.4, 0.6, 0.0, 1.0)
            canvas.polygon(tape, (214, 182, 130), depth, detail=True)


def _draw_light(canvas: Canvas, light: Thing) -> None:
    u, v, scale, depth = _upright(canvas, light)
    label, canvas.label = canvas.label, 0
    if light.pose:  # it hangs on a wire
        top = light.height + 0.1
        _bar(canvas, u, v, 14.0, top, top + 0.08, scale, (88, 90, 94), depth)
    else:
        _bar(canvas, u, v, 0.09, -light.z, 0, scale, (88, 90, 94), depth)
    canvas.label = label
    half = light.width / 2
    _bar(canvas, u, v, half, 0, light.height, scale, light.paint, depth)
    radius = light.height * scale * 0.148
    for index, name in enumerate(('green', 'yellow', 'red')):
        lit = name == light.state
        centre = (u, v - light.height * scale * (0.18 + 0.32 * index))
        if lit:
            halo = scaled(LAMPS[name], 0.5)
            canvas.ellipse(centre, (radius * 1.2, radius * 1.2), halo, depth, True, True)
        colour = LAMPS[name] if lit else (48, 48, 50)
        size = radius * (1.05 if lit else 0.85)
        canvas.ellipse(centre, (size, size), colour, depth, glow=lit, detail=True)


def _draw_sign(canvas: Canvas, sign: Thing) -> None:
    u, v, scale, depth = _upright(canvas, sign)
    label, canvas.label = canvas.label, 0
    _bar(canvas, u, v, 0.06, -sign.z, 0.1, scale, (130, 132, 136), depth)
    canvas.label = label
    radius = sign.width / 2 * scale
    centre = np.array((u, v - sign.height / 2 * scale))
    red: Colour = (205, 22, 30)
    white: Colour = (240, 240, 240)

    def regular(count: int, size: float, turn: float) -> Points:
        angles = turn + np.arange(count) * 2 * pi / count
        return centre + size * np.stack((np.cos(angles), np.sin(angles)), 1)

    if sign.kind == 'stop sign':
        canvas.polygon(regular(8, radius * 1.06, pi / 8), white, depth)
        canvas.polygon(regular(8, radius * 0.96, pi / 8), red, depth, detail=True)
        _write(canvas, 'STOP', u, float(centre[1]), radius * 1.55, white, depth)
    elif sign.kind == 'yield sign':
        centre = centre - np.array((0, 0.2 * radius))
        canvas.polygon(regular(3, radius * 1.25, pi / 2), red, depth)
        canvas.polygon(regular(3, radius * 0.68, pi / 2), white, depth, detail=True)
    else:
        middle = (u, float(centre[1]))
        canvas.ellipse(middle, (radius, radius), red, depth)
        canvas.ellipse(middle, (radius * 0.74, radius * 0.74), white, depth, detail=True)
        number = ('30', '50', '60', '80')[int(sign.pose * 4) % 4]
        _write(canvas, number, u, float(centre[1]), radius * 0.98, (20, 20, 22), depth)


def _write(
    canvas: Canvas, text: str, u: float, v: float, width: float, colour: Colour, depth: float
) -> None:
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)
    size = width / wide
    place = (round(u - width / 2), round(v + high * size / 2))
    tone = canvas.tone(colour, depth)
    thick = 2 if width > 26 else 1
    cv2.putText(
        canvas.image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, tone, thick, cv2.LINE_AA
    )


DRAW: dict[str, Callable[[Canvas, Thing], None]] = {
    'house': _draw_house,
    'tree': _draw_tree,
    'lamp': _draw_lamp,
    'car': _draw_car,
    'truck': _draw_truck,
    'pedestrian': _draw_pedestrian,
    'traffic cone': _draw_cone,
    'box': _draw_carton,
    'traffic light': _draw_light,
    'stop sign': _draw_sign,
    'yield sign': _draw_sign,
    'speed sign': _draw_sign,
}
