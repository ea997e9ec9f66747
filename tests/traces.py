"""
Traces of exports, each made once a test run and shared by its processes.

A trace takes seconds, and depends on what the network is built of alone: its weights are filled in
afterwards.
"""

import os
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest
import torch
from filelock import FileLock

from ros2_llava_phi.engine import onnx_graphs, tensorrt_graphs, tracing


def share_traces(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> None:
    """Have exports take what this test run has traced before."""
    folder = tmp_path_factory.getbasetemp()
    # Workers of pytest-xdist have folders of their own within that of the run.
    folder = folder.parent if 'PYTEST_XDIST_WORKER' in os.environ else folder
    kept = kept_trace(tracing.trace, folder / 'traces')
    for graphs in (onnx_graphs, tensorrt_graphs):
        patch.setattr(graphs, 'trace', kept)


def kept_trace(trace: Callable[..., ir.Model], folder: Path) -> Callable[..., ir.Model]:
    """Return `trace` (see tracing.py) with a folder in which it keeps what it has traced."""

    def kept(
        module: torch.nn.Module,
        inputs: dict[str, Any],
        outputs: Iterable[str],
        shapes: dict[str, Any] | None,
        opset: int,
    ) -> ir.Model:
        outputs = list(outputs)
        traced_from = (_structure(module), _sizes(inputs), outputs, str(shapes), opset)
        path = folder / sha256(repr(traced_from).encode()).hexdigest()
        folder.mkdir(exist_ok=True)
        with FileLock(f'{path}.lock'):
            if not path.is_file():
                path.write_bytes(_to_bytes(trace(module, inputs, outputs, shapes, opset)))
        # Anew for each export, which fills and optimises it in place.
        return ir.from_proto(onnx.ModelProto.FromString(path.read_bytes()))

    return kept


def _structure(module: torch.nn.Module) -> list[object]:
    """Return what a trace of a module depends on: what it is built of, and all settings within."""
    parts = [
        (
            name,
            type(part).__name__,
            sorted((k, repr(v)) for k, v in vars(part).items() if k[0] != '_'),
        )
        for name, part in module.named_modules()
    ]
    return [*parts, _sizes(module.state_dict())]


def _sizes(tensors: Any) -> object:
    """Return shape and type of each tensor in dicts and lists."""
    if isinstance(tensors, torch.Tensor):
        return tuple(tensors.shape), str(tensors.dtype)
    if isinstance(tensors, dict):
        return [(name, _sizes(each)) for name, each in tensors.items()]
    return [_sizes(each) for each in tensors]


def _to_bytes(model: ir.Model) -> bytes:
    """Return a graph as ONNX; of its weights, which are none yet, names, shapes and types."""
    for value in model.graph.initializers.values():
        traced = value.const_value
        assert traced is not None and value.shape is not None
        value.const_value = ir.ExternalTensor(
            'none', None, None, traced.dtype, shape=value.shape, name=value.name or ''
        )
    return ir.to_proto(model).SerializeToString()
