"""
The network in the dialect that ONNX Runtime runs fast, for tracing only.

Linear layers become MatMul or MatMulNBits, the decoder's attention GroupQueryAttention, which
reads and writes a cache of fixed capacity in place. All else is the network's own code.

MatMulNBits is fast for one token, when all time goes into reading weights. Many tokens are
multiplied nearly twice as fast in integers, by MatMulIntegerToFloat: int8 and mixed have second
graphs of tower and decoder for them, with weights of their own.
Operators: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.model.config import ModelConfig, TextConfig
from ros2_llava_phi.model.network import Decoder, LlavaPhi, pool_patches, rotary, rotate

from .exported import DECODER, PREFILL, VISION, VISION_INTEGERS, WEIGHTS, WITH_INTEGERS
from .quantise import block_size
from .tracing import Dialect, Graph, linear_bits, replace_linears, trace

# How MatMulNBits multiplies: with activations rounded to 8 bits, block by block.
ACCURACY_LEVEL = 4
BITS: dict[str, int | None] = {'fp32': None, 'int8': 8, 'int4': 4, 'mixed': 4}
OPSET = 21
HEAD_UNIT = 8  # GroupQueryAttention takes heads of a multiple of it
LARGEST = 127  # of the integers to which IntegerLinear rounds activations


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


class IntegerLinear(nn.Module):
    """A linear layer that multiplies integers of 8 bits: each token by its own scale."""

    integers: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        """Take a linear layer's place; the weights are filled in after tracing."""
        super().__init__()
        shape = linear.in_features, linear.out_features
        self.register_buffer('integers', torch.empty(shape, dtype=torch.int8))
        self.register_buffer('scale', torch.empty(linear.out_features))
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, in] to [B, T, out]."""
        largest = x.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny * LARGEST)
        grid = largest / LARGEST
        # Unsigned, since that times signed weights is what processors have an instruction for.
        zero = torch.full((), LARGEST + 1, dtype=torch.uint8)
        one = torch.ones(())
        rounded = torch.onnx.ops.symbolic(
            '::QuantizeLinear', (x / grid, one, zero), dtype=torch.uint8, shape=x.shape
        )
        product = torch.onnx.ops.symbolic(
            'com.microsoft::MatMulIntegerToFloat',
            (rounded, self.integers, one, self.scale, zero),
            dtype=x.dtype,
            shape=(*x.shape[:-1], len(self.scale)),
            version=1,
        )
        return product * grid + self.bias


class OnnxAttention:
    """Attention (see network.py) by ONNX Runtime's operator, with its cache."""

    def __init__(
        self,
        config: TextConfig,
        positions: Tensor,
        bias: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
    ) -> None:
        """
        Prepare tokens at positions [1, T], the last of S in the caches.

        bias: what is added to products of queries and keys, [1, 1, T, S].
        keys, values: caches by layer, [1, H, capacity, head_dim].
        """
        self._heads = config.heads
        cos, sin = rotary(positions, config.rotary_dim, config.rope_theta)
        self._rotation = cos.transpose(1, 2), sin.transpose(1, 2)
        self._bias = bias
        # Shapes are no tensors in PyTorch: a sum over one that is all ones is.
        self._total = torch.ones_like(bias[0, 0, 0], dtype=torch.int32).sum(dtype=torch.int32)
        self._last = (self._total - 1)[None]
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
            (q, k, v, key, value, self._last, self._total, None, None, None, self._bias),
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
        self,
        embeddings: Tensor,
        positions: Tensor,
        bias: Tensor,
        last: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """
        Return the logits [N, vocab] of the tokens `last`, int64 [N], and the caches by layer.

        embeddings: [1, T, D]; positions: int64 [1, T]; bias: [1, 1, T, S], zero where a token
        may look, else minus infinity, and S the tokens in the caches with these; keys, values: by
        layer, [1, H, capacity, head_dim].
        """
        attention = OnnxAttention(self.decoder.config, positions, bias, keys, values)
        hidden = self.decoder.blocks(embeddings, attention)
        logits = self.decoder.lm_head(hidden[:, last])[0]
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
    """
    Return the graphs of vision tower with projector and of decoder, weights left out.

    Raises ModelError if the operators do not take the sizes of the model.
    """
    if config.text.head_dim % HEAD_UNIT:
        raise ModelError(
            f'ONNX Runtime needs a head size that is a multiple of {HEAD_UNIT}, not '
            f'{config.text.head_dim}; use the engine torch'
        )
    with FakeTensorMode():
        network = LlavaPhi(config)
        bits_of = linear_bits(network, BITS[precision])
        replace_linears(network, bits_of, _by_blocks)
        graphs = [
            Graph(VISION, WEIGHTS[VISION], _trace_vision(network), bits_of, _block),
            Graph(DECODER, WEIGHTS[DECODER], _trace_decoder(network.decoder), bits_of, _block),
        ]
        if precision in WITH_INTEGERS:
            network = LlavaPhi(config)
            bits_of = linear_bits(network, 8)
            replace_linears(network, bits_of, lambda linear, _: IntegerLinear(linear))
            tower, decoder = _trace_vision(network), _trace_decoder(network.decoder)
            graphs += [
                Graph(VISION_INTEGERS, WEIGHTS[VISION_INTEGERS], tower, bits_of, _all_inputs),
                Graph(PREFILL, WEIGHTS[PREFILL], decoder, bits_of, _all_inputs),
            ]
    return graphs


def _by_blocks(linear: nn.Linear, bits: int | None) -> nn.Module:
    return QuantisedLinear(linear, bits) if bits else TransposedLinear(linear)


def _block(bits: int, inputs: int) -> int:
    return block_size(inputs)


def _all_inputs(bits: int, inputs: int) -> int:
    return inputs


def _trace_vision(network: LlavaPhi) -> ir.Model:
    pixels = torch.empty(1, 3, *2 * [network.config.vision.image_size])
    return trace(OnnxVision(network), {'pixels': pixels}, ['embeddings'], None, OPSET)


def _trace_decoder(decoder: Decoder) -> ir.Model:
    text = decoder.config
    layers = range(text.layers)
    place = (1, text.heads, text.context_length, text.head_dim)
    inputs = {
        'embeddings': torch.empty(1, 7, text.hidden_size),
        'positions': torch.empty(1, 7, dtype=torch.int64),
        'bias': torch.empty(1, 1, 7, 11),
        'last': torch.empty(3, dtype=torch.int64),
        # Each a tensor of its own, or they would be taken for one and the same.
        'keys': [torch.empty(place) for _ in layers],
        'values': [torch.empty(place) for _ in layers],
    }
    outputs = ['logits', *(f'new_keys.{i}' for i in layers)]
    outputs += [f'new_values.{i}' for i in layers]
    fixed = [None] * text.layers
    tokens, sequences = torch.export.Dim('tokens'), torch.export.Dim('sequences')
    shapes = {
        'embeddings': {1: tokens},
        'positions': {1: tokens},
        'bias': {2: tokens, 3: torch.export.Dim('total')},
        'last': {0: sequences},
        'keys': fixed,
        'values': fixed,
    }
    return trace(OnnxDecoder(decoder), inputs, outputs, shapes, OPSET)


ONNXRUNTIME = Dialect('onnxruntime', BITS, _block, trace_graphs)
