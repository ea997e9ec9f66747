"""The reference engine: the network itself, run by PyTorch on a CPU or a CUDA GPU."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ros2_llava_phi.errors import ModelError, NumericsError
from ros2_llava_phi.model.config import TextConfig
from ros2_llava_phi.model.network import (
    Decoder,
    LlavaPhi,
    attend,
    merge_heads,
    rotary,
    rotate,
    split_heads,
)
from ros2_llava_phi.model.network import KVCache as NetworkCache

from .branches import Layout
from .cpu_threads import cpu_threads
from .engine import Engine, Floats, KVCache, check_room

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


class TorchCache(NetworkCache, KVCache):
    """The network's cache, which rewinds; on a GPU with the graph that decodes into it."""

    decode: 'DecodeGraph | None' = None


class TorchEngine(Engine[TorchCache]):
    """Engine (see engine.py) on PyTorch."""

    name = 'torch'

    def __init__(
        self, network: LlavaPhi, precision: str = 'fp32', device: str = 'cpu', threads: int = 0
    ) -> None:
        """
        Take over a network, and move it to a precision (fp32, bf16, fp16) and a device.

        threads: PyTorch's on a CPU, for the whole process; 0: as for `cpu_threads`, but no more
        than it has, which OMP_NUM_THREADS limits.

        Raises ModelError for a precision or device that is not to be had.
        """
        self._dtype = check_device(precision, device)
        self._device = torch.device(device)
        self._network = network.to(self._device, self._dtype).eval()
        self.config = network.config
        self.precision = precision
        self.device = device
        if self._device.type == 'cpu':
            torch.set_num_threads(threads or min(torch.get_num_threads(), cpu_threads()))
            self.threads = torch.get_num_threads()
        self._captures = self._device.type == 'cuda'

    @torch.inference_mode()
    def encode(self, pixels: Floats) -> Floats:
        """Turn normalised pixels [3, side, side] into embeddings [image_tokens, hidden]."""
        network = self._network

        def run() -> Tensor:
            return network.encode(self._to_torch(pixels)[None])[0]

        parts = {'vision_tower': network.vision_tower, 'projector': network.projector}
        return _finite(run(), run, parts)

    @torch.inference_mode()
    def embed(self, tokens: Sequence[int]) -> Floats:
        """Return the embeddings [T, hidden] of T token ids."""
        ids = torch.tensor(tokens, dtype=torch.int64, device=self._device)
        return _to_numpy(self._network.decoder.embed_tokens(ids))

    def new_cache(self) -> TorchCache:
        """Return an empty cache for the model's context length."""
        return TorchCache(self.config.text, self._dtype, self._device)

    @torch.inference_mode()
    def extend(self, embeddings: Floats, cache: TorchCache, layout: Layout) -> Floats:
        """Append embeddings [T, hidden] of N sequences; return the logits of their ends."""
        tokens, past = len(embeddings), cache.length
        check_room(cache, tokens)
        positions, mask, last = (
            torch.from_numpy(each).to(self._device)
            for each in (layout.positions[None], layout.mask, layout.last)
        )
        decoder = self._network.decoder

        def run() -> Tensor:
            cache.rewind(past)
            hidden = decoder(self._to_torch(embeddings)[None], positions, mask, cache)
            return decoder.lm_head(hidden[0, last])

        try:
            return _finite(run(), run, {'decoder': decoder})
        except NumericsError:
            # What a mask hides may still be multiplied, by zero, and NaN would stay NaN.
            cache.length = past
            for each in (cache.keys, cache.values):
                each[:, :, :, past : past + tokens] = 0
            raise

    def decode(self, token: int, cache: TorchCache) -> Floats:
        """Append one token to the cache; return its logits [vocab]."""
        if self._captures and cache.length < cache.capacity:
            logits = self._replay(token, cache)
            if np.isfinite(logits).all():
                return logits
            cache.length -= 1
        return super().decode(token, cache)

    @torch.inference_mode()
    def _replay(self, token: int, cache: TorchCache) -> Floats:
        """Decode by a CUDA graph; where none can be made, say so once, and decode without."""
        decoder = self._network.decoder
        try:
            if cache.decode is None:
                cache.decode = DecodeGraph(decoder, cache)
        except RuntimeError as error:
            self._captures = False
            reason = str(error).splitlines()[0]
            log = logging.getLogger(__name__)
            log.warning('decoding without a CUDA graph, and so slower: %s', reason)
            return self.prefill(self.embed([token]), cache)
        embedding = decoder.embed_tokens(torch.tensor([[token]], device=self._device))
        logits = cache.decode(embedding, cache.length)
        cache.length += 1
        return _to_numpy(logits)

    def _to_torch(self, array: Floats) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device, self._dtype)


def check_device(precision: str, device: str) -> torch.dtype:
    """Return a precision's dtype; raises ModelError if it or the device is not to be had."""
    if precision not in PRECISIONS:
        raise ModelError(f'precision {precision!r} is unknown; use {", ".join(PRECISIONS)}')
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f'device {device!r} cannot be used: {reason}') from error
    return PRECISIONS[precision]


def _finite(result: Tensor, again: Callable[[], Tensor], parts: dict[str, nn.Module]) -> Floats:
    """Return a result as float32; if it is not finite, run it again to find the first layer."""
    array = _to_numpy(result)
    if np.isfinite(array).all():
        return array
    bad: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                bad.append(name)

        return hook

    hooks = [
        module.register_forward_hook(watch(f'{part}.{name}' if name else part))
        for part, root in parts.items()
        for name, module in root.named_modules()
    ]
    try:
        again()
    finally:
        for handle in hooks:
            handle.remove()
    raise NumericsError(
        f'the network computed NaN or infinity, first in {bad[0] if bad else "its input"}; '
        'try another precision (bf16 or fp32), or look at the checkpoint'
    )


def _to_numpy(tensor: torch.Tensor) -> Floats:
    array: Floats = tensor.float().cpu().numpy()
    return array


class PlacedAttention:
    """Attention (see network.py) of one token, whose place in the cache is a tensor."""

    def __init__(self, config: TextConfig, place: Tensor, cache: TorchCache) -> None:
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


class DecodeGraph:
    """
    A CUDA graph that decodes a token into one cache: all kernels are launched at once.

    Shapes and addresses in a graph are fixed: so the token attends to the cache's whole capacity,
    what is not written yet behind a mask, and its place is a number in memory.
    """

    def __init__(self, decoder: Decoder, cache: TorchCache) -> None:
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


def place_token(decoder: Decoder, embedding: Tensor, place: Tensor, cache: TorchCache) -> Tensor:
    """Write a token, embedding [1, 1, D], to a place [1] of a cache; return logits [vocab]."""
    hidden = decoder.blocks(embedding, PlacedAttention(decoder.config, place, cache))
    logits: Tensor = decoder.lm_head(hidden)[0, 0]
    return logits
