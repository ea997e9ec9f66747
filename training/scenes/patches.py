"""What each patch of a picture shows: the targets of the vision tower's own training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .canvas import FIRST_SURFACE
from .road import CAR_COLOURS
from .road_facts import KINDS as ROAD_KINDS
from .road_facts import VEHICLES, distance, place
from .table import SHAPES, TABLE_COLOURS
from .world import SURFACES, Rendering, Road, Scene, Thing

CLASSES = (*ROAD_KINDS, *SHAPES, 'gripper')
ATTRIBUTES: tuple[str, ...] = (
    *CLASSES,
    *(f'{colour} thing' for colour in dict.fromkeys(CAR_COLOURS + TABLE_COLOURS)),
    'light red', 'light yellow', 'light green', 'gripper open', 'gripper closed', 'held',
    'left of our lane', 'in our lane', 'right of our lane', 'on crossing', 'near', 'far',
    *SURFACES,
    *(f'centre of a {name}' for name in CLASSES),
    'road scene', 'table scene', 'night', 'rain', 'fog', 'nothing visible',
)  # fmt: skip
_INDEX = {name: index for index, name in enumerate(ATTRIBUTES)}
_PLACES = {'left': 'left of our lane', 'ahead': 'in our lane', 'right': 'right of our lane',
           'crossing': 'on crossing'}  # fmt: skip
LEAST = 0.06  # of a patch; less is only marked where it is the middle of a thing


def patch_targets(scene: Scene, rendering: Rendering, grid: int) -> NDArray[np.uint8]:
    """What the patches of the picture, padded to a square around it, show.

    Returns uint8 [grid * grid, len(ATTRIBUTES)], row by row: 1 where the patch shows the attribute.
    A 'centre of a ...' stands in the patch where the middle of a thing's visible pixels lies;
    the last six attributes are about the whole picture and the same in all patches.
    """
    height, width = rendering.instances.shape
    side = max(height, width)
    rows = ((np.arange(height) + (side - height) // 2) * grid // side)[:, None]
    columns = (np.arange(width) + (side - width) // 2) * grid // side
    surfaces = rendering.surfaces.astype(np.int32)
    labels = np.where(surfaces > 0, surfaces + (FIRST_SURFACE - 1), rendering.instances + 1)
    codes = FIRST_SURFACE + len(SURFACES)
    keys = (rows * grid + columns) * codes + labels
    areas = np.bincount(keys.ravel(), minlength=grid * grid * codes).reshape(-1, codes)
    shown = areas >= LEAST * (side / grid) ** 2
    shown[:, 0] = False
    centres = np.zeros((grid * grid, len(ATTRIBUTES)), bool)
    for index, thing in enumerate(scene.objects):
        patch = _middle(rendering, index, grid)
        if patch is not None:
            shown[patch, index + 1] = True
            centres[patch, _INDEX[f'centre of a {thing.kind}']] = True
    targets = (shown.astype(np.float32) @ _meaning(scene, codes) > 0) | centres
    targets[:, [_INDEX[name] for name in _whole(scene)]] = True
    return targets.astype(np.uint8)


def blank_targets(grid: int) -> NDArray[np.uint8]:
    """The targets of a picture that shows nothing."""
    targets = np.zeros((grid * grid, len(ATTRIBUTES)), np.uint8)
    targets[:, _INDEX['nothing visible']] = 1
    return targets


def _middle(rendering: Rendering, index: int, grid: int) -> int | None:
    """The patch in which the middle of a thing's visible pixels lies."""
    ys, xs = np.nonzero(rendering.instances == index)
    if not len(ys):
        return None
    height, width = rendering.instances.shape
    side = max(height, width)
    row = int(ys.mean() + (side - height) // 2) * grid // side
    column = int(xs.mean() + (side - width) // 2) * grid // side
    return row * grid + column


def _meaning(scene: Scene, codes: int) -> NDArray[np.float32]:
    """Which attributes each label stands for: [codes, len(ATTRIBUTES)]."""
    meaning = np.zeros((codes, len(ATTRIBUTES)), np.float32)
    for index, thing in enumerate(scene.objects):
        for name in thing_attributes(scene, thing):
            meaning[index + 1, _INDEX[name]] = 1
    for index, name in enumerate(SURFACES):
        meaning[FIRST_SURFACE + index, _INDEX[name]] = 1
    meaning[FIRST_SURFACE + SURFACES.index('crossing'), _INDEX['road']] = 1
    meaning[FIRST_SURFACE + SURFACES.index('marking'), _INDEX['road']] = 1
    return meaning


def thing_attributes(scene: Scene, thing: Thing) -> list[str]:
    """The attributes that hold for a thing."""
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
