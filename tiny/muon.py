"""Muon (https://kellerjordan.github.io/posts/muon): momentum, in steps of even singular values."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

# The odd polynomial that draws singular values towards one fastest, by Keller Jordan.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class Muon(Optimizer):
    """
    Muon for weight matrices, its steps as large as AdamW's are (arXiv 2502.16982).

    PyTorch's own always multiplies in bf16, in which a CPU without the instructions spends most of
    a step.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.05,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take matrices or groups of them; `dtype` is what the iteration multiplies in."""
        super().__init__(params, {'lr': lr, 'momentum': momentum, 'weight_decay': weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take a step along every gradient; a closure is not called."""
        for group in self.param_groups:
            for weight in group['params']:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state['momentum_buffer'] = torch.zeros_like(weight)
        average = state['momentum_buffer']
        average.lerp_(gradient, 1 - group['momentum'])
        direction = gradient.lerp(average, group['momentum'])
        step = orthogonalised(direction.to(self._dtype)).to(weight.dtype)
        rate = group['lr'] * 0.2 * math.sqrt(max(weight.shape))
        weight.mul_(1 - group['lr'] * group['weight_decay']).sub_(step, alpha=rate)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix of the same singular vectors, its singular values between about 0.7 and 1.2.

    By Newton and Schulz's iteration, without a decomposition.
    """
    a, b, c = COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / wide.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.shape[0] > matrix.shape[1] else x
