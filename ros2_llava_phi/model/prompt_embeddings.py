"""A prompt with any number of pictures as one sequence of embeddings, for training and prefill."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .network import LlavaPhi
from .prompt import Mark


def embed_prompt(network: LlavaPhi, parts: Sequence[list[int] | Mark], pictures: Tensor) -> Tensor:
    """
    Return a prompt's embeddings [T, D], through which gradients flow.

    parts: as prompt_tokens returns them. pictures: what network.encode returned for the prompt's
    pictures, in their order, [pictures, image_tokens, D]; each takes the place of its mark.

    Raises ValueError if there are not as many pictures as marks.
    """
    marks = sum(part is Mark.PICTURE for part in parts)
    if marks != len(pictures):
        raise ValueError(f'the prompt has places for {marks} pictures, not for {len(pictures)}')
    left = iter(pictures)
    device = network.decoder.embed_tokens.weight.device
    return torch.cat(
        [
            network.decoder.embed_tokens(torch.tensor(part, dtype=torch.int64, device=device))
            if isinstance(part, list)
            else next(left)
            for part in parts
        ]
    )
