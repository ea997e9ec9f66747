"""The reference engine: the network itself, run by PyTorch on a CPU or a CUDA GPU."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ros2_llava_phi.errors import ModelError, NumericsError
from ros2_llava_phi.model.network import KVCache, LlavaPhi

from .branches import Layout, in_a_row
from .engine import Floats, likeliest
from .torch_graph import DecodeGraph, GraphedCache

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


class TorchEngine:
    """Engine (see engine.py) on PyTorch."""

    name = 'torch'

    def __init__(self, network: LlavaPhi, precision: str = 'fp32', device: str = 'cpu') -> None:
        """
        Take over a network, and move it to a precision (fp32, bf16, fp16) and a device.

        Raises ModelError for a precision or device that is not to be had.
        """
        self._dtype = check_device(precision, device)
        self._device = torch.device(device)
        self._network = network.to(self._device, self._dtype).eval()
        self.config = network.config
        self.precision = precision
        self.device = device
        self._captures = True

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

    def new_cache(self) -> KVCache:
        """Return an empty cache for the model's context length."""
        kind = GraphedCache if self._device.type == 'cuda' else KVCache
        return kind(self.config.text, self._dtype, self._device)

    def prefill(self, embeddings: Floats, cache: KVCache) -> Floats:
        """Append embeddings [T, hidden] to the cache; return the last one's logits [vocab]."""
        logits: Floats = self.extend(embeddings, cache, in_a_row(cache.length, len(embeddings)))[0]
        return logits

    @torch.inference_mode()
    def extend(self, embeddings: Floats, cache: KVCache, layout: Layout) -> Floats:
        """Append embeddings [T, hidden] of N sequences; return the logits of their ends."""
        tokens, past = len(embeddings), cache.length
        if past + tokens > cache.capacity:
            raise ValueError(f'{past} + {tokens} tokens do not fit a cache of {cache.capacity}')
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

    def decode(self, token: int, cache: KVCache) -> Floats:
        """Append one token to the cache; return its logits [vocab]."""
        if isinstance(cache, GraphedCache) and self._captures and cache.length < cache.capacity:
            logits = self._replay(token, cache)
            if np.isfinite(logits).all():
                return logits
            cache.length -= 1
        return self.prefill(self.embed([token]), cache)

    @torch.inference_mode()
    def _replay(self, token: int, cache: GraphedCache) -> Floats:
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

    def step(self, token: int, cache: KVCache) -> tuple[int, float]:
        """Append one token; return the likeliest one to follow, and the log of its probability."""
        return likeliest(self.decode(token, cache))

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
