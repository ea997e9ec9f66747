"""
Batches: the tensors that the network reads.

Questions about the same picture are read behind it in one row, each as if it were the only one: a
mask hides the others, and positions go on from the picture. That is how an assistant asks them
later, branching off one view. The picture is then encoded and read once, and the loss is the same
as that of the questions one by one.

    prompt before the picture | picture | question 1, answer 1 | question 2, answer 2 | ...
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ros2_llava_phi.imaging.pictures import read_picture
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.image import preprocess

from .labels import PICTURE, Labelled, LabelledTokens

NO_LABEL = -100
PADDING_SEGMENT = -1


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

    @property
    def targets(self) -> Tensor:
        """Return the number of tokens that carry loss, a scalar."""
        return (self.labels != NO_LABEL).sum()

    def to(self, device: torch.device) -> 'Batch':
        """Return the same on a device."""
        return Batch(*(tensor.to(device) for tensor in vars(self).values()))


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
    rows = _adjacent(samples)
    pictures = [read_picture(path) for row in rows for path in row[0].conversation.pictures]
    pixels = np.zeros((len(pictures), 3, *[config.vision.image_size] * 2), np.float32)
    for number, picture in enumerate(pictures):
        pixels[number] = preprocess(picture, config)
    return pack(rows, torch.from_numpy(pixels))


def pack(rows: Sequence[Sequence[LabelledTokens]], pixels: Tensor) -> Batch:
    """
    Put one sample, or several that share all up to their last picture, into each of R rows.

    pixels: of the rows' pictures, what is shared once, float32 [P, 3, side, side].
    """
    packed = [_row(row) for row in rows]
    longest = max(len(row.tokens) for row in packed)
    return Batch(
        tokens=_padded([row.tokens for row in packed], longest, 0),
        labels=_padded([row.labels for row in packed], longest, NO_LABEL),
        positions=_padded([row.positions for row in packed], longest, 0),
        segments=_padded([row.segments for row in packed], longest, PADDING_SEGMENT),
        places=_padded([row.places for row in packed], longest, False),
        pixels=pixels,
    )


def _adjacent(samples: Sequence[Labelled]) -> list[list[Labelled]]:
    groups: list[list[Labelled]] = []
    last: object = None
    for sample in samples:
        key = sample.row_key
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


def _row(samples: Sequence[LabelledTokens]) -> _Row:
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
    )


def _padded(rows: Sequence[NDArray[Any]], length: int, value: float) -> Tensor:
    padded = [np.pad(row, (0, length - len(row)), constant_values=value) for row in rows]
    return torch.from_numpy(np.stack(padded))
