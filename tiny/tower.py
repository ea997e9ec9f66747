"""
What the vision tower learns by itself: to tell what each patch shows.

Answers alone teach a tower slowly; the generator of the scenes knows what every patch shows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_WEIGHT = 12.0
LONGEST_WAVE, SHORTEST_WAVE = 6.0, 0.33  # sides of the picture


def position_waves(grid: int, width: int) -> Tensor:
    """
    Return position embeddings [grid * grid, width] that are the more alike the nearer two patches.

    Sines and cosines of rows and columns; a tower that starts with them, and with keys equal to
    queries, looks at each patch's neighbourhood from the start (arXiv 2305.09828).

    Raises ValueError if the width is no multiple of 4.
    """
    if width % 4:
        raise ValueError(f'a width of {width} is no multiple of 4')
    spread = torch.linspace(0, 1, width // 4)
    waves = 2 * torch.pi / (LONGEST_WAVE * (SHORTEST_WAVE / LONGEST_WAVE) ** spread)
    angles = torch.arange(grid)[:, None] / grid * waves
    across, down = angles.repeat(grid, 1), angles.repeat_interleave(grid, dim=0)
    return torch.cat([across.sin(), across.cos(), down.sin(), down.cos()], dim=1)


def rare_weights(targets: Tensor) -> Tensor:
    """Return the weight [attributes] of a positive: the rarer, the larger, up to a bound."""
    share = targets.mean(dim=(0, 1)).clamp(1e-6, 1 - 1e-6)
    return ((1 - share) / share).sqrt().clamp(1.0, MOST_WEIGHT)


def patch_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """
    Return the mean weighted binary cross-entropy over patches and attributes, a scalar.

    logits, targets: [B, patches, attributes]; weights: of the positives [attributes].
    """
    return F.binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=weights)
