"""
Batches: which samples go together in which step, and the tensors that the network reads.

Questions about the same picture are read behind it in one row, each as if it were the only one: a
mask hides the others, and positions go on from the picture (see packing.py). The picture is then
encoded and read once, and the loss is the same as that of the questions one by one. Rows of about
the same length share a batch, so that there is little padding.

Everything follows from the seed and the step: going on at any step needs no state.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ros2_llava_phi.errors import TrainingError
from ros2_llava_phi.imaging.pictures import read_picture
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.image import preprocess

from .labels import PICTURE, Labelled
from .mixture import epoch
from .packing import NO_LABEL, PADDING_SEGMENT

# Batches among which rows are sorted by length.
SORTED_TOGETHER = 50


@dataclass(frozen=True)
class Batch:
    """
    R rows of T tokens, and the P pictures that stand in them, row by row.

    tokens, labels, positions: int64 [R, T]; labels say the token to come next, NO_LABEL where it
    does not matter. segments: int64 [R, T], 0 for what a row's questions share, 1, 2, ... by
    question, PADDING_SEGMENT behind them. places: bool [R, T], where pictures stand.
    pixels: float32 [P, 3, side, side].
    """

    tokens: Tensor
    labels: Tensor
    positions: Tensor
    segments: Tensor
    places: Tensor
    pixels: Tensor

    def to(self, device: torch.device) -> 'Batch':
        """Return the same on a device."""
        return Batch(*(tensor.to(device) for tensor in vars(self).values()))


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
        self._keys = [_prefix_key(sample) or index for index, sample in enumerate(samples)]
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


def positions(samples: Sequence[Labelled]) -> int:
    """Return how many positions the rows of some samples take, padding included."""
    lengths = [
        sum(each.length for each in row) - (len(row) - 1) * _shared(row[0])
        for row in _adjacent(samples)
    ]
    return len(lengths) * max(lengths)


def _shared(sample: Labelled) -> int:
    """Return how many positions a sample's prefix takes."""
    prefix = sample.tokens[: sample.prefix]
    return int(np.where(prefix == PICTURE, sample.image_tokens, 1).sum())


def collate(samples: Sequence[Labelled], config: ModelConfig) -> Batch:
    """
    Read the pictures of samples, and put the samples into rows.

    Raises FrameError for a picture that cannot be read.
    """
    rows = [_row(group) for group in _adjacent(samples)]
    longest = max(len(row.tokens) for row in rows)
    side = config.vision.image_size
    pictures = [read_picture(path) for row in rows for path in row.pictures]
    pixels = [preprocess(picture, config) for picture in pictures]
    return Batch(
        tokens=_padded([row.tokens for row in rows], longest, 0),
        labels=_padded([row.labels for row in rows], longest, NO_LABEL),
        positions=_padded([row.positions for row in rows], longest, 0),
        segments=_padded([row.segments for row in rows], longest, PADDING_SEGMENT),
        places=_padded([row.places for row in rows], longest, False),
        pixels=torch.from_numpy(
            np.stack(pixels) if pixels else np.zeros((0, 3, side, side), np.float32)
        ),
    )


def _prefix_key(sample: Labelled) -> object:
    """Return what samples that can share a row have in common; None for one that cannot."""
    prefix = sample.prefix
    # What follows the prefix at once must not be learned: one place would have two labels.
    if not prefix or sample.learned[: prefix + 1].any():
        return None
    return sample.conversation.pictures, sample.tokens[:prefix].tobytes()


def _adjacent(samples: Sequence[Labelled]) -> list[list[Labelled]]:
    groups: list[list[Labelled]] = []
    last: object = None
    for sample in samples:
        key = _prefix_key(sample)
        if key is not None and key == last:
            groups[-1].append(sample)
        else:
            groups.append([sample])
        last = key
    return groups


@dataclass(frozen=True)
class _Row:
    tokens: NDArray[np.int64]
    labels: NDArray[np.int64]
    positions: NDArray[np.int64]
    segments: NDArray[np.int64]
    places: NDArray[np.bool_]
    pictures: tuple[Path, ...]


def _row(samples: Sequence[Labelled]) -> _Row:
    """Put a sample, or several that share a prefix, into a row."""
    first = samples[0]
    shared = first.prefix if len(samples) > 1 else 0
    tokens = np.concatenate([first.tokens[:shared], *(s.tokens[shared:] for s in samples)])
    learned = np.concatenate([first.learned[:shared], *(s.learned[shared:] for s in samples)])
    sizes = np.where(tokens == PICTURE, first.image_tokens, 1)
    tokens, learned = np.repeat(tokens.astype(np.int64), sizes), np.repeat(learned, sizes)
    before = int(sizes[:shared].sum())
    lengths = [sample.length - before for sample in samples]
    labels = np.full(len(tokens), NO_LABEL)
    labels[:-1][learned[1:]] = tokens[1:][learned[1:]]
    return _Row(
        tokens=np.where(tokens == PICTURE, 0, tokens),
        labels=labels,
        positions=np.concatenate([np.arange(before), *(before + np.arange(n) for n in lengths)]),
        segments=np.repeat(np.arange(len(samples) + 1), [before, *lengths]),
        places=tokens == PICTURE,
        pictures=first.conversation.pictures,
    )


def _padded(rows: Sequence[NDArray[Any]], length: int, value: float) -> Tensor:
    padded = [np.pad(row, (0, length - len(row)), constant_values=value) for row in rows]
    return torch.from_numpy(np.stack(padded))
