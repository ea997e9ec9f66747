"""Several data sets together: which of them trains and validates, and the order of an epoch."""

import random
from collections.abc import Sequence

from .conversation import Conversation, DataError
from .data_set import DataSet
from .split import held_out_scenes

Weighted = tuple[Sequence[Conversation], float]


def divide(
    sets: Sequence[tuple[DataSet, Sequence[Conversation]]], share: float, seed: int
) -> tuple[list[Weighted], list[Conversation]]:
    """
    Return what trains, each set with its weight, and what validates.

    A scene is on the same side in all of the sets: where one of them is for validation alone, its
    scenes validate in those that are divided, too.

    share: the share of the scenes that validate, 0..1, of the sets that are divided.

    Raises DataError for a scene that is in a set for training alone and in one for validation
    alone, and where nothing is left to train on.
    """
    scenes = {
        part: {each.scene for data_set, found in sets if data_set.part == part for each in found}
        for part in ('split', 'train', 'validation')
    }
    held_out, kept = scenes['validation'], scenes['train']
    if both := held_out & kept:
        raise DataError(
            f'the scene {min(both)!r} is in a set for training and in one for validation; take '
            'it out of one of them, or have both sets split'
        )
    free = scenes['split'] - held_out - kept
    if len(free) > 1 or not (held_out or kept):
        held_out = held_out | held_out_scenes(free, share, seed)
    train = [
        ([each for each in found if each.scene not in held_out], data_set.weight)
        for data_set, found in sets
    ]
    if not any(found for found, _ in train):
        raise DataError('all of the data is for validation; name a set to train on')
    return train, [each for _, found in sets for each in found if each.scene in held_out]


def epoch(sets: Sequence[Weighted], seed: int, number: int) -> list[Conversation]:
    """
    Return the conversations of an epoch, shuffled; always the same for a seed and a number.

    sets: conversations with a weight, which is how many times an epoch sees each of them; of a
    fraction, a part is drawn, another in each epoch. number: which epoch, from 0.
    """
    chosen: list[Conversation] = []
    for place, (conversations, weight) in enumerate(sets):
        # By a text, for a tuple's hash differs between runs.
        draw = random.Random(f'{seed} {number} {place}')
        times = int(weight)
        part = round((weight - times) * len(conversations))
        chosen += [*conversations] * times + draw.sample(conversations, part)
    random.Random(f'{seed} {number}').shuffle(chosen)
    return chosen
