"""
Weights as small integers, block by block along the input: symmetric, with a scale a block.

The integers are those that both ONNX Runtime's MatMulNBits and TensorRT's DequantizeLinear take:
w = scale * q with q in -2^(bits-1) .. 2^(bits-1) - 1, and no zero point.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCKS = (128, 64, 32)
# The largest weight of a block need not be kept: the grid is a share of the range that it spans.
GRIDS = np.linspace(1.0, 0.75, 6, dtype=np.float32)


@dataclass(frozen=True)
class QuantisedWeight:
    """
    A weight matrix [out, in] in blocks of its inputs; the last one is filled up with zeros.

    integers: int8 [out, blocks, block]; scales: float32 [out, blocks].
    """

    bits: int
    integers: NDArray[np.int8]
    scales: NDArray[np.float32]
    inputs: int

    def dequantised(self) -> NDArray[np.float32]:
        """Return the weights that these integers stand for, [out, in]."""
        whole = self.integers * self.scales[..., None]
        return whole.reshape(len(whole), -1)[:, : self.inputs]

    def transposed(self) -> NDArray[np.int8]:
        """Return the integers as they are multiplied, [in, out]."""
        whole = self.integers.reshape(len(self.integers), -1)[:, : self.inputs]
        return np.ascontiguousarray(whole.T)

    def packed(self) -> NDArray[np.uint8]:
        """Return the integers without sign as MatMulNBits stores them, uint8 [out, blocks, bytes].

        2^(bits-1) is added; of two 4-bit integers in a byte, the first is the low one.
        """
        unsigned = (self.integers.astype(np.int16) + (1 << (self.bits - 1))).astype(np.uint8)
        if self.bits == 8:
            return unsigned
        return (unsigned[..., 0::2] | (unsigned[..., 1::2] << 4)).astype(np.uint8)


def block_size(inputs: int) -> int:
    """Return the largest block that divides the number of inputs, else the smallest there is."""
    return next((size for size in BLOCKS if inputs % size == 0), BLOCKS[-1])


def quantise(
    weight: NDArray[np.float32],
    bits: int,
    size: int,
) -> QuantisedWeight:
    """
    Round a weight matrix [out, in] to 4 or 8 bits, each block on the grid of least error.

    size: how many inputs make a block.
    """
    outputs, inputs = weight.shape
    blocks = np.pad(weight, ((0, 0), (0, -inputs % size))).reshape(outputs, -1, size)
    scales = best_scales(blocks, bits)
    integers = nearest(blocks, scales[..., None], bits).astype(np.int8)
    return QuantisedWeight(bits, integers, scales, inputs)


def best_scales(
    blocks: NDArray[np.float32], bits: int, importance: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """
    Return the scale [...] of the grid of least error for each block [..., size].

    importance: what the square of an error counts for, [size]; the same for all if there is none.
    """
    span = np.abs(blocks).max(axis=-1) / ((1 << (bits - 1)) - 1)
    span[span == 0] = 1.0
    best = np.full(span.shape, np.inf, np.float32)
    scales = span
    # At 8 bits clipping the largest costs more than the finer grid gains.
    for share in GRIDS if bits == 4 else GRIDS[:1]:
        tried = span * share
        wrong = nearest(blocks, tried[..., None], bits) * tried[..., None] - blocks
        error = np.square(wrong).sum(-1) if importance is None else np.square(wrong) @ importance
        scales = np.where(error < best, tried, scales)
        best = np.minimum(error, best)
    return scales


def nearest(
    weight: NDArray[np.float32], scale: NDArray[np.float32], bits: int
) -> NDArray[np.float32]:
    """Return the integers, as floats, that come nearest to weights with these scales."""
    largest = (1 << (bits - 1)) - 1
    return np.clip(np.rint(weight / scale), -largest - 1, largest)
