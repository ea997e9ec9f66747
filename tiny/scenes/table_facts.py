"""What is true of a table scene."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from .facts import MARGIN, Fact, beside, choice, named, number, phrase, yes_no
from .table import SHAPES, TABLE_COLOURS
from .world import Scene, Thing, middle

DEPTH_MARGIN = 0.14  # metres; things closer than this are neither in front nor behind


def table_facts(scene: Scene) -> Iterator[Fact]:
    """All facts about a table scene that questions are made of. A gripper is no object."""
    hands = [thing for thing in scene.objects if thing.kind == 'gripper']
    things = tuple(thing for thing in scene.objects if thing.kind != 'gripper')
    yield yes_no('presence', 'gripper', bool(hands), x=phrase('gripper'))
    yield from _presence_and_counts(things)
    yield from _single_things(scene, things)
    yield from _relations(scene, things)
    if hands:
        yield from _hand(hands[0], things)


def _presence_and_counts(things: tuple[Thing, ...]) -> Iterator[Fact]:
    yield from number('count', 'object', len(things), x=phrase('object'))
    if not any(thing.state == 'held' for thing in things):
        yield yes_no('empty', '', not things)
    pairs = {(thing.colour, thing.kind) for thing in things}
    for kind in SHAPES:
        count = sum(thing.kind == kind for thing in things)
        yield yes_no('presence', 'shape', count > 0, x=phrase(kind))
        yield from number('count', 'shape', count, x=phrase(kind))
    for colour in TABLE_COLOURS:
        count = sum(thing.colour == colour for thing in things)
        yield yes_no('presence', 'colour object', count > 0, x=phrase('object', colour))
        yield from number('count', 'colour object', count, x=phrase('object', colour))
        for kind in SHAPES:
            truth = (colour, kind) in pairs
            # Where neither the colour nor the shape occurs, No would be too easy.
            if any(colour == c or kind == k for c, k in pairs):
                yield yes_no('presence', 'colour shape', truth, x=phrase(kind, colour))


def _single_things(scene: Scene, things: tuple[Thing, ...]) -> Iterator[Fact]:
    for thing in things:
        if sum(other.kind == thing.kind for other in things) == 1:
            yield choice('colour', 'shape', thing.colour, TABLE_COLOURS, x=phrase(thing.kind))
        if sum(other.colour == thing.colour for other in things) == 1:
            yield choice('shape', '', thing.kind, SHAPES, x=phrase('object', thing.colour))
    lying = [thing for thing in things if thing.state != 'held']
    if len(lying) >= 2 and len(lying) == len(things):
        order = sorted(lying, key=lambda thing: middle(scene.camera, thing)[0])
        columns = [middle(scene.camera, thing)[0] for thing in order]
        names = [f'{thing.colour} {thing.kind}' for thing in order]
        if len(set(names)) == len(names):
            choices = tuple(sorted(names))
            if columns[1] - columns[0] >= MARGIN * 0.7:
                yield choice('leftmost', '', names[0], choices)
            if columns[-1] - columns[-2] >= MARGIN * 0.7:
                yield choice('rightmost', '', names[-1], choices)


def in_front(a: Thing, b: Thing) -> str:
    """'in front' or 'behind' as a lies clearly nearer or farther than b, else ''."""
    gap = b.y - a.y
    return '' if abs(gap) < DEPTH_MARGIN else 'in front' if gap > 0 else 'behind'


def _relations(scene: Scene, things: tuple[Thing, ...]) -> Iterator[Fact]:
    lying = [(thing, x) for thing, x in named(things) if thing.state != 'held']
    for (a, x), (b, y) in permutations(lying, 2):
        if a is b:
            continue
        side, depth = beside(scene, a, b), in_front(a, b)
        if side:
            yield yes_no('left of', '', side == 'left', x=x, y=y)
            yield yes_no('right of', '', side == 'right', x=x, y=y)
            yield choice('side', '', side, ('left', 'right'), x=x, y=y)
        if depth:
            yield yes_no('in front of', '', depth == 'in front', x=x, y=y)
            yield yes_no('behind', '', depth == 'behind', x=x, y=y)
            yield choice('depth', '', depth, ('in front', 'behind'), x=x, y=y)


def _hand(hand: Thing, things: tuple[Thing, ...]) -> Iterator[Fact]:
    held = [thing for thing in things if thing.state == 'held']
    yield yes_no('holding', '', bool(held))
    yield yes_no('hand empty', '', not held)
    if not held:  # whether fingers around an object are open or closed is a matter of words
        yield choice('hand', '', hand.state, ('open', 'closed'))
        yield yes_no('hand open', '', hand.state == 'open')
        yield yes_no('hand closed', '', hand.state == 'closed')
    for thing in held:
        yield choice('held shape', '', thing.kind, SHAPES)
        yield choice('held colour', '', thing.colour, TABLE_COLOURS)
