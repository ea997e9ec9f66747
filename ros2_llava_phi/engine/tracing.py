"""From the network's code to a graph without weights, in the dialect of one engine."""

import logging
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.network import LlavaPhi

HEAD = 'decoder.lm_head'


@dataclass(frozen=True)
class Graph:
    """
    A graph without weights.

    file, weights: where it goes, and where its weights go.
    bits_of: the bits of every linear layer that it may hold, by path; None for no integers.
    block: how many inputs share a scale, from the bits and the number of inputs of a layer.
    """

    file: str
    weights: str
    model: ir.Model
    bits_of: dict[str, int | None]
    block: Callable[[int, int], int]


@dataclass(frozen=True)
class Dialect:
    """
    What an engine reads.

    bits: of the linear layers with which the decoder decodes, by precision; None where they are
    no integers.
    block: as a Graph has it, for decoding.
    trace: returns the graphs of a network in a precision. Raises ModelError if they would not do.
    """

    engine: str
    bits: dict[str, int | None]
    block: Callable[[int, int], int]
    trace: Callable[[ModelConfig, str], list[Graph]]


def linear_bits(network: LlavaPhi, bits: int | None) -> dict[str, int | None]:
    """Return the bits of every linear layer by its path; the head and the tower keep 8 of 4."""
    return {
        path: 8 if bits == 4 and (path == HEAD or not path.startswith('decoder.')) else bits
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear)
    }


def replace_linears(
    network: LlavaPhi,
    bits_of: dict[str, int | None],
    replacement: Callable[[nn.Linear, int | None], nn.Module],
) -> None:
    """Put a dialect's layers in the place of the linear ones."""
    for path, bits in bits_of.items():
        parent = network.get_submodule(path.rpartition('.')[0])
        linear = network.get_submodule(path)
        assert isinstance(linear, nn.Linear)
        parent.register_module(path.rpartition('.')[2], replacement(linear, bits))


def trace(
    module: nn.Module,
    inputs: dict[str, Any],
    outputs: Iterable[str],
    shapes: dict[str, Any] | None,
    opset: int,
) -> ir.Model:
    """
    Return what a module does to fake inputs, as a graph.

    Inputs that are lists come apart: `keys` to keys.0, keys.1 and so on.
    shapes: the dynamic dimensions of the inputs; None if there are none.
    """
    # PyTorch's, of its own names and parts.
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            module.eval(),
            kwargs=inputs,
            output_names=list(outputs),
            opset_version=opset,
            dynamic_shapes=shapes,
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    assert program is not None
    names = [
        name
        for key, value in inputs.items()
        for name in (
            [f'{key}.{i}' for i in range(len(value))] if isinstance(value, list) else [key]
        )
    ]
    for place, name in zip(program.model.graph.inputs, names, strict=True):
        place.name = name
    return program.model
