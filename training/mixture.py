"""In what order an epoch sees several data sets."""

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar('Item')


def epoch(sets: Sequence[tuple[Sequence[Item], float]], seed: int, number: int) -> list[Item]:
    """
    Return the conversations of an epoch, shuffled; always the same for a seed and a number.

    sets: conversations with a weight, which is how many times an epoch sees each of them; of a
    fraction, a part is drawn, another in each epoch. number: which epoch, from 0.
    """
    chosen: list[Item] = []
    for place, (conversations, weight) in enumerate(sets):
        # By a text, for a tuple's hash differs between runs.
        draw = random.Random(f'{seed} {number} {place}')
        times = int(weight)
        part = round((weight - times) * len(conversations))
        chosen += [*conversations] * times + draw.sample(conversations, part)
    random.Random(f'{seed} {number}').shuffle(chosen)
    return chosen
