"""
What the vision tower learns by itself: to tell what each patch shows.

Answers alone teach a tower slowly; the generator of the scenes knows what every patch shows.
"""

import torch.nn.functional as F
from torch import Tensor

MOST_WEIGHT = 12.0


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
