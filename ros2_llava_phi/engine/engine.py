"""What an engine does, whatever it runs on: encode a picture, prefill a prompt, decode tokens."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.errors import NumericsError
from ros2_llava_phi.model.config import ModelConfig

from .branches import Layout, in_a_row

Floats = NDArray[np.float32]
EngineName = Literal['onnxruntime', 'tensorrt', 'torch']
Precision = Literal['fp32', 'int8', 'int4', 'mixed', 'bf16', 'fp16']
# Hears the phase of a long work, and how many of how many of its steps are done.
Progress = Callable[[str, int, int], None]


class KVCache(Protocol):
    """Keys and values of the tokens seen so far: `length` of at most `capacity`."""

    length: int
    capacity: int

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens; raises ValueError if there are fewer."""
        if not 0 <= length <= self.length:
            raise ValueError(f'cannot rewind a cache of {self.length} tokens to {length}')
        self.length = length


Cache = TypeVar('Cache', bound=KVCache)


class Engine(Protocol[Cache]):
    """
    Run one model, with caches of its own making; for one thread at a time.

    encode and what reads tokens raise NumericsError where the result would not be finite, and the
    latter ValueError, before anything is written, where a cache has no room.

    name, precision, device: what runs it, for people and logs. threads: of it on a CPU, or 0.
    """

    name: str
    precision: str
    device: str
    threads: int = 0
    config: ModelConfig

    def encode(self, pixels: Floats) -> Floats:
        """Turn normalised pixels [3, side, side] into embeddings [image_tokens, hidden]."""

    def embed(self, tokens: Sequence[int]) -> Floats:
        """Return the embeddings [T, hidden] of T token ids."""

    def new_cache(self) -> Cache:
        """Return an empty cache for the model's context length."""

    def prefill(self, embeddings: Floats, cache: Cache) -> Floats:
        """Append embeddings [T, hidden] to the cache; return the last one's logits [vocab]."""
        logits: Floats = self.extend(embeddings, cache, in_a_row(cache.length, len(embeddings)))[0]
        return logits

    def decode(self, token: int, cache: Cache) -> Floats:
        """Append one token to the cache; return its logits [vocab]."""
        return self.prefill(self.embed([token]), cache)

    def extend(self, embeddings: Floats, cache: Cache, layout: Layout) -> Floats:
        """
        Append embeddings [T, hidden] of N sequences; return the logits [N, vocab] of their ends.

        There are at most MOST_BRANCHES. Where each gets one token, they are decoded, otherwise
        prefilled.
        """

    def step(self, token: int, cache: Cache) -> tuple[int, float]:
        """Append one token; return the likeliest one to follow, and the log of its probability."""
        return likeliest(self.decode(token, cache))


def likeliest(logits: Floats) -> tuple[int, float]:
    """Return the token that logits [vocab] find likeliest, and the log of its probability."""
    token = int(logits.argmax())
    return token, -float(np.log(np.exp(logits - logits[token]).sum()))


def check_room(cache: KVCache, tokens: int) -> None:
    """Raise ValueError if a cache has no room for so many more tokens."""
    if cache.length + tokens > cache.capacity:
        raise ValueError(
            f'{cache.length} + {tokens} tokens do not fit a cache of {cache.capacity}'
        )


def check_finite(result: Floats, part: str, remedy: str) -> None:
    """Raise NumericsError, which names the part and says what to do, if a result is not finite."""
    if not np.isfinite(result).all():
        raise NumericsError(f'the {part} computed NaN or infinity; {remedy}')


# For those who use an engine, and never look into its caches.
AnyEngine = Engine[Any]
