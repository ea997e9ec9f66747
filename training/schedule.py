"""The learning rate by step: a linear warm-up, then a cosine to zero."""

import math

from torch.optim import Optimizer


def share_of_peak(step: int, steps: int, warm_up: float) -> float:
    """Return the learning rate of a step as a share of its peak, more than 0 and up to 1."""
    rising = math.ceil(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def set_rates(optimizer: Optimizer, step: int, steps: int, warm_up: float) -> None:
    """Set every group's learning rate from its `peak`."""
    for group in optimizer.param_groups:
        group['lr'] = group['peak'] * share_of_peak(step, steps, warm_up)
