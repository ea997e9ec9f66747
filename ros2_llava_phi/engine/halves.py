"""fp16 and bf16 as bits, for engines without PyTorch: numpy has no bf16."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint16]


def to_half(array: NDArray[np.float32], kind: str) -> Bits:
    """Return numbers rounded to fp16 or bf16, to nearest, ties to even, as their bits.

    What exceeds fp16 is infinity.
    """
    if kind == 'fp16':
        with np.errstate(over='ignore'):
            return array.astype(np.float16).view(np.uint16)
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded: NDArray[Any] = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return rounded.astype(np.uint16)


def from_half(bits: Bits, kind: str) -> NDArray[np.float32]:
    """Return what the bits of fp16 or bf16 numbers stand for."""
    if kind == 'fp16':
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)
