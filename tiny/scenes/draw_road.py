"""Drawing the road under its sky; what stands beside it and moves on it comes on top."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, scaled, spread
from .draw_things import DRAW
from .road import CROSSING_LENGTH
from .world import Colour, Points, Road, Scene

STATIONS = np.array((1.0, 2, 3.5, 5, 7, 9, 12, 15, 19, 24, 30, 38, 48, 62, 85))
PAVEMENT = 2.8
WHITE: Colour = (225, 225, 222)


def draw_road_scene(canvas: Canvas, scene: Scene, road: Road, rng: np.random.Generator) -> None:
    """Draw everything, far to near. `rng` decides only the backdrop."""
    _draw_backdrop(canvas, scene, rng)
    _draw_ground(canvas, road, rng)
    canvas.cover(scene.camera.horizon())
    far = [(thing.y, 0, thing) for thing in road.scenery]
    far += [(thing.y, index + 1, thing) for index, thing in enumerate(scene.objects)]
    for _, label, thing in sorted(far, key=lambda entry: -entry[0]):
        canvas.label = label
        DRAW[thing.kind](canvas, thing)


def _draw_backdrop(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    air, camera = scene.air, scene.camera
    horizon = camera.horizon()
    skies: dict[str, tuple[Colour, Colour]] = {
        'blue': ((70, 130, 205), (190, 212, 235)),
        'bright': ((190, 200, 210), (228, 230, 232)),
        'evening': ((105, 120, 160), (240, 190, 140)),
    }
    high, low = skies[air.sky]
    if air.weather != 'clear':
        high, low = (150, 155, 162), (178, 182, 186)
    if air.night:
        high, low = (8, 10, 22), (30, 34, 50)
        if air.weather != 'clear':
            high, low = (26, 28, 34), (44, 46, 52)
    if air.weather == 'fog':
        low = canvas.fog
    rows = np.arange(camera.height)
    up = np.clip((horizon - rows) / (0.55 * camera.height), 0, 1)[:, None]
    sky = np.array(low) * (1 - up) + np.array(high) * up
    earth = np.array(((92, 122, 62), (120, 116, 92), (112, 112, 110))[rng.integers(3)])
    earth = earth * rng.uniform(0.8, 1.15)
    column = np.where((rows < horizon)[:, None], sky, earth)
    canvas.image[:] = spread(column, camera.width)
    if air.night and air.weather == 'clear':
        count = 30
        xs = rng.integers(0, camera.width, count)
        ys = rng.integers(0, max(int(horizon), 1), count)
        keep = ys < camera.height
        canvas.image[ys[keep], xs[keep]] = 150
    _draw_skyline(canvas, horizon, rng)


def _draw_skyline(canvas: Canvas, horizon: float, rng: np.random.Generator) -> None:
    """Hills or roofs at the horizon."""
    camera = canvas.camera
    steps = int(rng.integers(6, 18))
    xs = np.linspace(-20, camera.width + 20, steps)
    heights = rng.uniform(0.01, 0.07, steps) * camera.side
    grey = float(rng.uniform(80, 140))
    colour = (grey * 0.85, grey, grey * float(rng.uniform(0.75, 1.1)))
    for i in range(steps - 1):
        other = heights[i] if steps > 11 else heights[i + 1]
        quad = np.array(
            (
                (xs[i], horizon + 1),
                (xs[i + 1], horizon + 1),
                (xs[i + 1], horizon - other),
                (xs[i], horizon - heights[i]),
            )
        )
        canvas.polygon(quad, colour, 60.0)


def _strip(canvas: Canvas, road: Road, left: float, right: float) -> Points:
    """Outline in pixels [N, 2] of a strip along the road."""
    curve = road.bend * STATIONS**2 / 2
    outline = np.zeros((2 * len(STATIONS), 3))
    outline[:, 0] = np.concatenate((curve + left, (curve + right)[::-1]))
    outline[:, 1] = np.concatenate((STATIONS, STATIONS[::-1]))
    return canvas.camera.project(outline)[0]


def _dashes(canvas: Canvas, road: Road, across: float, dash: float, gap: float) -> Points:
    """Return the dashes of a line as quads [N, 4, 2] in pixels."""
    period = dash + gap
    starts = np.arange(-road.travelled % period - period, 60, period)
    far = starts[starts + dash > 1.2] + dash
    near = np.maximum(far - dash, 1.2)
    ys = np.stack((near, near, far, far), 1)
    xs = road.bend * ys**2 / 2 + across + np.array((-0.09, 0.09, 0.09, -0.09))
    corners = np.stack((xs, ys, np.zeros_like(xs)), 2).reshape(-1, 3)
    return canvas.camera.project(corners)[0].reshape(-1, 4, 2)


def _draw_ground(canvas: Canvas, road: Road, rng: np.random.Generator) -> None:
    low, high = road.edges
    canvas.surface('pavement')
    stone = float(rng.uniform(135, 175))
    sides = ((low - PAVEMENT, low), (high, high + PAVEMENT))
    paving = [_strip(canvas, road, *side) for side in sides]
    canvas.pave(paving, (stone, stone * 0.98, stone * 0.94))
    canvas.surface('road')
    grey = road.grey * (0.78 if canvas.air.weather == 'rain' else 1.0)
    tar = (grey, grey, grey * 1.04)
    canvas.pave([_strip(canvas, road, low, high)], tar)
    if road.parking:
        canvas.pave([_strip(canvas, road, high - 2.4, high)], scaled(tar, 0.86))
    _draw_markings(canvas, road, rng)
    if road.crossing is not None:
        _draw_crossing(canvas, road, road.crossing, tar)


def _draw_markings(canvas: Canvas, road: Road, rng: np.random.Generator) -> None:
    canvas.surface('marking')
    low, high = road.edges
    inner = high - (2.4 if road.parking else 0.0)
    lines = [
        _strip(canvas, road, *side)
        for side in ((inner - 0.2, inner - 0.04), (low + 0.04, low + 0.2))
    ]
    yellow = bool(rng.random() < 0.3)
    dash, gap = float(rng.uniform(2.0, 3.5)), float(rng.uniform(2.5, 4.5))
    for index in range(-road.lanes_left - road.oncoming, road.lanes_right):
        across = (index + 0.5) * road.lane_width
        if not road.oncoming or index != -road.lanes_left - 1:
            lines.extend(_dashes(canvas, road, across, dash, gap))
        else:
            middle = _strip(canvas, road, across - 0.1, across + 0.1)
            canvas.pave([middle], (225, 180, 50) if yellow else WHITE)
    for line in lines:
        canvas.pave([line], WHITE)


def _draw_crossing(canvas: Canvas, road: Road, start: float, tar: Colour) -> None:
    low, high = road.edges
    near, far = max(start, 1.0), start + CROSSING_LENGTH
    if far <= near:
        return
    canvas.surface('crossing')
    borders = np.arange(low, high, 0.6)
    count = len(borders)
    corners = np.zeros((2 * count, 3))
    corners[:count, 0], corners[:count, 1] = borders + road.curve(near), near
    corners[count:, 0], corners[count:, 1] = borders + road.curve(far), far
    pixels, _ = canvas.camera.project(corners)
    stripes = [pixels[[i, i + 1, count + i + 1, count + i]] for i in range(count - 1)]
    canvas.pave([pixels[[0, count - 1, 2 * count - 1, count]]], tar)
    canvas.pave(stripes[::2], WHITE)
