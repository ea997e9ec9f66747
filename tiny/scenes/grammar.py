"""Templates: text with alternatives in brackets and fillers in braces.

`[Is there|Do you see] {a:x}[ in the picture|]?` stands for four wordings. A filler {form:name}
puts the phrase called `name` in one of the forms a ('a red car'), the ('the red car'), p ('red
cars'), or n ('red car'); {name} puts the word itself.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product

import numpy as np

NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    'car': (('car', 'cars'), ('automobile', 'automobiles')),
    'truck': (('truck', 'trucks'), ('lorry', 'lorries')),
    'vehicle': (('vehicle', 'vehicles'),),
    'pedestrian': (('pedestrian', 'pedestrians'), ('person', 'people')),
    'traffic cone': (('traffic cone', 'traffic cones'), ('cone', 'cones')),
    'box': (('box', 'boxes'), ('cardboard box', 'cardboard boxes')),
    'traffic light': (('traffic light', 'traffic lights'), ('traffic signal', 'traffic signals')),
    'stop sign': (('stop sign', 'stop signs'),),
    'yield sign': (('yield sign', 'yield signs'), ('give way sign', 'give way signs')),
    'speed sign': (('speed limit sign', 'speed limit signs'), ('speed sign', 'speed signs')),
    'crossing': (
        ('crossing', 'crossings'),
        ('zebra crossing', 'zebra crossings'),
        ('crosswalk', 'crosswalks'),
    ),
    'object': (('object', 'objects'), ('thing', 'things')),
    'cube': (('cube', 'cubes'), ('block', 'blocks')),
    'ball': (('ball', 'balls'), ('sphere', 'spheres')),
    'cylinder': (('cylinder', 'cylinders'),),
    'cone': (('cone', 'cones'),),
    'mug': (('mug', 'mugs'), ('cup', 'cups')),
    'gripper': (('gripper', 'grippers'), ('robot hand', 'robot hands')),
}
PLACES = {
    '': ('',),
    'left': (' on the left', ' on the left side', ' to the left'),
    'right': (' on the right', ' on the right side', ' to the right'),
    'ahead': (' ahead in our lane', ' in our lane', ' straight ahead'),
}
FILLER = re.compile(r'{(?:(\w+):)?(\w+)}')


@lru_cache(maxsize=4096)
def _parts(template: str) -> tuple[tuple[str, ...], ...]:
    pieces = re.split(r'\[([^\]]*)\]', template)
    return tuple(tuple(piece.split('|')) if i % 2 else (piece,) for i, piece in enumerate(pieces))


def wordings(template: str) -> list[str]:
    """All wordings of a template, their fillers still open."""
    return [''.join(parts) for parts in product(*_parts(template))]


def word(template: str, words: dict[str, str], rng: np.random.Generator) -> str:
    """One wording of a template, its fillers filled."""
    parts = _parts(template)
    draws = rng.integers(0, 1 << 30, len(parts))
    text = ''.join(part[draw % len(part)] for part, draw in zip(parts, draws, strict=True))
    return FILLER.sub(lambda match: _fill(match[1], words[match[2]], rng), text)


def _fill(form: str | None, value: str, rng: np.random.Generator) -> str:
    if form is None:
        return value
    colour, kind, place = value.split('|')
    nouns = NOUNS[kind]
    single, plural = nouns[0 if rng.random() < 0.6 else int(rng.integers(len(nouns)))]
    noun = f'{colour} {plural if form == "p" else single}'.strip()
    spots = PLACES[place]
    where = spots[int(rng.integers(len(spots)))]
    article = {'p': '', 'n': '', 'the': 'the ', 'a': 'an ' if noun[0] in 'aeio' else 'a '}[form]
    return f'{article}{noun}{where}'
