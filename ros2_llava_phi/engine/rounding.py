"""
Round a layer's weights so that its outputs move least, where it is known what its inputs are.

Input by input, and what one's error does to the outputs is made up for by those to come. Source:
GPTQ (Frantar et al., arXiv 2210.17323), on the grids of quantise.py.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .engine import Floats
from .quantise import QuantisedWeight, best_scales, nearest

# How many inputs make up for each other. More would take memory by the square and time by the
# cube: a layer of 10240 inputs has four groups.
GROUP = 2560
# As a share of the mean; or inputs that are hardly seen would take on any error.
DAMPING = 0.01


def round_for_inputs(
    weight: Floats, bits: int, size: int, moments: Sequence[Floats]
) -> QuantisedWeight:
    """
    Round a weight matrix [out, in] to 4 or 8 bits, so that its outputs move least.

    size: how many inputs make a block; it divides GROUP.
    moments: for every GROUP inputs x the sum of x x^T over what was seen, float32 [GROUP, GROUP];
    the last one is of the inputs that are left.
    """
    integers: list[NDArray[np.int8]] = []
    scales: list[Floats] = []
    for number, moment in enumerate(moments):
        part = weight[:, number * GROUP : (number + 1) * GROUP]
        # Inputs come first, as one after the other is rounded.
        rows = np.pad(part.T, ((0, -part.shape[1] % size), (0, 0)))
        for block, scale in _round_group(rows, bits, size, _factor(moment, len(rows))):
            integers.append(block.T.astype(np.int8))
            scales.append(scale)
    return QuantisedWeight(
        bits, np.stack(integers, axis=1), np.stack(scales, axis=1), weight.shape[1]
    )


def _factor(moment: Floats, width: int) -> Floats:
    """
    Return the upper Cholesky factor of the inverse of a moment [n, n], filled up to a width.

    Row i says how the inputs behind i make up for an error in i.
    """
    padded = np.pad(moment.astype(np.float64), (0, width - len(moment)))
    mean = np.trace(padded) / width
    padded[np.diag_indices(width)] += DAMPING * mean if mean else 1.0
    factor: Floats = np.linalg.cholesky(np.linalg.inv(padded)).T.astype(np.float32)
    return factor


def _round_group(
    rows: Floats, bits: int, size: int, factor: Floats
) -> Iterator[tuple[Floats, Floats]]:
    """Yield each block's integers [size, out] and scales [out]; the rows [in, out] are used up."""
    diagonal = np.diag(factor)
    for start in range(0, len(rows), size):
        end = start + size
        block = rows[start:end]
        scales = best_scales(np.ascontiguousarray(block.T), bits, diagonal[start:end] ** -2)
        integers, errors = np.empty_like(block), np.empty_like(block)
        for i in range(size):
            integers[i] = nearest(block[i], scales, bits)
            errors[i] = (block[i] - integers[i] * scales) / diagonal[start + i]
            behind = factor[start + i, start + i + 1 : end]
            block[i + 1 :] -= np.outer(behind, errors[i])
        rows[end:] -= factor[start:end, end:].T @ errors
        yield integers, scales
