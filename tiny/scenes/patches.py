"""What each patch of a picture shows: the targets of the vision tower's own training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .road import CAR_COLOURS
from .road_facts import KINDS as ROAD_KINDS
from .road_facts import VEHICLES, distance, place
from .table import SHAPES, TABLE_COLOURS
from .world import FIRST_SURFACE, SURFACES, Rendering, Road, Scene, Thing

CLASSES = (*ROAD_KINDS, *SHAPES, 'gripper')
ATTRIBUTES: tuple[str, ...] = (
    *CLASSES,
    *(f'{colour} thing' for colour in dict.fromkeys(CAR_COLOURS + TABLE_COLOURS)),
    'light red',
    'light yellow',
    'light green',
    'gripper open',
    'gripper closed',
    'held',
    'left of our lane',
    'in our lane',
    'right of our lane',
    'on crossing',
    'near',
    'far',
    *SURFACES,
    *(f'centre of a {name}' for name in CLASSES),
    'road scene',
    'table scene',
    'night',
    'rain',
    'fog',
    'nothing visible',
)
_INDEX = {name: index for index, name in enumerate(ATTRIBUTES)}
_PLACES = {
    'left': 'left of our lane',
    'ahead': 'in our lane',
    'right': 'right of our lane',
    'crossing': 'on crossing',
}
LABELS = FIRST_SURFACE + len(SURFACES)
LEAST = 0.06  # of a patch; less is only marked where it is the middle of a thing


def patch_targets(scene: Scene, rendering: Rendering, grid: int) -> NDArray[np.uint8]:
    """Return what the patches of the picture, padded to a square around it, show.

    The result is uint8 [grid * grid, len(ATTRIBUTES)], row by row: 1 where the patch shows it.
    A 'centre of a ...' stands in the patch where the middle of a thing's visible pixels lies;
    the last six attributes are about the whole picture and the same in all patches.
    """
    patches = _patches(rendering.labels.shape[0], rendering.labels.shape[1], grid)
    areas = np.bincount((patches + rendering.labels).ravel(), minlength=grid * grid * LABELS)
    shown = areas.reshape(-1, LABELS) >= LEAST * (max(patches.shape) / grid) ** 2
    shown[:, 0] = False
    targets = np.zeros((grid * grid, len(ATTRIBUTES)), bool)
    for index, patch in _middles(rendering, grid):
        shown[patch, index + 1] = True
        targets[patch, _INDEX[f'centre of a {scene.objects[index].kind}']] = True
    targets |= shown.astype(np.float32) @ _meaning(scene) > 0
    targets[:, [_INDEX[name] for name in _whole(scene)]] = True
    return targets.astype(np.uint8)


def blank_targets(grid: int) -> NDArray[np.uint8]:
    """Return the targets of a picture that shows nothing."""
    targets = np.zeros((grid * grid, len(ATTRIBUTES)), np.uint8)
    targets[:, _INDEX['nothing visible']] = 1
    return targets


def _patches(height: int, width: int, grid: int) -> NDArray[np.int64]:
    """LABELS times the number of the patch that each pixel is in: [height, width]."""
    side = max(height, width)
    rows = (np.arange(height) + (side - height) // 2) * grid // side
    columns = (np.arange(width) + (side - width) // 2) * grid // side
    return (rows[:, None] * grid + columns) * LABELS


def _middles(rendering: Rendering, grid: int) -> Iterator[tuple[int, int]]:
    """Each visible thing's index, and the patch in which the middle of its pixels lies."""
    height, width = rendering.labels.shape
    side = max(height, width)
    ys, xs = np.nonzero((rendering.labels > 0) & (rendering.labels < FIRST_SURFACE))
    things = rendering.labels[ys, xs]
    areas = np.bincount(things)
    row_sums, column_sums = np.bincount(things, ys), np.bincount(things, xs)
    for label in np.flatnonzero(areas).tolist():
        row = int(row_sums[label] / areas[label] + (side - height) // 2) * grid // side
        column = int(column_sums[label] / areas[label] + (side - width) // 2) * grid // side
        yield label - 1, row * grid + column


def _meaning(scene: Scene) -> NDArray[np.float32]:
    """Which attributes each label stands for: [LABELS, len(ATTRIBUTES)]."""
    meaning = np.zeros((LABELS, len(ATTRIBUTES)), np.float32)
    for index, thing in enumerate(scene.objects):
        for name in thing_attributes(scene, thing):
            meaning[index + 1, _INDEX[name]] = 1
    for index, name in enumerate(SURFACES):
        meaning[FIRST_SURFACE + index, _INDEX[name]] = 1
    meaning[FIRST_SURFACE + SURFACES.index('crossing'), _INDEX['road']] = 1
    meaning[FIRST_SURFACE + SURFACES.index('marking'), _INDEX['road']] = 1
    return meaning


def thing_attributes(scene: Scene, thing: Thing) -> list[str]:
    """Return the attributes that hold for a thing."""
    names = [thing.kind]
    if thing.colour:
        names.append(f'{thing.colour} thing')
    if thing.kind == 'traffic light':
        names.append(f'light {thing.state}')
    if thing.kind == 'gripper':
        names.append(f'gripper {thing.state}')
    if thing.state == 'held':
        names.append('held')
    if isinstance(scene.ground, Road):
        if spot := place(scene.ground, thing):
            names.append(_PLACES[spot])
        if thing.kind in VEHICLES and (reach := distance(thing)):
            names.append(reach)
    return names


def _whole(scene: Scene) -> list[str]:
    names = [f'{scene.domain} scene']
    if scene.air.night:
        names.append('night')
    if scene.air.weather != 'clear':
        names.append(scene.air.weather)
    return names
