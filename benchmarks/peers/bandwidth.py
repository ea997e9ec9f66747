"""How fast two cores read memory: the ceiling of decoding, which reads all weights per token."""

import time

import torch

from .workload import THREADS

FLOATS = 3 * 2**27  # 1.5 GiB, many times a cache
TIMES = 8


def read_bandwidth() -> float:
    """Return the most bytes a second of several sums over a large array."""
    torch.set_num_threads(THREADS)
    array = torch.ones(FLOATS)
    seconds = []
    for _ in range(TIMES):
        start = time.perf_counter()
        array.sum()
        seconds.append(time.perf_counter() - start)
    return array.nbytes / min(seconds)
