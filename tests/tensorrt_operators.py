"""TensorRT's operators for ONNX's reference, and two of ONNX's own that round elsewhere there."""

from typing import Any

import numpy as np
import torch
from onnx.reference.op_run import OpRun


class TRT_KVCacheUpdate(OpRun):  # noqa: N801 (named as the operator is)
    """Write rows into a cache, sequence by sequence, from an index on."""

    op_domain = 'trt'

    def _run(self, cache: Any, update: Any, write_indices: Any) -> tuple[Any]:
        cache = cache.copy()
        for row, start in enumerate(write_indices):
            cache[row, :, start : start + update.shape[2]] = update[row]
        return (cache,)


class TRT_Attention(OpRun):  # noqa: N801 (named as the operator is)
    """Unscaled attention to those of the first `lengths` places that a bias does not hide."""

    op_domain = 'trt'

    def _run(
        self, q: Any, k: Any, v: Any, bias: Any, _: Any, lengths: Any, causal_kind: str = ''
    ) -> tuple[Any]:
        assert causal_kind == 'none'
        scores = q.astype(np.float32) @ k.astype(np.float32).swapaxes(2, 3)
        scores += bias.astype(np.float32)
        scores[..., int(lengths[0]) :] = -np.inf
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return ((shares @ v.astype(np.float32)).astype(q.dtype),)


class Gelu(OpRun):
    """Computed in fp32, as on every GPU; ONNX's own rounds every step within to the input's."""

    op_domain = ''

    def _run(self, x: Any, approximate: str = '') -> tuple[Any]:
        wide = torch.from_numpy(x.astype(np.float32))
        return (torch.nn.functional.gelu(wide, approximate=approximate).numpy().astype(x.dtype),)


class LayerNormalization(OpRun):
    """Computed in fp32, as the graph asks for and ONNX's own does not."""

    op_domain = ''

    def _run(
        self,
        x: Any,
        scale: Any,
        bias: Any,
        axis: int = -1,
        epsilon: float = 0,
        stash_type: int = 0,
    ) -> tuple[Any]:
        assert (axis, stash_type) == (-1, 1)
        wide = (torch.from_numpy(array.astype(np.float32)) for array in (x, scale, bias))
        x32, scale32, bias32 = wide
        normed = torch.nn.functional.layer_norm(x32, scale.shape, scale32, bias32, epsilon)
        return (normed.numpy().astype(x.dtype),)


OPERATORS = [Gelu, LayerNormalization, TRT_Attention, TRT_KVCacheUpdate]
