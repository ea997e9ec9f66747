"""What a generated scene is made of: a camera, things at places in metres, and the air between.

Axes: x to the right, y forward, z up; the origin is on the ground (or table) below the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import cos, sin, tan

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]  # RGB, 0..255
Image = NDArray[np.uint8]
Points = NDArray[np.float64]

PAINTS: dict[str, Colour] = {
    'red': (205, 28, 32),
    'blue': (30, 72, 200),
    'green': (24, 140, 58),
    'yellow': (238, 200, 28),
    'white': (238, 238, 238),
    'black': (24, 24, 27),
    'purple': (135, 45, 170),
}


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks forward, `pitch` downwards. Radians, metres, pixels."""

    width: int
    height: int
    field_of_view: float
    elevation: float
    pitch: float
    roll: float = 0.0
    x: float = 0.0

    @cached_property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / tan(self.field_of_view / 2)

    @property
    def side(self) -> int:
        """Side in pixels of the square that the picture is padded to."""
        return max(self.width, self.height)

    @cached_property
    def _turns(self) -> tuple[float, float, float, float]:
        return cos(self.pitch), sin(self.pitch), cos(self.roll), sin(self.roll)

    def project_point(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Map one point in metres to its column and row in pixels and its depth."""
        c, s, cr, sr = self._turns
        z -= self.elevation
        depth = max(y * c - z * s, 0.05)
        u = (x - self.x) * self.focal / depth
        v = -(y * s + z * c) * self.focal / depth
        return u * cr - v * sr + self.width / 2, u * sr + v * cr + self.height / 2, depth

    def project(self, points: Points) -> tuple[Points, Points]:
        """Map points [N, 3] in metres to pixels [N, 2] and depths [N] of at least 5 cm."""
        c, s, cr, sr = self._turns
        y, z = points[:, 1], points[:, 2] - self.elevation
        depth = np.maximum(y * c - z * s, 0.05)
        scale = self.focal / depth
        u = (points[:, 0] - self.x) * scale
        v = (y * s + z * c) * -scale
        pixels = np.empty((len(points), 2))
        pixels[:, 0] = u * cr - v * sr + self.width / 2
        pixels[:, 1] = u * sr + v * cr + self.height / 2
        return pixels, depth

    def horizon(self) -> float:
        """Row in pixels of the horizon at the middle column."""
        return self.height / 2 - self.focal * tan(self.pitch)


@dataclass(frozen=True)
class Thing:
    """Something that can be asked about: a box of a size that stands on (x, y, z), turned by yaw.

    `colour` is a name of PAINTS, or empty where nobody asks for it; `paint` is the very RGB.
    `state` is a light's red/yellow/green, a vehicle's away/oncoming, a gripper's open/closed, or
    'held' for what the gripper holds. `pose` in 0..1 chooses among drawings of the same thing.
    """

    kind: str
    x: float
    y: float
    z: float
    width: float
    length: float
    height: float
    paint: Colour
    colour: str = ''
    state: str = ''
    yaw: float = 0.0
    pose: float = 0.0

    def corners(self) -> Points:
        """Return corners [8, 3]: the foot's, counter-clockwise from near left, then the top's."""
        return box_corners(
            (self.x, self.y, self.z), (self.width, self.length, self.height), self.yaw
        )


@dataclass(frozen=True)
class Road:
    """The road: lanes of `lane_width` around ours, which is centred on `curve(y)`.

    `lanes_left` and `lanes_right` count the lanes beside ours that go our way, `oncoming` those
    beyond on the left. `parking` says whether a strip for parked cars lies at the right.
    `crossing` is the distance of a zebra crossing's near edge, or None. `travelled` shifts dashes.
    """

    bend: float
    lane_width: float
    lanes_left: int
    lanes_right: int
    oncoming: int
    parking: bool
    crossing: float | None
    grey: float
    scenery: tuple[Thing, ...]
    travelled: float = 0.0

    def curve(self, y: float) -> float:
        """Where the middle of our lane is at distance y: x in metres."""
        return self.bend * y * y / 2

    @property
    def edges(self) -> tuple[float, float]:
        """Left and right edge of the carriageway, in metres from the middle of our lane."""
        left = -(self.lanes_left + self.oncoming + 0.5) * self.lane_width
        right = (self.lanes_right + 0.5) * self.lane_width
        return left, right + (2.4 if self.parking else 0.0)


@dataclass(frozen=True)
class Table:
    """A table top that ends at `far_edge` metres, reaching from `left` to `right`."""

    far_edge: float
    left: float
    right: float
    paint: Colour
    texture: str


@dataclass(frozen=True)
class Air:
    """Light and weather. `fog_length` is the distance at which fog leaves 37 % of the contrast."""

    night: bool
    weather: str
    brightness: float
    fog_length: float
    sky: str


@dataclass(frozen=True)
class Scene:
    """One scene; the ground is a Road or a Table. `seed` fixes the backdrop."""

    camera: Camera
    ground: Road | Table
    air: Air
    objects: tuple[Thing, ...]
    seed: int

    @property
    def domain(self) -> str:
        """'road' or 'table'."""
        return 'road' if isinstance(self.ground, Road) else 'table'


SURFACES = ('road', 'crossing', 'pavement', 'marking', 'table')
FIRST_SURFACE = 200


@dataclass(frozen=True)
class Rendering:
    """A picture of a scene.

    `image` is uint8 [H, W, 3], RGB. `labels` is uint8 [H, W]: what the pixel shows; 0 for nothing
    in particular, 1 + index into scene.objects, or FIRST_SURFACE + index into SURFACES.
    """

    image: Image
    labels: NDArray[np.uint8]

    @property
    def instances(self) -> NDArray[np.int16]:
        """The index into scene.objects of what each pixel shows, else -1: int16 [H, W]."""
        return np.where(self.labels < FIRST_SURFACE, self.labels.astype(np.int16) - 1, -1)


def box_corners(
    foot: tuple[float, float, float],
    size: tuple[float, float, float],
    yaw: float = 0.0,
    taper: float = 1.0,
) -> Points:
    """Return the corners [8, 3] of an upright box around `foot`, its top scaled by taper."""
    return np.array(_box_corners(foot, size, yaw, taper))


def _box_corners(
    foot: tuple[float, float, float], size: tuple[float, float, float], yaw: float, taper: float
) -> list[tuple[float, float, float]]:
    c, s = cos(yaw), sin(yaw)
    x, y, z = foot
    ring = []
    for u, v in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
        a, b = u * size[0], v * size[1]
        ring.append((a * c + b * s, b * c - a * s))
    low = [(x + dx, y + dy, z) for dx, dy in ring]
    return low + [(x + dx * taper, y + dy * taper, z + size[2]) for dx, dy in ring]


def bounds(camera: Camera, thing: Thing) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in pixels of the thing's box in the picture, not clipped."""
    size = (thing.width, thing.length, thing.height)
    corners = _box_corners((thing.x, thing.y, thing.z), size, thing.yaw, 1.0)
    us, vs, _ = zip(*(camera.project_point(*corner) for corner in corners), strict=True)
    return min(us), min(vs), max(us), max(vs)


def middle(camera: Camera, thing: Thing) -> tuple[float, float]:
    """Return where the thing's centre is in the picture, in sides of the padded square."""
    u, v, _ = camera.project_point(thing.x, thing.y, thing.z + thing.height / 2)
    return u / camera.side, v / camera.side
