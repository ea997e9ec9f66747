"""Captions: one to three short sentences that state what a picture shows."""

from __future__ import annotations

from collections import Counter

import numpy as np

from .grammar import NOUNS, Wording, word
from .road_facts import OBSTACLES, SIGN_NAMES, SIGNS, VEHICLES, blockers, place
from .world import Road, Scene, Thing

NUMBERS = ('no', 'one', 'two', 'three', 'four', 'five', 'six')
WEATHER = {
    'clear': '[in clear weather|in clear air]',
    'rain': '[in the rain|in rain]',
    'fog': '[in fog|in the fog]',
}
WHERE = {
    'left': 'on the left',
    'right': 'on the right',
    'ahead': 'ahead in our lane',
    'crossing': 'on the crossing',
}
ROAD = Wording(
    train=(
        '[A|This is a|The picture shows a] road by {time} {weather}.',
        'It is {time}, and the car drives {weather}.',
    ),
    heldout=(
        'This picture shows a road by {time} {weather}.',
        '[It is a road|A road] {weather} by {time}.',
    ),
)
TABLE = Wording(
    train=(
        '[A|This is a|The picture shows a] table with {things}.',
        'There are {things} on [a|the] table.',
        'On the table: {things}.',
    ),
    heldout=('This is the table with {things}.', 'The picture shows {things} on the table.'),
)
EMPTY = Wording(
    train=('[A|This is an|The picture shows an] empty table.', 'There is nothing on the table.'),
    heldout=('This picture shows an empty table.', 'Nothing lies on the table.'),
)
SEES = Wording(
    train=('There [is|are] {things}.', '[One sees|It shows|In view:] {things}.'),
    heldout=('In the picture there [is|are] {things}.', 'In view there [is|are] {things}.'),
)


def caption(scene: Scene, rng: np.random.Generator, split: str) -> str:
    """One to three sentences that are true of the scene, worded as in 'train' or 'heldout'."""
    if isinstance(scene.ground, Road):
        sentences = _road_sentences(scene, scene.ground, rng, split)
    else:
        sentences = _table_sentences(scene, rng, split)
    return ' '.join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def _say(wording: Wording, words: dict[str, str], rng: np.random.Generator, split: str) -> str:
    templates = wording.of(split)
    return word(templates[int(rng.integers(len(templates)))], words, rng)


def _road_sentences(scene: Scene, road: Road, rng: np.random.Generator, split: str) -> list[str]:
    time = 'night' if scene.air.night else 'day'
    weather = word(WEATHER[scene.air.weather], {}, rng)
    setting = _say(ROAD, {'time': time, 'weather': weather}, rng, split)
    extras = _road_extras(scene, road)
    rng.shuffle(extras)
    users = _tally(scene.objects, rng)
    second = _sees(users, rng, split) if users else 'the road is empty.'
    return [setting, second, *extras[:1]] if rng.random() < 0.8 else [second, *extras[:1]]


def _road_extras(scene: Scene, road: Road) -> list[str]:
    extras = []
    for thing in scene.objects:
        if thing.kind == 'traffic light':
            extras.append(f'the traffic light is {thing.state}.')
        elif thing.kind in SIGNS:
            extras.append(f'a {SIGN_NAMES[thing.kind]} sign is seen.'.replace('sign sign', 'sign'))
        elif thing.kind == 'pedestrian':
            if spot := WHERE.get(place(road, thing)):
                extras.append(f'a pedestrian is {spot}.')
        elif thing.kind == 'car' and (spot := WHERE.get(place(road, thing))):
            extras.append(f'a {thing.colour} car is {spot}.')
    extras.append('there is a crossing.' if road.crossing is not None else 'there is no crossing.')
    ahead = blockers(road, scene)
    doubtful = any(
        thing.kind in VEHICLES + OBSTACLES and not place(road, thing) for thing in scene.objects
    )
    if ahead:
        extras.append(f'a {ahead[0].kind} blocks our lane.')
    elif not doubtful and not any(thing.kind == 'pedestrian' for thing in scene.objects):
        extras.append('our lane is free.')
    return extras


def _table_sentences(scene: Scene, rng: np.random.Generator, split: str) -> list[str]:
    lying = tuple(t for t in scene.objects if t.kind != 'gripper' and t.state != 'held')
    held = [thing for thing in scene.objects if thing.state == 'held']
    if lying:
        first = _say(TABLE, {'things': _tally(lying, rng)}, rng, split)
        if first.startswith('There are one'):
            first = first.replace('There are one', 'There is one')
    else:
        first = _say(EMPTY, {}, rng, split)
    sentences = [first]
    for thing in scene.objects:
        if thing.kind == 'gripper' and held:
            sentences.append(f'the gripper holds a {held[0].colour} {held[0].kind}.')
        elif thing.kind == 'gripper':
            sentences.append(f'the gripper is {thing.state} and empty.')
    return sentences


def _sees(things: str, rng: np.random.Generator, split: str) -> str:
    text = _say(SEES, {'things': things}, rng, split)
    one = things.startswith('one ')
    return text.replace('here are', 'here is') if one else text.replace('here is', 'here are')


def _tally(things: tuple[Thing, ...], rng: np.random.Generator) -> str:
    """Say 'two red cars, one truck and three pedestrians', with the colours or without."""
    counts = Counter((thing.colour, thing.kind) for thing in things if thing.kind != 'gripper')
    if rng.random() < 0.4:
        counts = Counter(('', thing.kind) for thing in things if thing.kind != 'gripper')
    parts = []
    for (colour, kind), count in counts.items():
        single, plural = NOUNS[kind][0]
        noun = single if count == 1 else plural
        parts.append(f'{NUMBERS[count]} {colour} {noun}'.replace('  ', ' '))
    rng.shuffle(parts)
    return ' and '.join([', '.join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
