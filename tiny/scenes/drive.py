"""The packaged recording's world: a drive along a road, seen by a front and a rear camera.

Everything has a place along the road in metres; what moves follows a timetable. Each frame is a
scene like those of the training set. What happens, by the second: a crossing with somebody on it
(8 to 20), a red light that turns green (23 to 32), a stop sign (37 to 43), rain from 45 on, a cone
in our lane that we drive around (48 to 55), nightfall (56 to 58), and a covered lens in the last
seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import pi, radians, sin

import cv2
import numpy as np

from ros2_llava_phi.assistant.answer import CANNOT_TELL

from .blank import covered_view
from .canvas import Canvas
from .facts import phrase
from .placing import REFERENCE, in_picture, vary
from .questions import scene_facts
from .render import draw, only_visible
from .road import (
    CROSSING_LENGTH,
    SMALLEST,
    obstacle,
    pedestrian,
    road_sign,
    sample_scenery,
    traffic_light,
    vehicle,
)
from .road_facts import SIGNS, VEHICLES
from .sensor import add_rain
from .world import (
    FIRST_SURFACE,
    SURFACES,
    Air,
    Camera,
    Image,
    Rendering,
    Road,
    Scene,
    Thing,
    bounds,
)

Timetable = tuple[tuple[float, float], ...]  # seconds and values, straight lines between

CAMERAS = ('front', 'rear')
SHORTEST = 62.0  # seconds
LANE = 3.5
CAR_LENGTH = 4.0  # from the front to the rear camera
SIGHT = 60.0  # metres; what is farther away is not drawn
RAIN, NIGHT, COVERED = (44.0, 46.0), (55.5, 58.0), (4.0, 2.0)  # the last from the end
GREEN = 29.5  # when the light turns green
GONE = 2.0  # pixels at side REFERENCE; of what shows less, nobody can see anything
FAR_CROSSING, PLAIN = 14.0, 110.0  # metres and pixels at side REFERENCE; a crossing that is
# farther away or shows less may be overlooked
DAY = Air(False, 'clear', 0.95, 400.0, 'blue')
WET = replace(DAY, weather='rain', brightness=0.88)
DARK = replace(WET, night=True, brightness=0.6)

# Time in seconds and our own speed in metres a second.
SPEED = (
    (0, 10), (9, 10), (12, 0), (16, 0), (18.5, 10), (23, 10), (26.5, 0), (30, 0), (33, 10),
    (38, 9), (40.5, 0), (42, 0), (45, 9), (47, 9), (49, 2), (52.5, 2), (56, 9), (9999, 9),
)  # fmt: skip
# Time in seconds and how far we have gone over to the lane at our left, in lanes.
SWERVE = ((0, 0.0), (51.5, 0.0), (54.0, 1.0), (9999, 1.0))
CROSSING, LIGHT, SIGN, CONE = 112.5, 191.0, 263.0, 308.8  # metres along the road


# Time in seconds and how far right of the first lane's middle somebody crosses the road.
WALK = ((9, 3.4), (16.5, -10.4))


@dataclass(frozen=True)
class DriveFrame:
    """A frame of the drive.

    `scene` is all that is drawn. `readings` are the scenes that a careful person could take the
    picture for: one where everything is clear, more where something is hardly visible, and none
    where the lens is covered.
    """

    time_s: float
    camera: str
    rendering: Rendering
    scene: Scene
    readings: tuple[Scene, ...]


@dataclass(frozen=True)
class DriveQuestion:
    """A question about any frame, by the topic and the fillers of the fact that answers it.

    Where `front` is set, it makes sense for the front camera only.
    """

    text: str
    kind: str
    topic: str
    words: tuple[tuple[str, str], ...] = ()
    choices: tuple[str, ...] = ()
    front: bool = False


DRIVE_QUESTIONS = (
    DriveQuestion('Is there a car?', 'yes_no', 'presence', (('x', phrase('car')),)),
    DriveQuestion('Is there a red car?', 'yes_no', 'presence', (('x', phrase('car', 'red')),)),
    DriveQuestion('Is there a truck?', 'yes_no', 'presence', (('x', phrase('truck')),)),
    DriveQuestion('Is there a pedestrian?', 'yes_no', 'presence', (('x', phrase('pedestrian')),)),
    DriveQuestion('Is there a stop sign?', 'yes_no', 'presence', (('x', phrase('stop sign')),)),
    DriveQuestion(
        'Is there a traffic light?', 'yes_no', 'presence', (('x', phrase('traffic light')),)
    ),
    DriveQuestion(
        'Is there a traffic cone?', 'yes_no', 'presence', (('x', phrase('traffic cone')),)
    ),
    DriveQuestion('Is there a crossing?', 'yes_no', 'presence', (('x', phrase('crossing')),)),
    DriveQuestion('How many cars are there?', 'number', 'count', (('x', phrase('car')),)),
    DriveQuestion('How many vehicles do you see?', 'number', 'count', (('x', phrase('vehicle')),)),
    DriveQuestion('What colour is the car?', 'text', 'colour', (('x', phrase('car')),)),
    DriveQuestion('What is the weather?', 'choice', 'weather', (), ('clear', 'rain', 'fog')),
    DriveQuestion('Is it raining?', 'yes_no', 'is rain'),
    DriveQuestion('Is it day or night?', 'choice', 'time', (), ('day', 'night')),
    DriveQuestion(
        'What colour is the traffic light?',
        'choice',
        'light',
        (),
        ('red', 'yellow', 'green'),
        True,
    ),
    DriveQuestion('Is someone on the crossing?', 'yes_no', 'on crossing', (), (), True),
    DriveQuestion('Is our lane free?', 'yes_no', 'lane free', (), (), True),
    DriveQuestion(
        'What is in our lane?',
        'choice',
        'what ahead',
        (),
        ('car', 'truck', 'traffic cone', 'box'),
        True,
    ),
    DriveQuestion(
        'What should the car do?', 'choice', 'action', (), ('stop', 'slow down', 'drive on'), True
    ),
)


def ground_truth(frame: DriveFrame) -> dict[str, str | None]:
    """Return the answers to DRIVE_QUESTIONS about a frame, by the question's text.

    An answer is None, not to be scored, where the question makes no sense or where the readings of
    the frame differ; it is 'cannot tell' throughout where nothing can be seen.
    """
    if not frame.readings:
        return {question.text: CANNOT_TELL for question in DRIVE_QUESTIONS}
    truths = [_answers(reading) for reading in frame.readings]
    agreed: dict[str, str | None] = {}
    for question in DRIVE_QUESTIONS:
        answers = {truth[question.text] for truth in truths}
        asked = frame.camera == 'front' or not question.front
        agreed[question.text] = answers.pop() if asked and len(answers) == 1 else None
    return agreed


def _answers(scene: Scene) -> dict[str, str | None]:
    facts = scene_facts(scene)
    answers: dict[str, str | None] = {}
    for question in DRIVE_QUESTIONS:
        answers[question.text] = None
        for possible in facts[question.topic].values():
            for answer, found in possible.items():
                if any(fact.words == dict(question.words) for fact in found):
                    answers[question.text] = answer
    return answers


@dataclass(frozen=True)
class _Mover:
    """A vehicle in a lane (0 is our first, -1 the one at its left) with its timetable.

    The timetable holds seconds and metres from our front to its near end, behind us below zero.
    """

    kind: str
    colour: str
    lane: int
    timetable: Timetable


MOVERS = (
    _Mover('car', 'red', -1, ((0, -30), (4, 4), (7, 22), (12, 75))),
    _Mover('car', 'blue', 0, ((0, 20), (4, 22), (9, 75))),
    _Mover('truck', 'white', -2, ((0, 75), (3, 40), (7, 6), (10, -20), (17, -20), (24, -75))),
    _Mover('car', 'green', 0, ((0, -16), (12, -14), (19, -24), (27, -15), (31, -15), (38, -75))),
    _Mover('car', 'yellow', -1, ((18, -75), (22, 3), (25, 16), (30.5, 16), (36, 75))),
    _Mover('car', 'black', -2, ((30, 75), (36, 10), (39, -18), (42, -18), (47, -75))),
    _Mover('car', 'white', -1, ((54, 75), (57, 20), (9999, 20))),
    _Mover('car', 'red', 0, ((54, 75), (58, 14), (61, 9), (9999, 9))),
    _Mover('car', 'blue', -1, ((54, -75), (59, -16), (9999, -16))),
)


def drive_frames(seed: int, seconds: float, rate_hz: float) -> Iterator[DriveFrame]:
    """Yield the frames of a drive, front and rear camera in turn, `rate_hz` times a second.

    Pictures are 320x240. Raises ValueError for a drive too short for all that happens in it.
    """
    if seconds < SHORTEST:
        raise ValueError(f'a drive of {seconds:g} s is too short: it takes {SHORTEST:g} s or more')
    world = _World(seed)
    for index in range(int(seconds * rate_hz)):
        time_s = index / rate_hz
        covered = seconds - COVERED[0] <= time_s < seconds - COVERED[1]
        for camera in CAMERAS:
            yield world.frame(time_s, camera, covered)


class _World:
    """All that stands along the road, and the vehicles on it."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._seed = seed
        self._road = Road(0.0, LANE, 2, 0, 0, False, None, 88.0, ())
        self._scenery = [
            sample_scenery(rng, self._road, along)
            for along in np.arange(-90.0, 900.0, 6.0).tolist()
        ]
        self._walker = pedestrian(rng, self._road, 0.0, CROSSING + CROSSING_LENGTH / 2)
        self._standing = [
            pedestrian(rng, self._road, 3.2, CROSSING - 0.5),
            road_sign(self._road, 'stop sign', 2.9, SIGN, 0.0),
            obstacle(rng, self._road, 'traffic cone', 0.1, CONE),
        ]
        self._vehicles = [
            vehicle(
                rng,
                self._road,
                each.kind,
                each.colour,
                vary(rng, each.colour),
                each.lane * LANE,
                0,
                False,
            )
            for each in MOVERS
        ]
        times = np.arange(0, 600, 0.05)
        speeds = np.array([_at(SPEED, time_s) for time_s in times.tolist()])
        self._times = times
        self._travelled = np.concatenate(([0.0], np.cumsum(speeds[1:] + speeds[:-1]) * 0.025))

    def frame(self, time_s: float, camera: str, covered: bool) -> DriveFrame:
        """Return what a camera sees at a time."""
        share, airs = _airs(time_s)
        swerve = _at(SWERVE, time_s)
        lanes = (
            (round(swerve),) if abs(swerve - 0.5) > 0.33 else (round(swerve), 1 - round(swerve))
        )
        pictures: list[Image] = []
        readings: list[Scene] = []
        rng = np.random.default_rng([self._seed, round(time_s * 1000), CAMERAS.index(camera)])
        for air in airs:
            scenes = [self._scene(time_s, camera, air, swerve, lane) for lane in lanes]
            drawing = draw(scenes[0])
            if air.weather == 'rain':
                add_rain(drawing.image, air.night, rng)
            pictures.append(drawing.image)
            readings.extend(reading for scene in scenes for reading in _readings(scene, drawing))
        if covered:
            lens = covered_view(np.random.default_rng(self._seed), *drawing.labels.shape)
            hidden = Rendering(np.clip(lens, 0, 255).astype(np.uint8), 0 * drawing.labels)
            return DriveFrame(time_s, camera, hidden, scenes[0], ())
        image = cv2.addWeighted(pictures[0], 1 - share, pictures[-1], share, 0.0)
        rendering = Rendering(np.asarray(image, np.uint8), drawing.labels)
        return DriveFrame(time_s, camera, rendering, scenes[0], tuple(readings))

    def _scene(self, time_s: float, camera: str, air: Air, swerve: float, lane: int) -> Scene:
        """Return the scene as seen from the lane `lane` to the left of the first."""
        front = camera == 'front'
        travelled = float(np.interp(time_s, self._times, self._travelled))
        view = _View(front, travelled, lane, 0.003 * sin(2 * pi * travelled / 170))
        things = [*self._things(time_s), *self._moving(time_s, travelled)]
        objects = tuple(seen for thing in things if (seen := view.see(thing, SIGHT)))
        scenery = tuple(seen for thing in self._scenery if (seen := view.see(thing, 85.0)))
        crossing = view.distance(CROSSING if front else CROSSING + CROSSING_LENGTH)
        beside = (2 - lane, lane)
        road = replace(
            self._road,
            bend=view.bend,
            lanes_left=beside[0] if front else beside[1],
            lanes_right=beside[1] if front else beside[0],
            crossing=crossing if -CROSSING_LENGTH < crossing < SIGHT else None,
            scenery=scenery,
            travelled=travelled if front else -travelled,
        )
        offset = (lane - swerve) * LANE
        eye = Camera(320, 240, radians(54), 1.45, radians(3), 0.0, offset if front else -offset)
        return Scene(eye, road, air, objects, self._seed)

    def _moving(self, time_s: float, travelled: float) -> Iterator[Thing]:
        for mover, thing in zip(MOVERS, self._vehicles, strict=True):
            gap = _at(mover.timetable, time_s)
            yield replace(thing, y=travelled + gap + thing.length / 2)

    def _things(self, time_s: float) -> Iterator[Thing]:
        walked = _at(WALK, time_s)
        yield replace(
            self._walker,
            x=walked,
            pose=(time_s * 0.9) % 1 if WALK[0][0] < time_s < WALK[1][0] else 0.25,
        )
        yield from self._standing
        yield traffic_light(self._road, 'red' if time_s < GREEN else 'green', 2.7, LIGHT, 2.6)


@dataclass(frozen=True)
class _View:
    """From places along the road to places before one of the cameras."""

    front: bool
    travelled: float
    lane: int
    bend: float

    def distance(self, along: float) -> float:
        """Return how far ahead of the camera, in metres, a place along the road is."""
        ahead = along - self.travelled
        return ahead if self.front else -ahead - CAR_LENGTH

    def see(self, thing: Thing, sight: float) -> Thing | None:
        """Return the thing as the camera has it, or None where it is behind or out of sight."""
        y = self.distance(thing.y)
        near = y - thing.length / 2
        turned_away = not self.front and thing.kind in ('traffic light', *SIGNS)
        if turned_away or not 1.0 <= near <= sight:
            return None
        x = thing.x + self.lane * LANE
        yaw = self.bend * near if thing.kind in VEHICLES else thing.yaw
        bent = self.bend * near * near / 2 + sin(yaw) * thing.length / 2
        if self.front:
            return replace(thing, x=x + bent, y=y, yaw=yaw)
        state = 'oncoming' if thing.state == 'away' else thing.state
        return replace(thing, x=bent - x, y=y, yaw=yaw, state=state)


def _at(timetable: Timetable, time_s: float) -> float:
    times, values = zip(*timetable, strict=True)
    return float(np.interp(time_s, times, values))


def _airs(time_s: float) -> tuple[float, tuple[Air, ...]]:
    """Return the airs at a time, two while one changes into the other, and the second's share."""
    for (start, end), before, after in ((RAIN, DAY, WET), (NIGHT, WET, DARK)):
        if time_s < start:
            return 0.0, (before,)
        if time_s < end:
            return (time_s - start) / (end - start), (before, after)
    return 0.0, (DARK,)


def _readings(scene: Scene, drawing: Canvas) -> list[Scene]:
    """Return the scene as somebody sees it who overlooks what is hard to see, and who does not."""
    counts = np.bincount(drawing.labels.ravel(), minlength=256)
    areas = counts * (REFERENCE / scene.camera.side) ** 2
    seen = [thing for index, thing in enumerate(scene.objects) if areas[index + 1] >= GONE]
    clear = [
        thing
        for thing in only_visible(scene, drawing).objects
        if in_picture(scene.camera, bounds(scene.camera, thing), SMALLEST, 0.72)
    ]
    road = scene.ground
    assert isinstance(road, Road)
    crossings = [road.crossing]
    stripes = areas[FIRST_SURFACE + SURFACES.index('crossing')]
    if road.crossing is not None and stripes < GONE:
        crossings = [None]
    elif road.crossing is not None and (stripes < PLAIN or road.crossing > FAR_CROSSING):
        crossings = [None, road.crossing]
    return [
        replace(scene, objects=tuple(things), ground=replace(road, crossing=crossing))
        for things in ([clear] if clear == seen else [clear, seen])
        for crossing in crossings
    ]
