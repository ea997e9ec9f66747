"""
Which samples each step takes: data sets mixed by their weights, in an order that the seed decides.

Questions about one picture stay together, and samples of about one length share a batch, so that
there is little padding. Everything follows from the seed and the step: going on at any step needs
no state.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from ros2_llava_phi.errors import TrainingError

from .labels import Labelled

# Batches among which rows are sorted by length.
SORTED_TOGETHER = 50

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


class Plan:
    """Which samples each step takes, in an order that only the seed decides."""

    def __init__(
        self,
        samples: Sequence[Labelled],
        weights: Mapping[str, float],
        batch_size: int,
        seed: int,
        together: int,
    ) -> None:
        """
        Plan batches of `batch_size` samples.

        weights: how many times an epoch sees each sample, by its data set.
        together: how many questions about one picture stay together at most.

        Raises TrainingError if an epoch is empty by the weights.
        """
        self._batch_size = batch_size
        self._seed = seed
        self._together = min(together, batch_size)
        self._lengths = np.array([sample.length for sample in samples])
        self._keys = [sample.row_key or index for index, sample in enumerate(samples)]
        by_set: dict[str, list[int]] = {}
        for index, sample in enumerate(samples):
            by_set.setdefault(sample.conversation.source, []).append(index)
        self._sets = [(rows, weights[source]) for source, rows in by_set.items()]
        if not epoch(self._sets, seed, 0):
            raise TrainingError('the weights leave no conversation in an epoch; raise them')
        self._number, self._order = 0, self._ordered(0)

    @property
    def epoch_size(self) -> int:
        """Return how many samples an epoch takes."""
        return len(self._order)

    def steps(self, epochs: float) -> int:
        """Return how many steps take that many epochs."""
        return max(1, math.ceil(epochs * self.epoch_size / self._batch_size))

    def rows(self, step: int) -> list[int]:
        """Return the indices of the samples of a step; where an epoch ends the next goes on."""
        first = step * self._batch_size
        found: list[int] = []
        while len(found) < self._batch_size:
            number, start = divmod(first + len(found), self.epoch_size)
            if number != self._number:
                self._number, self._order = number, self._ordered(number)
            found += self._order[start : start + self._batch_size - len(found)]
        return found

    def _ordered(self, number: int) -> list[int]:
        """Return an epoch's samples: the mixture's, with those together that share a batch."""
        rng = np.random.default_rng([self._seed, number])
        chosen = epoch(self._sets, self._seed, number)
        rows = np.concatenate([self._by_length(turn, rng) for turn in self._turns(chosen, number)])
        # The first may belong to the batch in which the epoch before ended.
        begun = -number * len(rows) % self._batch_size
        runs = np.split(rows, range(begun, len(rows), self._batch_size))
        whole = [run for run in runs if len(run) == self._batch_size]
        rest = [run for run in runs[1:] if len(run) < self._batch_size]
        middle = [whole[place] for place in rng.permutation(len(whole))]
        found: list[int] = np.concatenate([runs[0], *middle, *rest]).tolist()
        return found

    def _turns(self, chosen: Sequence[int], number: int) -> list[list[int]]:
        """
        Divide an epoch into turns, so that each has a sample, whatever its weight, at most once.

        Copies then share no batch, but where one turn ends in it and the next begins.
        """
        most = max(Counter(chosen).values())
        if most == 1:
            return [list(chosen)]
        rng = np.random.default_rng([self._seed, number, most])
        turns: list[list[int]] = [[] for _ in range(most)]
        # By key, so that questions about one picture stay together.
        firsts: dict[object, int] = {}
        copies: Counter[int] = Counter()
        for index in chosen:
            key = self._keys[index]
            if key not in firsts:
                firsts[key] = int(rng.integers(most))
            turns[(firsts[key] + copies[index]) % most].append(index)
            copies[index] += 1
        return [turn for turn in turns if turn]

    def _by_length(self, chosen: Sequence[int], rng: np.random.Generator) -> list[int]:
        """Shuffle samples, those together that share a row, and sort stretches by length."""
        groups: dict[object, list[int]] = {}
        for index in chosen:
            groups.setdefault(self._keys[index], []).append(index)
        units = [
            group[start : start + self._together]
            for group in groups.values()
            for start in range(0, len(group), self._together)
        ]
        order = rng.permutation(len(units))
        longest = np.array([self._lengths[unit].max() for unit in units])
        stretch = SORTED_TOGETHER * self._batch_size
        parts = [order[start : start + stretch] for start in range(0, len(order), stretch)]
        by_length = [part[np.argsort(longest[part], kind='stable')] for part in parts]
        return [index for part in by_length for unit in part for index in units[unit]]


def parts_of(rows: Sequence[int], parts: int) -> list[list[int]]:
    """Cut a step's samples into parts of about one size; raises ValueError if too few."""
    if len(rows) < parts:
        raise ValueError(f'{len(rows)} samples cannot be cut into {parts} parts')
    return [part.tolist() for part in np.array_split(np.array(rows), parts)]
