"""The network as OpenVINO's graphs, the decoder's cache in the form that OpenVINO runs fast."""

from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as opset
from openvino._offline_transformations import apply_make_stateful_transformation
from openvino.frontend.pytorch.patch_model import __make_16bit_traceable as keep_bf16_weights
from torch import Tensor, nn

from ros2_llava_phi.engine.onnx_graphs import OnnxVision
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


class StatefulAttention:
    """Attention (see network.py) to the keys and values of `past`, joined by new ones."""

    def __init__(
        self, config: TextConfig, positions: Tensor, mask: Tensor, beams: Tensor, past: Any
    ) -> None:
        """
        Prepare tokens at `positions` [1, T].

        mask: added to the products, [1, 1, T, S]. beams: which sequences go on, int32 [1].
        past: keys of each layer, then values, [1, H, S - T, head_dim].
        """
        self._heads, self._layers = config.heads, config.layers
        self._rotation = rotary(positions, config.rotary_dim, config.rope_theta)
        self._mask, self._beams, self._past = mask, beams, past
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See Attention."""
        q, k, v = (split_heads(x, self._heads) for x in (q, k, v))
        q, k = rotate(q, self._rotation), rotate(k, self._rotation)
        k, v = self._joined(layer, k), self._joined(self._layers + layer, v)
        self.keys.append(k)
        self.values.append(v)
        return merge_heads(attend(q, k, v, self._mask))

    def _joined(self, place: int, new: Tensor) -> Tensor:
        # Without the choice of sequences, OpenVINO does not see that this is a cache.
        return torch.cat([self._past[place].index_select(0, self._beams), new], dim=-2)


class StatefulDecoder(nn.Module):
    """The decoder with its cache as inputs and outputs, which become state."""

    def __init__(self, decoder: Decoder) -> None:
        """Wrap a decoder."""
        super().__init__()
        self.decoder = decoder

    def forward(
        self, embeddings: Tensor, positions: Tensor, mask: Tensor, beams: Tensor, *past: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the logits of the last of the embeddings [1, T, D], and the longer cache."""
        attention = StatefulAttention(self.decoder.config, positions, mask, beams, past)
        hidden = self.decoder.blocks(embeddings, attention)
        logits = self.decoder.lm_head(hidden[:, -1:])[:, 0]
        return (logits, *attention.keys, *attention.values)


def vision_graph(network: LlavaPhi) -> Any:
    """Return the graph of vision tower and projector: pixels [1, 3, side, side] in."""
    side = network.config.vision.image_size
    pixels = torch.zeros(1, 3, side, side)
    vision = OnnxVision(network).float().eval()
    return openvino.convert_model(vision, example_input=pixels, input=list(pixels.shape))


def decoder_graph(decoder: Decoder) -> Any:
    """Return the graph of a decoder in bf16, as StatefulDecoder has it but for the cache."""
    config = decoder.config
    caches = [f'{kind}.{i}' for kind in ('keys', 'values') for i in range(config.layers)]
    past = torch.zeros(1, config.heads, 3, config.head_dim)
    example = {
        'embeddings': torch.zeros(1, 2, config.hidden_size),
        'positions': torch.arange(3, 5)[None],
        'mask': torch.zeros(1, 1, 2, 5),
        'beams': torch.zeros(1, dtype=torch.int32),
    }
    shapes: dict[str, list[int]] = {
        'embeddings': [1, -1, config.hidden_size],
        'positions': [1, -1],
        'mask': [1, 1, -1, -1],
        'beams': [-1],
        **{name: [1, config.heads, -1, config.head_dim] for name in caches},
    }
    stateful = StatefulDecoder(decoder).eval()
    keep_bf16_weights(stateful)
    inputs = (*example.values(), *(past.clone() for _ in caches))
    with torch.no_grad():
        graph = openvino.convert_model(stateful, example_input=inputs)
    for place, name in zip(graph.inputs, shapes, strict=True):
        place.get_tensor().set_names({name})
    for place, name in zip(graph.outputs, ['logits', *caches], strict=True):
        place.get_tensor().set_names({name if name == 'logits' else f'new_{name}'})
    graph.reshape({name: openvino.PartialShape(shape) for name, shape in shapes.items()})
    apply_make_stateful_transformation(graph, {name: f'new_{name}' for name in caches})
    # A state that nothing begins is refused.
    for place in graph.get_ops():
        if place.get_type_name() == 'ReadValue':
            empty = np.array([1, config.heads, 0, config.head_dim])
            place.set_arguments([opset.broadcast(opset.constant(np.float32(0)), empty)])
    graph.validate_nodes_and_infer_types()
    return graph
