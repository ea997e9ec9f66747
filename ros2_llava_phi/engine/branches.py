"""
Several sequences in one cache: branches that share its first tokens, and do not see each other.

Their tokens stand in the cache as they come. A mask lets each see what is shared and what is its
own, at positions as if it were alone: nothing is copied, and one run of the network serves all
(as a tree of tokens is read in SpecInfer, Miao et al., arXiv 2305.09781).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_BRANCHES = 8  # that every engine takes at once
FORGOTTEN = -1


@dataclass(frozen=True)
class Layout:
    """
    What T tokens that are appended to a cache are to each other, and to those in it.

    positions: of each token in its own sequence, int64 [T].
    mask: bool [T, S], True where a token may look; S counts the cache's tokens and these.
    last: the index of each sequence's last token, int64 [N].
    """

    positions: NDArray[np.int64]
    mask: NDArray[np.bool_]
    last: NDArray[np.int64]


def in_a_row(past: int, tokens: int) -> Layout:
    """Return the layout of tokens that go on one sequence of `past` tokens."""
    mask = np.tri(tokens, past + tokens, past, dtype=np.bool_)
    return Layout(np.arange(past, past + tokens), mask, np.array([tokens - 1]))


class Branches:
    """Which branch each token of a cache belongs to."""

    def __init__(self, shared: int) -> None:
        """Begin behind the `shared` tokens that a cache holds."""
        self._shared = shared
        self._owners = np.zeros(0, np.int64)

    def append(self, pieces: Sequence[tuple[int, int]]) -> Layout:
        """
        Return the layout of further tokens.

        pieces: numbers of branches, from 0, each with how many tokens it gets; in this order.
        """
        counts = [tokens for _, tokens in pieces]
        owners = np.repeat([branch for branch, _ in pieces], counts)
        positions = [
            self._shared + self.length(branch) + np.arange(tokens) for branch, tokens in pieces
        ]
        before = len(self._owners)
        self._owners = np.concatenate([self._owners, owners])
        own = self._owners == owners[:, None]
        own &= np.tri(len(owners), len(self._owners), before, dtype=np.bool_)
        shared = np.ones((len(owners), self._shared), np.bool_)
        return Layout(
            np.concatenate(positions), np.concatenate([shared, own], 1), np.cumsum(counts) - 1
        )

    def length(self, branch: int) -> int:
        """Return how many tokens are a branch's own."""
        return int((self._owners == branch).sum())

    def rewind(self, branch: int, length: int) -> None:
        """Forget all but the first `length` tokens of a branch; their places stay taken."""
        self._owners[np.flatnonzero(self._owners == branch)[length:]] = FORGOTTEN
