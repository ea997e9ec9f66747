"""The reference engine: the network itself, run by PyTorch on a CPU or a CUDA GPU."""

from collections.abc import Sequence

import torch

from ros2_llava_phi.model.config import ModelError
from ros2_llava_phi.model.network import KVCache, LlavaPhi, causal_mask

from .engine import Floats

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


class TorchEngine:
    """Engine (see engine.py) on PyTorch."""

    name = 'torch'

    def __init__(self, network: LlavaPhi, precision: str = 'fp32', device: str = 'cpu') -> None:
        """
        Take over a network, and move it to a precision (fp32, bf16, fp16) and a device.

        Raises ModelError for a precision or device that is not to be had.
        """
        if precision not in PRECISIONS:
            raise ModelError(f'precision {precision!r} is unknown; use {", ".join(PRECISIONS)}')
        try:
            self._device = torch.device(device)
            self._network = network.to(self._device, PRECISIONS[precision]).eval()
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f'device {device!r} cannot be used: {reason}') from error
        self._dtype = PRECISIONS[precision]
        self.config = network.config
        self.precision = precision
        self.device = device

    @torch.inference_mode()
    def encode(self, pixels: Floats) -> Floats:
        """Turn normalised pixels [3, side, side] into embeddings [image_tokens, hidden]."""
        return _to_numpy(self._network.encode(self._to_torch(pixels)[None])[0])

    @torch.inference_mode()
    def embed(self, tokens: Sequence[int]) -> Floats:
        """Return the embeddings [T, hidden] of T token ids."""
        ids = torch.tensor(tokens, dtype=torch.int64, device=self._device)
        return _to_numpy(self._network.decoder.embed_tokens(ids))

    def new_cache(self) -> KVCache:
        """Return an empty cache for the model's context length."""
        return KVCache(self.config.text, self._dtype, self._device)

    @torch.inference_mode()
    def prefill(self, embeddings: Floats, cache: KVCache) -> Floats:
        """Append embeddings [T, hidden] to the cache; return the last one's logits [vocab]."""
        tokens, past = len(embeddings), cache.length
        if past + tokens > cache.capacity:
            raise ValueError(f'{past} + {tokens} tokens do not fit a cache of {cache.capacity}')
        positions = torch.arange(past, past + tokens, device=self._device)[None]
        mask = causal_mask(tokens, past, self._device)
        decoder = self._network.decoder
        hidden = decoder(self._to_torch(embeddings)[None], positions, mask, cache)
        return _to_numpy(decoder.lm_head(hidden[0, -1]))

    def decode(self, token: int, cache: KVCache) -> Floats:
        """Append one token to the cache; return its logits [vocab]."""
        return self.prefill(self.embed([token]), cache)

    def _to_torch(self, array: Floats) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device, self._dtype)


def _to_numpy(tensor: torch.Tensor) -> Floats:
    array: Floats = tensor.float().cpu().numpy()
    return array
