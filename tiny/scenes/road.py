"""Sampling road scenes as a car's front camera sees them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import atan, cos, radians, sin

import numpy as np

from .placing import Layout, between, pick, vary
from .world import Air, Camera, Colour, Road, Scene, Thing

CAR_COLOURS = ('red', 'blue', 'green', 'yellow', 'white', 'black')
SMALLEST = 9.0  # pixels, see Layout
CROSSING_LENGTH = 3.2
NEAR, FAR = 10.0, 17.0
BROWN: Colour = (168, 122, 74)
ORANGE: Colour = (240, 105, 25)
GREY: Colour = (60, 60, 64)


def sample_road(rng: np.random.Generator) -> Scene:
    """Return a road scene whose things can all be seen."""
    camera = sample_camera(rng)
    air = sample_air(rng)
    ground = _sample_ground(rng)
    layout = Layout(camera, SMALLEST)
    _add_signals(rng, layout, ground)
    reach = 21.0 if air.weather == 'fog' else 25.0
    _add_road_users(rng, layout, ground, reach)
    return Scene(camera, ground, air, tuple(layout.things), int(rng.integers(1 << 31)))


def sample_camera(rng: np.random.Generator) -> Camera:
    """Return a car's camera: its height, pitch, field of view and picture format vary."""
    width, height, turn = picture_size(rng)
    field = between(rng, 46, 60) if turn else between(rng, 38, 48)
    pitch = between(rng, 0.0, 6.0)
    return Camera(
        width,
        height,
        radians(field),
        between(rng, 1.2, 2.2),
        radians(pitch),
        radians(between(rng, -1.5, 1.5)),
        between(rng, -0.3, 0.3),
    )


def picture_size(rng: np.random.Generator) -> tuple[int, int, bool]:
    """Width and height in pixels, and whether the picture is no higher than wide."""
    shape = pick(rng, {'4:3': 0.62, '16:9': 0.18, '1:1': 0.1, '3:4': 0.1})
    across, down = (int(n) for n in shape.split(':'))
    long = int(rng.integers(240, 401))
    side = max(across, down)
    return long * across // side, long * down // side, across >= down


def sample_air(rng: np.random.Generator) -> Air:
    """Day or night, clear, rain or fog."""
    night = bool(rng.random() < 0.36)
    weather = pick(rng, {'clear': 0.46, 'rain': 0.27, 'fog': 0.27})
    return Air(
        night=night,
        weather=weather,
        brightness=between(rng, 0.56, 0.7) if night else between(rng, 0.8, 1.05),
        fog_length=between(rng, 27, 45) if weather == 'fog' else 400.0,
        sky=pick(rng, {'blue': 0.6, 'bright': 0.25, 'evening': 0.15}),
    )


def _sample_ground(rng: np.random.Generator) -> Road:
    left, right = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0))[
        rng.choice(6, p=(0.3, 0.2, 0.2, 0.18, 0.06, 0.06))
    ]
    road = Road(
        bend=between(rng, -0.006, 0.006) if rng.random() < 0.6 else 0.0,
        lane_width=between(rng, 3.2, 3.7),
        lanes_left=left,
        lanes_right=right,
        oncoming=int(rng.integers(1, 3)) if left == 0 else int(rng.integers(0, 2)),
        parking=right == 0 and bool(rng.random() < 0.7),
        crossing=between(rng, 6, 10) if rng.random() < 0.5 else None,
        grey=between(rng, 62, 120),
        scenery=(),
    )
    scenery = tuple(
        sample_scenery(rng, road, between(rng, 9, 75)) for _ in range(rng.integers(4, 13))
    )
    return replace(road, scenery=scenery)


def sample_scenery(rng: np.random.Generator, road: Road, y: float) -> Thing:
    """Return a house, tree or lamp beside the road at distance y; nobody asks about it."""
    kind = pick(rng, {'house': 0.4, 'tree': 0.45, 'lamp': 0.15})
    low, high = road.edges
    right = rng.random() < 0.5
    gap = {'house': between(rng, 8, 14), 'tree': between(rng, 4, 9), 'lamp': 3.2}[kind]
    x = road.curve(y) + (high + gap if right else low - gap)
    width, length, height = {
        'house': (between(rng, 7, 11), between(rng, 8, 16), between(rng, 5, 15)),
        'tree': (between(rng, 3, 5), 0.5, between(rng, 4.5, 9)),
        'lamp': (0.2, 0.2, between(rng, 6, 8)),
    }[kind]
    shade = between(rng, 0.7, 1.1)
    if kind == 'house':
        wall = ((176, 160, 140), (150, 105, 88), (190, 186, 178), (128, 132, 140), (205, 190, 160))
        base = wall[rng.integers(len(wall))]
    else:
        base = (58, 98, 48) if kind == 'tree' else (95, 97, 100)
    paint = (base[0] * shade, base[1] * shade, base[2] * shade)
    return Thing(kind, x, y, 0.0, width, length, height, paint, pose=float(rng.random()))


def _add_signals(rng: np.random.Generator, layout: Layout, road: Road) -> None:
    low, high = road.edges
    light = pick(rng, {'': 0.4, 'red': 0.2, 'yellow': 0.2, 'green': 0.2})
    if light:

        def make_light() -> Thing:
            y = between(rng, 8, 16)
            side = rng.random()
            across = (
                high + 0.9 if side < 0.55 else low - 0.9 if side < 0.8 else between(rng, -1, 1)
            )
            return traffic_light(road, light, across, y, between(rng, 2.4, 3.8))

        layout.place(make_light, 40, inside=0.97)
    sign = pick(rng, {'': 0.4, 'stop sign': 0.2, 'yield sign': 0.2, 'speed sign': 0.2})
    if sign:

        def make_sign() -> Thing:
            across = high + between(rng, 0.8, 1.6) if rng.random() < 0.75 else low - 1.0
            return road_sign(road, sign, across, between(rng, 6.5, 15), float(rng.random()))

        layout.place(make_sign, 40, cover=0.05, inside=0.95)


def traffic_light(road: Road, state: str, across: float, y: float, z: float) -> Thing:
    """Return a traffic light at height z, `across` metres from our lane's middle.

    It stands on a pole beside the road, and hangs on a wire above it.
    """
    low, high = road.edges
    wired = float(low < across < high)
    x = road.curve(y) + across
    return Thing('traffic light', x, y, z, 1.25, 0.1, 3.1, (22, 23, 25), state=state, pose=wired)


def road_sign(road: Road, kind: str, across: float, y: float, pose: float) -> Thing:
    """Return a sign on a pole, `across` metres from the middle of our lane."""
    x = road.curve(y) + across
    return Thing(kind, x, y, 1.5, 1.9, 0.05, 1.9, (225, 225, 225), pose=pose)


def _add_road_users(rng: np.random.Generator, layout: Layout, road: Road, reach: float) -> None:
    if rng.random() < 0.6:
        for _ in range(rng.integers(0, 5)):
            layout.place(lambda: _obstacle(rng, road, 'traffic cone'), cover=0.12)
        if rng.random() < 0.5:
            layout.place(lambda: _obstacle(rng, road, 'box'), cover=0.12)
    crossing_share = between(rng, 0, 1) if rng.random() < 0.6 else 0.0
    for _ in range(rng.integers(0, 6)):
        layout.place(lambda: _pedestrian(rng, road, crossing_share), 20, cover=0.12)
    trucks = rng.choice(3, p=(0.62, 0.26, 0.12))
    cars = int(rng.integers(0, 6))
    theme = str(rng.choice(CAR_COLOURS)) if rng.random() < 0.5 else ''
    kinds = ['car'] * cars + ['truck'] * min(trucks, 5 - cars)
    rng.shuffle(kinds)
    for kind in kinds:
        colour = theme if theme and rng.random() < 0.85 else str(rng.choice(CAR_COLOURS))
        make = partial(_vehicle, rng, road, kind, colour, vary(rng, colour), reach)
        layout.place(make, 40, cover=0.22)


def _obstacle(rng: np.random.Generator, road: Road, kind: str) -> Thing:
    y = between(rng, 5, 9.5)
    across = between(rng, -0.8, 0.8)
    if rng.random() < 0.4:
        lanes = range(-road.lanes_left - road.oncoming, road.lanes_right + 1)
        across += float(rng.choice(lanes)) * road.lane_width
    return obstacle(rng, road, kind, across, y)


def obstacle(rng: np.random.Generator, road: Road, kind: str, across: float, y: float) -> Thing:
    """Return a traffic cone or cardboard box, `across` metres from our lane's middle."""
    x = road.curve(y) + across
    if kind == 'box':
        side = between(rng, 0.95, 1.3)
        return Thing(
            kind,
            x,
            y,
            0,
            side,
            side * 0.9,
            side * between(rng, 0.7, 0.95),
            BROWN,
            yaw=between(rng, -0.6, 0.6),
        )
    height = between(rng, 1.1, 1.35)
    return Thing(kind, x, y, 0, 0.66 * height, 0.1, height, ORANGE)


def _pedestrian(rng: np.random.Generator, road: Road, crossing_share: float) -> Thing:
    low, high = road.edges
    if road.crossing is not None and rng.random() < crossing_share:
        y = road.crossing + between(rng, 0.6, CROSSING_LENGTH - 0.6)
        across = between(rng, max(low + 0.6, -6.5), min(high - 0.6, 6.5))
    else:
        y = between(rng, 5.5, 10.5)
        across = (
            high + between(rng, 0.6, 2.4) if rng.random() < 0.55 else low - between(rng, 0.6, 2.4)
        )
    return pedestrian(rng, road, across, y)


def pedestrian(rng: np.random.Generator, road: Road, across: float, y: float) -> Thing:
    """Somebody on foot, in clothes of any colour."""
    clothes = rng.uniform(20, 235, 3)
    paint = (float(clothes[0]), float(clothes[1]), float(clothes[2]))
    height = between(rng, 1.75, 2.0)
    return Thing(
        'pedestrian',
        road.curve(y) + across,
        y,
        0,
        0.75,
        0.1,
        height,
        paint,
        pose=float(rng.random()),
    )


def _vehicle(
    rng: np.random.Generator, road: Road, kind: str, colour: str, paint: Colour, reach: float
) -> Thing:
    lanes = list(range(-road.lanes_left - road.oncoming, road.lanes_right + 1 + int(road.parking)))
    lane = 0 if rng.random() < 0.25 else int(rng.choice(lanes))
    zone = rng.random()
    if zone < 0.35:
        y = between(rng, 6.0, NEAR)
    elif zone < 0.45:
        y = between(rng, NEAR, FAR)
    else:
        y = between(rng, FAR, reach)
    if road.crossing is not None and lane == 0 and y < road.crossing + CROSSING_LENGTH:
        y = max(y, road.crossing + CROSSING_LENGTH + 0.5 + between(rng, 0, 8))
    parked = road.parking and lane == road.lanes_right + 1
    middle = (road.lanes_right + 0.5) * road.lane_width + 1.2 if parked else lane * road.lane_width
    across = middle + between(rng, -0.25, 0.25)
    return vehicle(rng, road, kind, colour, paint, across, y, lane < -road.lanes_left)


def vehicle(
    rng: np.random.Generator,
    road: Road,
    kind: str,
    colour: str,
    paint: Colour,
    across: float,
    y: float,
    oncoming: bool,
) -> Thing:
    """Return a car or truck whose rear (front, when oncoming) is y metres away."""
    length = between(rng, 3.8, 4.6) if kind == 'car' else between(rng, 6, 9)
    width = between(rng, 1.75, 1.95) if kind == 'car' else between(rng, 2.3, 2.5)
    height = between(rng, 1.4, 1.65) if kind == 'car' else between(rng, 3.1, 3.6)
    yaw = atan(road.bend * y)
    x, y = road.curve(y) + across + sin(yaw) * length / 2, y + cos(yaw) * length / 2
    return Thing(
        kind,
        x,
        y,
        0,
        width,
        length,
        height,
        paint,
        colour,
        'oncoming' if oncoming else 'away',
        yaw,
        float(rng.random()),
    )


def across(road: Road, thing: Thing) -> float:
    """How far right of our lane's middle the thing's near end is, in metres."""
    y = near_end(thing)
    return thing.x - sin(thing.yaw) * thing.length / 2 - road.curve(y)


def near_end(thing: Thing) -> float:
    """Distance of the thing's near end in metres."""
    return thing.y - cos(thing.yaw) * thing.length / 2
