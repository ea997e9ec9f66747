"""
The vision tower's own training: predict what each patch shows.

Answers alone teach a tower slowly; the generator of the scenes knows what every patch shows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ros2_llava_phi.model.network import VisionTower

MOST_WEIGHT = 12.0


class PatchReader(nn.Module):
    """A vision tower, and a linear head that reads attributes off its patches."""

    def __init__(self, vision_tower: VisionTower, attributes: int) -> None:
        """Put a head on a tower."""
        super().__init__()
        self.vision_tower = vision_tower
        self.head = nn.Linear(vision_tower.config.hidden_size, attributes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits [B, patches, attributes] for pictures [B, 3, side, side]."""
        return self.head(self.vision_tower(pixels))


def rare_weights(targets: Tensor) -> Tensor:
    """Return the weight [attributes] of a positive: the rarer, the larger, up to a bound."""
    share = targets.mean(dim=(0, 1)).clamp(1e-6, 1 - 1e-6)
    return ((1 - share) / share).sqrt().clamp(1.0, MOST_WEIGHT)


def patch_loss(reader: PatchReader, pixels: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the mean weighted binary cross-entropy over patches and attributes, a scalar."""
    logits = reader(pixels).float()
    return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights)


@torch.no_grad()
def patch_scores(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the F1 score of each attribute [attributes] at probability one half."""
    found, wanted = logits > 0, targets > 0.5
    hits = (found & wanted).sum(dim=(0, 1))
    return 2 * hits / (found.sum(dim=(0, 1)) + wanted.sum(dim=(0, 1))).clamp(min=1)
