"""What is true of a road scene."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from .facts import Fact, beside, choice, named, number, phrase, yes_no
from .road import CAR_COLOURS, CROSSING_LENGTH, FAR, NEAR, across, near_end
from .world import Road, Scene, Thing

VEHICLES = ('car', 'truck')
OBSTACLES = ('traffic cone', 'box')
SIGNS = ('stop sign', 'yield sign', 'speed sign')
KINDS = (*VEHICLES, 'pedestrian', *OBSTACLES, 'traffic light', *SIGNS)
PLACES = ('left', 'ahead', 'right')
WEATHERS = ('clear', 'rain', 'fog')
ACTIONS = ('stop', 'slow down', 'drive on')
SIGN_NAMES = {'stop sign': 'stop sign', 'yield sign': 'yield sign', 'speed sign': 'speed limit'}


def place(road: Road, thing: Thing) -> str:
    """Return where a thing is: 'ahead' in our lane, 'left' or 'right' of it.

    Somebody on foot may be on the 'crossing'. It is '' where a person could hesitate.
    """
    offset = across(road, thing)
    if thing.kind == 'pedestrian':
        low, high = road.edges
        if offset < low or offset > high:
            return 'left' if offset < low else 'right'
        return 'crossing' if _on_crossing(road, thing) else ''
    if abs(offset) <= 1.0:
        return 'ahead'
    if abs(offset) < 1.9:
        return ''
    return 'left' if offset < 0 else 'right'


def _on_crossing(road: Road, thing: Thing) -> bool:
    start = road.crossing
    return start is not None and start <= thing.y <= start + CROSSING_LENGTH


def distance(thing: Thing) -> str:
    """'near', 'far', or '' between the two."""
    y = near_end(thing)
    return 'near' if y <= NEAR else 'far' if y >= FAR else ''


def blockers(road: Road, scene: Scene) -> list[Thing]:
    """Vehicles and obstacles ahead in our lane."""
    return [
        thing
        for thing in scene.objects
        if thing.kind in VEHICLES + OBSTACLES and place(road, thing) == 'ahead'
    ]


def action(scene: Scene, road: Road) -> str:
    """Return what the car should do; '' where the rule leaves it open.

    Stop at a red light, for somebody on the crossing, and for an obstacle or a near vehicle ahead
    in our lane. Otherwise slow down for a yellow light, rain, fog, night, or somebody beside a
    crossing. Otherwise drive on. Open when a vehicle ahead is neither near nor far.
    """
    things = scene.objects
    lights = {thing.state for thing in things if thing.kind == 'traffic light'}
    walkers = [place(road, thing) for thing in things if thing.kind == 'pedestrian']
    ahead = blockers(road, scene)
    if 'red' in lights or 'crossing' in walkers:
        return 'stop'
    if any(thing.kind in OBSTACLES or distance(thing) == 'near' for thing in ahead):
        return 'stop'
    if any(distance(thing) == '' for thing in ahead):
        return ''
    careful = 'yellow' in lights or scene.air.night or scene.air.weather != 'clear'
    return 'slow down' if careful or (walkers and road.crossing is not None) else 'drive on'


def road_facts(scene: Scene, road: Road) -> Iterator[Fact]:
    """All facts about a road scene that questions are made of."""
    yield from _presence(scene, road)
    yield from _counts(scene, road)
    yield from _conditions(scene)
    yield from _signals(scene)
    yield from _single_things(scene, road)
    yield from _relations(scene)
    yield from _traffic(scene, road)


def _presence(scene: Scene, road: Road) -> Iterator[Fact]:
    things = scene.objects
    present = {thing.kind for thing in things}
    for kind in KINDS:
        yield yes_no('presence', kind, kind in present, x=phrase(kind))
    yield yes_no('presence', 'vehicle', bool(present & set(VEHICLES)), x=phrase('vehicle'))
    yield yes_no('presence', 'crossing', road.crossing is not None, x=phrase('crossing'))
    cars = tuple(thing for thing in things if thing.kind == 'car')
    for colour in CAR_COLOURS:
        truth = any(car.colour == colour for car in cars)
        yield yes_no('presence', 'colour car', truth, x=phrase('car', colour))
    for kind in (*VEHICLES, 'pedestrian'):
        spots = [place(road, thing) for thing in things if thing.kind == kind]
        for spot in PLACES if kind != 'pedestrian' else ('left', 'right'):
            if spot in spots or '' not in spots:
                yield yes_no('presence', f'{kind} {spot}', spot in spots, x=phrase(kind, '', spot))
    sure = all(place(road, car) for car in cars)
    for spot in PLACES if sure else ():
        here = {car.colour for car in cars if place(road, car) == spot}
        if cars:
            for colour in CAR_COLOURS:
                yield yes_no(
                    'presence', f'colour {spot}', colour in here, x=phrase('car', colour, spot)
                )


def _counts(scene: Scene, road: Road) -> Iterator[Fact]:
    things = scene.objects
    for kind in (*VEHICLES, 'pedestrian', 'traffic cone'):
        count = sum(thing.kind == kind for thing in things)
        yield from number('count', kind, count, x=phrase(kind))
    vehicles = sum(thing.kind in VEHICLES for thing in things)
    yield from number('count', 'vehicle', vehicles, x=phrase('vehicle'))
    cars = [thing for thing in things if thing.kind == 'car']
    for colour in CAR_COLOURS:
        count = sum(car.colour == colour for car in cars)
        yield from number('count', 'colour car', count, x=phrase('car', colour))
    for kind in ('car', 'pedestrian'):
        spots = [place(road, thing) for thing in things if thing.kind == kind]
        if '' in spots:
            continue
        for spot in ('left', 'right'):
            count = spots.count(spot)
            yield from number('count', f'{kind} {spot}', count, x=phrase(kind, '', spot))


def _conditions(scene: Scene) -> Iterator[Fact]:
    air = scene.air
    yield choice('weather', '', air.weather, WEATHERS)
    for weather in WEATHERS:
        yield yes_no(f'is {weather}', '', air.weather == weather)
    yield choice('time', '', 'night' if air.night else 'day', ('day', 'night'))
    yield yes_no('is night', '', air.night)
    yield yes_no('is day', '', not air.night)


def _signals(scene: Scene) -> Iterator[Fact]:
    states = ('red', 'yellow', 'green')
    for thing in scene.objects:
        if thing.kind == 'traffic light':
            yield choice('light', '', thing.state, states)
            for state in states:
                yield yes_no('light is', state, thing.state == state, c=state)
    signs = [SIGN_NAMES[thing.kind] for thing in scene.objects if thing.kind in SIGNS]
    names = (*SIGN_NAMES.values(), 'no sign')
    yield choice('sign', '', signs[0] if signs else 'no sign', names)


def _single_things(scene: Scene, road: Road) -> Iterator[Fact]:
    things = scene.objects
    for thing, x in named(things):
        spot, reach = place(road, thing), distance(thing)
        if spot and thing.kind in (*VEHICLES, *OBSTACLES):
            yield choice('where', 'thing', spot, PLACES, x=x)
        if spot and thing.kind == 'pedestrian':
            yield choice('where', 'pedestrian', spot, ('left', 'crossing', 'right'), x=x)
        if reach and thing.kind in VEHICLES:
            yield choice('distance', '', reach, ('near', 'far'), x=x)
            yield yes_no('is near', '', reach == 'near', x=x)
            yield yes_no('is far', '', reach == 'far', x=x)
    cars = [thing for thing in things if thing.kind == 'car']
    if len(cars) == 1:
        yield choice('colour', 'car', cars[0].colour, CAR_COLOURS, x=phrase('car'))
    if all(place(road, car) for car in cars):
        for spot in PLACES:
            here = [car for car in cars if place(road, car) == spot]
            if len(here) == 1:
                yield choice(
                    'colour', f'car {spot}', here[0].colour, CAR_COLOURS, x=phrase('car', '', spot)
                )


def _relations(scene: Scene) -> Iterator[Fact]:
    for (a, x), (b, y) in permutations(named(scene.objects), 2):
        side = beside(scene, a, b) if a is not b else ''
        if side:
            yield yes_no('left of', '', side == 'left', x=x, y=y)
            yield yes_no('right of', '', side == 'right', x=x, y=y)
            yield choice('side', '', side, ('left', 'right'), x=x, y=y)


def _traffic(scene: Scene, road: Road) -> Iterator[Fact]:
    things = scene.objects
    ahead = blockers(road, scene)
    unsure = any(thing.kind in VEHICLES + OBSTACLES and not place(road, thing) for thing in things)
    walkers = [thing for thing in things if thing.kind == 'pedestrian']
    # Whether somebody who walks across our lane blocks it is a matter of words.
    crossed = any(abs(across(road, walker)) < road.lane_width / 2 + 0.4 for walker in walkers)
    if ahead or not (unsure or crossed):
        yield yes_no('lane free', '', not ahead)
        yield yes_no('lane blocked', '', bool(ahead))
    if ahead or not unsure:
        what = action(scene, road)
        if what:
            yield choice('action', '', what, ACTIONS)
            yield yes_no('should stop', '', what == 'stop')
    if len(ahead) == 1 and not unsure:
        yield choice('what ahead', '', ahead[0].kind, VEHICLES + OBSTACLES)
    if road.crossing is not None:
        places = [place(road, walker) for walker in walkers]
        if 'crossing' in places or '' not in places:
            yield yes_no('on crossing', '', 'crossing' in places)
