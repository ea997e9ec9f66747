"""
The network in the dialect that ONNX Runtime runs fast, for tracing only.

Linear layers become MatMul or MatMulNBits, the decoder's attention GroupQueryAttention, which
reads and writes a cache of fixed capacity in place. All else is the network's own code.
Operators: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from ros2_llava_phi.model.config import ModelConfig, TextConfig
from ros2_llava_phi.model.network import Decoder, LlavaPhi, pool_patches, rotary, rotate

from .exported import DECODER, VISION, WEIGHTS
from .quantise import block_size
from .tracing import Dialect, Graph, linear_bits, replace_linears, trace

# How MatMulNBits multiplies: with activations rounded to 8 bits, block by block.
ACCURACY_LEVEL = 4
BITS: dict[str, int | None] = {'fp32': None, 'int8': 8, 'int4': 4}
OPSET = 21


class TransposedLinear(nn.Module):
    """A linear layer whose weights are stored as they are multiplied, [in, out]."""

    def __init__(self, linear: nn.Linear) -> None:
        """Take a linear layer's place; the weights are filled in after tracing."""
        super().__init__()
        shape = linear.in_features, linear.out_features
        self.transposed = nn.Parameter(torch.empty(shape, dtype=linear.weight.dtype))
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, in] to [B, T, out]."""
        return x @ self.transposed + self.bias


class QuantisedLinear(nn.Module):
    """A linear layer with weights of 4 or 8 bits."""

    packed: Tensor
    scales: Tensor

    def __init__(self, linear: nn.Linear, bits: int) -> None:
        """Take a linear layer's place; the weights are filled in after tracing."""
        super().__init__()
        self.bits = bits
        self.inputs, self.outputs = linear.in_features, linear.out_features
        self.block = block_size(self.inputs)
        blocks = -(-self.inputs // self.block)
        packed = torch.empty(self.outputs, blocks, self.block * bits // 8, dtype=torch.uint8)
        self.register_buffer('packed', packed)
        self.register_buffer('scales', torch.empty(self.outputs, blocks))
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, in] to [B, T, out]."""
        product = torch.onnx.ops.symbolic(
            'com.microsoft::MatMulNBits',
            (x, self.packed, self.scales),
            {
                'K': self.inputs,
                'N': self.outputs,
                'bits': self.bits,
                'block_size': self.block,
                'accuracy_level': ACCURACY_LEVEL,
            },
            dtype=x.dtype,
            shape=(*x.shape[:-1], self.outputs),
            version=1,
        )
        return product + self.bias


class OnnxAttention:
    """Attention (see network.py) by ONNX Runtime's operator, with its cache."""

    def __init__(
        self,
        config: TextConfig,
        past: Tensor,
        tokens: int,
        keys: list[Tensor],
        values: list[Tensor],
    ) -> None:
        """
        Prepare `tokens` tokens that follow `past` [1] others.

        keys, values: caches by layer, [1, H, capacity, head_dim].
        """
        self._heads = config.heads
        positions = past[:, None] + torch.arange(tokens)
        cos, sin = rotary(positions, config.rotary_dim, config.rope_theta)
        self._rotation = cos.transpose(1, 2), sin.transpose(1, 2)
        self._last = (past + (tokens - 1)).to(torch.int32)
        self._total = (past[0] + tokens).to(torch.int32)
        self._keys, self._values = keys, values
        self.present: list[tuple[Tensor, Tensor]] = []

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See Attention."""
        q, k = (
            rotate(x.unflatten(-1, (self._heads, -1)), self._rotation).flatten(2) for x in (q, k)
        )
        key, value = self._keys[layer], self._values[layer]
        attended, *present = torch.onnx.ops.symbolic_multi_out(
            'com.microsoft::GroupQueryAttention',
            (q, k, v, key, value, self._last, self._total),
            {'num_heads': self._heads, 'kv_num_heads': self._heads},
            dtypes=(q.dtype, key.dtype, value.dtype),
            shapes=(q.shape, key.shape, value.shape),
            version=1,
        )
        self.present.append((present[0], present[1]))
        return attended


class OnnxDecoder(nn.Module):
    """The decoder as a graph: embeddings and caches in, logits and caches out."""

    def __init__(self, decoder: Decoder) -> None:
        """Wrap a decoder."""
        super().__init__()
        self.decoder = decoder

    def forward(
        self, embeddings: Tensor, past: Tensor, keys: list[Tensor], values: list[Tensor]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """
        Return the last token's logits [1, vocab], and the caches by layer.

        embeddings: [1, T, D]; past: how many tokens are in the caches, int64 [1]; keys, values:
        by layer, [1, H, capacity, head_dim].
        """
        tokens = embeddings.shape[1]
        attention = OnnxAttention(self.decoder.config, past, tokens, keys, values)
        hidden = self.decoder.blocks(embeddings, attention)
        logits = self.decoder.lm_head(hidden[:, -1:])[:, 0]
        return logits, [k for k, _ in attention.present], [v for _, v in attention.present]


class OnnxVision(nn.Module):
    """Vision tower and projector as a graph: normalised pixels in, embeddings out."""

    def __init__(self, network: LlavaPhi) -> None:
        """Wrap a network's parts, without the layer that LLaVA never uses."""
        super().__init__()
        self.vision_tower = network.vision_tower
        self.projector = network.projector
        self.pool = network.config.pool

    def forward(self, pixels: Tensor) -> Tensor:
        """Map [1, 3, side, side] to [1, image_tokens, D]."""
        features = pool_patches(self.vision_tower(pixels), self.pool)
        embeddings: Tensor = self.projector(features)
        return embeddings


def trace_graphs(config: ModelConfig, precision: str) -> list[Graph]:
    """Return the graphs of vision tower with projector and of decoder, weights left out."""
    with FakeTensorMode():
        network = LlavaPhi(config)
        replace_linears(
            network,
            linear_bits(network, BITS[precision]),
            lambda linear, bits: (
                QuantisedLinear(linear, bits) if bits else TransposedLinear(linear)
            ),
        )
        text, side = config.text, config.vision.image_size
        pixels = torch.empty(1, 3, side, side)
        vision = trace(OnnxVision(network), {'pixels': pixels}, ['embeddings'], None, OPSET)
        layers = range(text.layers)
        place = (1, text.heads, text.context_length, text.head_dim)
        inputs = {
            'embeddings': torch.empty(1, 7, text.hidden_size),
            'past': torch.empty(1, dtype=torch.int64),
            # Each a tensor of its own, or they would be taken for one and the same.
            'keys': [torch.empty(place) for _ in layers],
            'values': [torch.empty(place) for _ in layers],
        }
        outputs = ['logits', *(f'new_keys.{i}' for i in layers)]
        outputs += [f'new_values.{i}' for i in layers]
        fixed = [None] * text.layers
        shapes = {
            'embeddings': {1: torch.export.Dim('tokens')},
            'past': None,
            'keys': fixed,
            'values': fixed,
        }
        decoder = trace(OnnxDecoder(network.decoder), inputs, outputs, shapes, OPSET)
    return [Graph(VISION, WEIGHTS[VISION], vision), Graph(DECODER, WEIGHTS[DECODER], decoder)]


ONNXRUNTIME = Dialect('onnxruntime', BITS, lambda bits, inputs: block_size(inputs), trace_graphs)
