"""
The network in the dialect that TensorRT compiles, for tracing only.

Linear layers multiply in the compute type, fp16 or bf16; integers are dequantised to it. The core
of the decoder's attention and its cache are bf16 throughout, since Phi-2's products of queries
and keys exceed fp16's range. There are two such cores: NativeAttention asks for TensorRT's own
layers, PlainAttention needs none of them. All else is the network's own code.

Operators: https://github.com/onnx/onnx-tensorrt, docs/operators.md and TensorRT's custom ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.model.config import ModelConfig, TextConfig
from ros2_llava_phi.model.network import (
    Attention,
    Decoder,
    LlavaPhi,
    merge_heads,
    rotary,
    rotate,
    split_heads,
)

from .branches import MOST_BRANCHES
from .exported import DECODER, PLAIN_DECODER, VISION, WEIGHTS
from .onnx_graphs import OnnxVision, TransposedLinear
from .quantise import block_size
from .tracing import Dialect, Graph, linear_bits, replace_linears, trace

CACHE_TYPE = torch.bfloat16
BITS: dict[str, int | None] = {'fp16': None, 'bf16': None, 'int8': 8, 'int4': 4}
# The first with blocks of 4 bits, and the first with rotary embeddings.
PLAIN_OPSET, NATIVE_OPSET = 21, 23


class DequantisedLinear(nn.Module):
    """A linear layer with weights of 4 bits in blocks, or of 8 bits with a scale an output."""

    integers: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear, bits: int) -> None:
        """Take a linear layer's place; the weights are filled in after tracing."""
        super().__init__()
        inputs, outputs = linear.in_features, linear.out_features
        self.bits = bits
        self.block = block_size(inputs)
        # PyTorch has no 4 bits: their type is put right in the graph.
        self.register_buffer('integers', torch.empty(inputs, outputs, dtype=torch.int8))
        shape = (inputs // self.block, outputs) if bits == 4 else (outputs,)
        self.register_buffer('scale', torch.empty(shape, dtype=linear.weight.dtype))
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, in] to [B, T, out]."""
        blocks: dict[str, Any] = {'axis': 0, 'block_size': self.block}
        weight = torch.onnx.ops.symbolic(
            '::DequantizeLinear',
            (self.integers, self.scale),
            blocks if self.bits == 4 else {'axis': 1},
            dtype=x.dtype,
            shape=self.integers.shape,
        )
        return x @ weight + self.bias


@dataclass(frozen=True)
class Appended:
    """
    Tokens that are written into a cache behind `past` [1], int32, others.

    positions: of each in its own sequence, int32 [1, T].
    bias: bf16 [1, 1, T, capacity], zero where a token may look, else far below zero.
    keys, values: caches by layer, bf16, in the layout of the core.
    new_keys, new_values: what the core puts out for them, layer by layer.
    """

    past: Tensor
    positions: Tensor
    bias: Tensor
    keys: list[Tensor]
    values: list[Tensor]
    new_keys: list[Tensor] = field(default_factory=list)
    new_values: list[Tensor] = field(default_factory=list)


Core = Callable[[TextConfig, Appended], Attention]


class NativeAttention:
    """
    Attention by TensorRT's layers: rotary embedding, cache update in place, fused attention.

    Caches are [1, H, capacity, head_dim]; those put out are to lie where those put in do.
    """

    def __init__(self, config: TextConfig, tokens: Appended) -> None:
        """Prepare what all layers share."""
        self._config = config
        every = torch.arange(config.context_length)[None]
        cos, sin = rotary(every, config.rotary_dim, config.rope_theta)
        half = config.rotary_dim // 2
        self._cos, self._sin = cos[0, 0, :, :half], sin[0, 0, :, :half]
        self._positions = tokens.positions.long()
        self._lengths = tokens.past + tokens.positions.shape[1]
        self._tokens = tokens

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See Attention."""
        queries, keys, values = (split_heads(x, self._config.heads) for x in (q, k, v))
        # The fused layer does not scale.
        queries = self._rotate(queries.float()) * self._config.head_dim**-0.5
        keys = self._rotate(keys.float())
        key = self._update(self._tokens.keys[layer], keys.to(CACHE_TYPE))
        value = self._update(self._tokens.values[layer], values.to(CACHE_TYPE))
        self._tokens.new_keys.append(key)
        self._tokens.new_values.append(value)
        attended = torch.onnx.ops.symbolic(
            'trt::TRT_Attention',
            (queries.to(CACHE_TYPE), key, value, self._tokens.bias, None, self._lengths),
            {'causal_kind': 'none'},
            dtype=CACHE_TYPE,
            shape=queries.shape,
            version=1,
        )
        return merge_heads(attended).to(q.dtype)

    def _rotate(self, x: Tensor) -> Tensor:
        return torch.onnx.ops.symbolic(
            '::RotaryEmbedding',
            (x, self._cos, self._sin, self._positions),
            {'rotary_embedding_dim': self._config.rotary_dim},
            dtype=x.dtype,
            shape=x.shape,
        )

    def _update(self, cache: Tensor, new: Tensor) -> Tensor:
        return torch.onnx.ops.symbolic(
            'trt::TRT_KVCacheUpdate',
            (cache, new, self._tokens.past),
            dtype=cache.dtype,
            shape=cache.shape,
            version=1,
        )


class PlainAttention:
    """
    Attention by matrix products and a softmax in fp32.

    Caches are [1, capacity, D], a row a token. Only the new rows [1, T, D] are put out: they are a
    contiguous piece of the cache, and can be written where they belong.
    """

    def __init__(self, config: TextConfig, tokens: Appended) -> None:
        """Prepare what all layers share."""
        self._config = config
        self._rotation = rotary(tokens.positions, config.rotary_dim, config.rope_theta)
        first = tokens.past.long()
        self._unwritten = torch.arange(config.context_length) >= first
        new = first + torch.arange(tokens.positions.shape[1])
        self._to_past, self._to_new = tokens.bias.float(), tokens.bias[..., new].float()
        self._tokens = tokens

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See Attention."""
        heads = self._config.heads
        queries, keys = (
            rotate(split_heads(x, heads).float(), self._rotation).to(CACHE_TYPE) for x in (q, k)
        )
        values = v.to(CACHE_TYPE)
        self._tokens.new_keys.append(merge_heads(keys))
        self._tokens.new_values.append(values)
        past_keys = split_heads(self._tokens.keys[layer], heads)
        past_values = split_heads(self._tokens.values[layer], heads)
        scale = self._config.head_dim**-0.5
        to_past = (queries @ past_keys.transpose(2, 3)).float()
        to_new = (queries @ keys.transpose(2, 3)).float()
        scores = torch.cat(
            [
                (to_past * scale + self._to_past).masked_fill(self._unwritten, float('-inf')),
                to_new * scale + self._to_new,
            ],
            dim=-1,
        )
        shares = scores.softmax(-1).to(CACHE_TYPE)
        capacity = past_keys.shape[2]
        attended = shares[..., :capacity] @ past_values
        attended = attended + shares[..., capacity:] @ split_heads(values, heads)
        return merge_heads(attended).to(q.dtype)


class TensorrtDecoder(nn.Module):
    """The decoder as a graph: embeddings and caches in, logits of up to eight sequences out."""

    def __init__(self, decoder: Decoder, core: Core) -> None:
        """Wrap a decoder with one of the two cores."""
        super().__init__()
        self.decoder = decoder
        self.core = core

    def forward(
        self,
        embeddings: Tensor,
        past: Tensor,
        positions: Tensor,
        bias: Tensor,
        last: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
    ) -> tuple[Tensor, Tensor, Tensor, list[Tensor], list[Tensor]]:
        """
        Return logits [N, vocab], likeliest tokens [N], logs of their probabilities, new caches.

        embeddings: [1, T, D] in the compute type; past, positions, bias, keys, values: see
        Appended; last: the tokens with which sequences end, whose logits are wanted, int32 [N].
        """
        tokens = Appended(past, positions, bias, keys, values)
        hidden = self.decoder.blocks(embeddings, self.core(self.decoder.config, tokens))
        logits = self.decoder.lm_head(hidden[:, last.long()])[0].float()
        likeliest = logits.argmax(-1).int()
        ratios = (logits - logits.amax(-1, keepdim=True)).exp()
        log_probabilities = -ratios.sum(-1).log()
        return logits, likeliest, log_probabilities, tokens.new_keys, tokens.new_values


def trace_graphs(config: ModelConfig, precision: str) -> list[Graph]:
    """
    Return the graphs of vision tower with projector and of both decoders, weights left out.

    Raises ModelError if the sizes of the model do not fit the precision.
    """
    kind = torch.bfloat16 if precision == 'bf16' else torch.float16
    text, side = config.text, config.vision.image_size
    with FakeTensorMode():
        network = _empty_network(config, kind)
        bits_of = linear_bits(network, BITS[precision])
        replace_linears(network, bits_of, _replacement)
        vision = trace(
            OnnxVision(network),
            {'pixels': torch.empty(1, 3, side, side, dtype=kind)},
            ['embeddings'],
            None,
            PLAIN_OPSET,
        )
        heads = (text.heads, text.context_length, text.head_dim)
        native = _trace_decoder(network.decoder, NativeAttention, heads, NATIVE_OPSET)
        rows = (text.context_length, text.hidden_size)
        plain = _trace_decoder(network.decoder, PlainAttention, rows, PLAIN_OPSET)
    return [
        Graph(VISION, WEIGHTS[VISION], vision, bits_of, _inputs_per_scale),
        Graph(DECODER, WEIGHTS[DECODER], native, bits_of, _inputs_per_scale),
        Graph(PLAIN_DECODER, WEIGHTS[DECODER], plain, bits_of, _inputs_per_scale),
    ]


def _empty_network(config: ModelConfig, kind: torch.dtype) -> LlavaPhi:
    usual = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        return LlavaPhi(config)
    finally:
        torch.set_default_dtype(usual)


def _replacement(linear: nn.Linear, bits: int | None) -> nn.Module:
    if bits is None:
        return TransposedLinear(linear)
    if bits == 4 and linear.in_features % block_size(linear.in_features):
        raise ModelError(
            f'int4 for TensorRT needs layers whose inputs are a multiple of 32, not '
            f'{linear.in_features}; use int8'
        )
    return DequantisedLinear(linear, bits)


def _trace_decoder(decoder: Decoder, core: Core, place: tuple[int, ...], opset: int) -> ir.Model:
    kind = decoder.final_layernorm.weight.dtype
    layers = range(decoder.config.layers)
    capacity = decoder.config.context_length
    inputs = {
        'embeddings': torch.empty(1, 7, decoder.config.hidden_size, dtype=kind),
        'past': torch.empty(1, dtype=torch.int32),
        'positions': torch.empty(1, 7, dtype=torch.int32),
        'bias': torch.empty(1, 1, 7, capacity, dtype=CACHE_TYPE),
        'last': torch.empty(3, dtype=torch.int32),
        # Each a tensor of its own, or they would be taken for one and the same.
        'keys': [torch.empty(1, *place, dtype=CACHE_TYPE) for _ in layers],
        'values': [torch.empty(1, *place, dtype=CACHE_TYPE) for _ in layers],
    }
    outputs = ['logits', 'tokens', 'log_probabilities', *(f'new_keys.{i}' for i in layers)]
    outputs += [f'new_values.{i}' for i in layers]
    tokens = torch.export.Dim('tokens')
    fixed = [None] * decoder.config.layers
    shapes = {
        'embeddings': {1: tokens},
        'past': None,
        'positions': {1: tokens},
        'bias': {2: tokens},
        'last': {0: torch.export.Dim('sequences', min=1, max=MOST_BRANCHES)},
        'keys': fixed,
        'values': fixed,
    }
    return trace(TensorrtDecoder(decoder, core), inputs, outputs, shapes, opset)


def _inputs_per_scale(bits: int, inputs: int) -> int:
    """TensorRT dequantises 8 bits by output only, 4 bits in blocks."""
    return inputs if bits == 8 else block_size(inputs)


TENSORRT = Dialect('tensorrt', BITS, _inputs_per_scale, trace_graphs)
