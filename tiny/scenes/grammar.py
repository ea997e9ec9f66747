"""Templates: text with alternatives in brackets and fillers in braces.

`[Is there|Do you see] {a:x}[ in the picture|]?` stands for four wordings. A filler {form:name}
puts the phrase called `name` in one of the forms a ('a red car'), the ('the red car'), p ('red
cars'), or n ('red car'); {name} puts the word itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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
SEEN = '[ in the picture| in the image| in the camera view| in this frame| here|]'
FILLER = re.compile(r'{(?:(\w+):)?(\w+)}')


@dataclass(frozen=True)
class Wording:
    """Templates (see grammar) for training and for held-out evaluation."""

    train: tuple[str, ...]
    heldout: tuple[str, ...]

    def of(self, split: str) -> tuple[str, ...]:
        """Return the templates of 'train' or 'heldout'."""
        if split not in ('train', 'heldout'):
            raise ValueError(f"unknown split {split!r}: it must be 'train' or 'heldout'")
        return self.train if split == 'train' else self.heldout


def state_wording(state: str, subject: str = 'it', noun: str = '') -> Wording:
    """Wordings of 'is the subject in that state?'."""
    return Wording(
        train=(
            f'Is {subject} {state}[ in the picture| in the image| in this frame| now| here|]?',
            f'[Would you say|Do you think|Can you see] that {subject} is {state}?',
            f'[Tell me if|Check whether|Say whether] {subject} is {state}.',
            f'{noun} {state}?'.strip(),
        ),
        heldout=(
            f'[In the picture|In this frame], is {subject} {state}?',
            f'Tell me: is {subject} {state} or not?',
            f'[Do you see|Does the image show] that {subject} is {state}?',
        ),
    )


def relation_wording(relation: str) -> Wording:
    """Wordings of 'is x <relation> y?'."""
    return Wording(
        train=(
            f'Is {{the:x}} {relation} {{the:y}}[ in the picture| in the image| here|]?',
            f'[Do you see|Can you see] {{the:x}} {relation} {{the:y}}?',
            f'[Tell me if|Check whether|Say whether] {{the:x}} is {relation} {{the:y}}.',
            f'[Would you say|Do you think] that {{the:x}} is {relation} {{the:y}}?',
            f'{{n:x}} {relation} {{n:y}}?',
        ),
        heldout=(
            f'[In the picture|In the image], is {{the:x}} {relation} {{the:y}}?',
            f'Tell me: is {{the:x}} {relation} {{the:y}} or not?',
            f'Does the picture show {{the:x}} {relation} {{the:y}}?',
        ),
    )


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
