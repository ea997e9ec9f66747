"""
Decoding one token by PyTorch as a CUDA graph: all kernels are launched at once, not one by one.

Shapes and addresses in a graph are fixed: so the token attends to the cache's whole capacity, what
is not written yet behind a mask, and its place is a number in memory.
"""

import torch
from torch import Tensor

from ros2_llava_phi.model.config import TextConfig
from ros2_llava_phi.model.network import (
    Decoder,
    KVCache,
    attend,
    merge_heads,
    rotary,
    rotate,
    split_heads,
)


class PlacedAttention:
    """Attention (see network.py) of one token, whose place in the cache is a tensor."""

    def __init__(self, config: TextConfig, place: Tensor, cache: KVCache) -> None:
        """Compute once for all layers what they share; place: int64 [1]."""
        self._heads = config.heads
        self._rotation = rotary(place[None], config.rotary_dim, config.rope_theta)
        self._place, self._cache = place, cache
        places = torch.arange(cache.capacity, device=place.device)
        self._mask = (places <= place)[None, None, None]

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See Attention."""
        q, k, v = (split_heads(x, self._heads) for x in (q, k, v))
        q, k = rotate(q, self._rotation), rotate(k, self._rotation)
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys.index_copy_(2, self._place, k)
        values.index_copy_(2, self._place, v)
        return merge_heads(attend(q, keys, values, self._mask))


class GraphedCache(KVCache):
    """A cache on a GPU, with the graph that decodes into it, since that knows its addresses."""

    decode: 'DecodeGraph | None' = None


class DecodeGraph:
    """The graph that decodes a token into one cache."""

    def __init__(self, decoder: Decoder, cache: KVCache) -> None:
        """Capture the graph, which writes a row behind the cache's length, to be overwritten."""
        weight = decoder.lm_head.weight
        self._device = weight.device
        self._embedding = weight.new_zeros(1, 1, decoder.config.hidden_size)
        self._place = torch.full((1,), cache.length, device=self._device)
        # Streams and graphs are the current device's, which need not be this one.
        with torch.cuda.device(self._device):
            # What libraries put off until their first call must not happen during a capture.
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                place_token(decoder, self._embedding, self._place, cache)
            torch.cuda.current_stream().wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._logits = place_token(decoder, self._embedding, self._place, cache)

    def __call__(self, embedding: Tensor, place: int) -> Tensor:
        """Write a token, embedding [1, 1, D], to a place of the cache; return logits [vocab]."""
        self._embedding.copy_(embedding)
        self._place.fill_(place)
        with torch.cuda.device(self._device):
            self._graph.replay()
        return self._logits


def place_token(decoder: Decoder, embedding: Tensor, place: Tensor, cache: KVCache) -> Tensor:
    """Write a token, embedding [1, 1, D], to a place [1] of a cache; return logits [vocab]."""
    hidden = decoder.blocks(embedding, PlacedAttention(decoder.config, place, cache))
    logits: Tensor = decoder.lm_head(hidden)[0, 0]
    return logits
