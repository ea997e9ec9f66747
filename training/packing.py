"""
Pack several questions about one picture into one training sequence.

Each question stands behind the picture as if it were the only one: a mask hides the others, and
positions go on from the picture. That is how an assistant asks them later, branching off one
view, and it spares the decoder reading the picture once a question.

    prompt before the picture | picture | question 1, answer 1 | question 2, answer 2 | ...
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ros2_llava_phi.model.network import Decoder

NO_LABEL = -100
PADDING_SEGMENT = -1


@dataclass(frozen=True)
class Branch:
    """Tokens behind a picture; those from `answer` on are what the model has to say."""

    tokens: list[int]
    answer: int


@dataclass(frozen=True)
class Batch:
    """
    What is asked about B pictures: int64 [B, T], for the branches alone.

    labels: the token to come next, NO_LABEL where it does not matter.
    segments: 1, 2, ... by branch; PADDING_SEGMENT behind the last.
    offsets: place within the branch.
    """

    tokens: Tensor
    labels: Tensor
    segments: Tensor
    offsets: Tensor

    def to(self, device: torch.device) -> 'Batch':
        """Return the same on a device."""
        return Batch(*(tensor.to(device) for tensor in vars(self).values()))


def pack(asked: Sequence[Sequence[Branch]]) -> Batch:
    """Pack what is asked about each of B pictures, padded to the longest."""
    longest = max(sum(len(branch.tokens) for branch in branches) for branches in asked)
    shape = (len(asked), longest)
    tokens, offsets = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    labels, segments = np.full(shape, NO_LABEL), np.full(shape, PADDING_SEGMENT)
    for row, branches in enumerate(asked):
        start = 0
        for number, branch in enumerate(branches, start=1):
            end = start + len(branch.tokens)
            tokens[row, start:end] = branch.tokens
            labels[row, start + branch.answer - 1 : end - 1] = branch.tokens[branch.answer :]
            segments[row, start:end] = number
            offsets[row, start:end] = np.arange(end - start)
            start = end
    return Batch(*(torch.from_numpy(array) for array in (tokens, labels, segments, offsets)))


def answer_loss(
    decoder: Decoder, before_picture: Sequence[int], picture: Tensor, batch: Batch
) -> Tensor:
    """
    Return the mean cross-entropy of the tokens that the model has to say, a scalar.

    before_picture: the prompt's tokens before the picture.
    picture: the batch's pictures as embeddings [B, image_tokens, D].
    """
    device = picture.device
    asked = torch.tensor(before_picture, device=device)
    before = decoder.embed_tokens(asked).expand(len(picture), -1, -1)
    behind = decoder.embed_tokens(batch.tokens)
    embeddings = torch.cat([before.to(picture.dtype), picture, behind.to(picture.dtype)], dim=1)
    prefix = before.shape[1] + picture.shape[1]
    segments = F.pad(batch.segments, (prefix, 0), value=0)
    places = torch.arange(prefix, device=device).expand(len(picture), -1)
    positions = torch.cat([places, prefix + batch.offsets], dim=1)
    hidden = decoder(embeddings, positions, branch_mask(segments))
    labels = batch.labels
    wanted = labels != NO_LABEL
    logits = decoder.lm_head(hidden[:, prefix:][wanted])
    return F.cross_entropy(logits.float(), labels[wanted])


def branch_mask(segments: Tensor) -> Tensor:
    """
    Return who may look at whom, bool [B, 1, T, T], for segments [B, T].

    A token sees what stands before it in segment 0, the prefix, and in its own segment.
    """
    length = segments.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    asking, seen = segments[:, None, :, None], segments[:, None, None, :]
    return earlier & ((seen == 0) | (seen == asking))
