"""
Export a checkpoint for an engine that needs no PyTorch: graphs, their weights, embeddings.

The network is traced without weights; these are converted one by one while they are written, so
that memory peaks at the checkpoint's own size and one tensor; calibrated, at a byte more for every
weight of the decoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from onnx_ir.external_data import CallbackInfo
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from onnxscript.optimizer import optimize_ir
from torch import Tensor, nn

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.atomic import new_folder
from ros2_llava_phi.model.config import write_config
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE, load_tokenizer
from ros2_llava_phi.model.weights import Checkpoint

from .engine import Progress
from .exported import EMBEDDINGS, write_manifest
from .golden import GOLDEN, record
from .gptq import Prompt, calibrate
from .onnx_graphs import ONNXRUNTIME
from .quantise import QuantisedWeight, quantise
from .tensorrt_graphs import TENSORRT
from .torch_engine import TorchEngine
from .tracing import Dialect, Graph, linear_bits

DIALECTS = {dialect.engine: dialect for dialect in (ONNXRUNTIME, TENSORRT)}
FLOATS: dict[ir.DataType, Any] = {
    ir.DataType.FLOAT: np.float32,
    ir.DataType.FLOAT16: np.float16,
    ir.DataType.BFLOAT16: ml_dtypes.bfloat16,
}


@dataclass(frozen=True)
class Loss:
    """
    What rounding to integers cost.

    weights: how far it moved those of a graph, as a share of their size (rms), in the graph that
    lost most; 0 without integers.
    logits: see Calibrated.error; None where nothing was calibrated.
    """

    weights: float
    logits: float | None = None


def export(
    checkpoint: Checkpoint,
    out: Path,
    name: str,
    precision: str,
    engine: str = ONNXRUNTIME.engine,
    on_step: Progress = lambda what, done, total: None,
    prompts: Sequence[Prompt] = (),
) -> Loss:
    """
    Write an exported model into a new folder, under a manifest that names what it came from.

    name: what to call the model. precision: one that the engine has, see DIALECTS.
    on_step: hears what is being done, and how many of how many steps of it are.
    prompts: for 4 bits, what to calibrate the rounding with (see calibrate); plain without.

    Raises ModelError if the engine lacks the precision, there are prompts but too few or for
    another precision, or the checkpoint cannot be read, does not fit or holds NaN or infinity, and
    FileError if the folder is not empty or cannot be written. What was begun is removed then.
    """
    dialect = DIALECTS[engine]
    if precision not in dialect.bits:
        raise ModelError(
            f'precision {precision!r} is unknown to {engine}; use {", ".join(dialect.bits)}'
        )
    if prompts and dialect.bits[precision] != 4:
        raise ModelError(f'only 4 bits are calibrated, not {precision}')
    with new_folder(out) as folder:
        return _write(checkpoint, folder, name, precision, dialect, on_step, prompts)


def _write(
    checkpoint: Checkpoint,
    out: Path,
    name: str,
    precision: str,
    dialect: Dialect,
    on_step: Progress,
    prompts: Sequence[Prompt],
) -> Loss:
    config, network = checkpoint.config, checkpoint.read(dtype=None)
    tokenizer = load_tokenizer(checkpoint.tokenizer_folder, config.text.vocab_size)
    weights = dict(network.named_parameters())
    _refuse_what_is_no_number(checkpoint, weights)
    graphs = dialect.trace(config, precision)
    calibrated = None
    if prompts:
        bits_of = linear_bits(network, dialect.bits[precision])
        calibrated = calibrate(
            network, tokenizer, prompts, bits_of, dialect.block, partial(on_step, 'calibrating')
        )
    errors = []
    written: dict[str, dict[str, ir.TensorProtocol | None]] = {}
    for graph in graphs:
        shared = written.get(graph.weights)
        rounding = _Rounding(weights, graph, calibrated.weights if calibrated else {})
        fill(graph.model, weights, rounding, shared)
        optimize_ir(graph.model)
        # Stack traces, with the paths of whoever exports.
        ClearMetadataAndDocStringPass()(graph.model)
        if shared is not None:
            ir.save(graph.model, out / graph.file)
            continue

        def hear(_: ir.TensorProtocol, info: CallbackInfo, file: str = graph.file) -> None:
            on_step(f'writing {file}', info.index + 1, info.total)

        ir.save(graph.model, out / graph.file, external_data=graph.weights, callback=hear)
        initializers = ir.load(out / graph.file).graph.initializers
        written[graph.weights] = {key: place.const_value for key, place in initializers.items()}
        errors.append(rounding.error)
    np.save(out / EMBEDDINGS, _table(network.decoder.embed_tokens.weight, precision))
    tokenizer.encode_special_tokens = False
    (out / TOKENIZER_FILE).write_text(tokenizer.to_str(pretty=True))
    write_config(config, out)
    if dialect is TENSORRT:
        # After all else is written, since it may change the weights' type.
        stored = network.decoder.embed_tokens.weight.dtype
        reference = TorchEngine(network, 'fp32' if stored == torch.float32 else 'bf16')
        record(reference, out / GOLDEN)
    # Last, so that what was interrupted is not taken for whole.
    write_manifest(out, name, checkpoint.files, dialect.engine, precision)
    return Loss(max(errors), calibrated.error if calibrated else None)


def _refuse_what_is_no_number(checkpoint: Checkpoint, weights: dict[str, nn.Parameter]) -> None:
    for name, weight in weights.items():
        # The smallest and largest are NaN if any is; found many times faster than by isfinite.
        if not torch.stack(weight.detach().aminmax()).isfinite().all():
            stored = checkpoint.layout.name_of(name)
            raise ModelError(f'{checkpoint.folder}: tensor {stored} holds NaN or infinity')


def _table(weight: Tensor, precision: str) -> NDArray[Any]:
    """Return the embeddings in fp16, where neither precision nor range asks for fp32."""
    table = _to_numpy(weight)
    with np.errstate(over='ignore'):
        half = table.astype(np.float16)
    return half if precision != 'fp32' and np.isfinite(half).all() else table


def fill(
    model: ir.Model,
    weights: dict[str, nn.Parameter],
    rounding: '_Rounding',
    written: dict[str, ir.TensorProtocol | None] | None,
) -> None:
    """
    Give the graph's initializers their values, each converted when it is written.

    written: those of another graph with the same weights, which has been saved before. Of equal
    ones that graph may have kept one only.
    """
    for name, value in model.graph.initializers.items():
        path, _, kind = name.rpartition('.')
        traced = value.const_value
        assert traced is not None and value.shape is not None
        if kind == 'integers' and rounding.bits_of[path] == 4:
            value.dtype = ir.DataType.INT4
        if written is not None and name in written:
            value.const_value = written[name]
            continue
        dtype = value.dtype or traced.dtype

        def convert(
            name: str = name, path: str = path, kind: str = kind, dtype: ir.DataType = dtype
        ) -> ir.TensorProtocol:
            if kind == 'transposed':
                return _floats(f'{path}.weight', _to_numpy(weights[f'{path}.weight']).T, dtype)
            if kind == 'packed':
                return ir.Tensor(rounding.of(path).packed())
            if kind == 'scales':
                return ir.Tensor(rounding.of(path).scales)
            if kind == 'integers':
                return _integers(rounding.of(path).transposed(), dtype)
            if kind == 'scale':
                scales = rounding.of(path).scales
                return _floats(name, scales[:, 0] if scales.shape[1] == 1 else scales.T, dtype)
            return _floats(name, _to_numpy(weights[name]), dtype)

        value.const_value = ir.LazyTensor(convert, dtype=dtype, shape=value.shape, name=name)


def _floats(name: str, array: NDArray[np.float32], dtype: ir.DataType) -> ir.TensorProtocol:
    """Return an array in a floating-point type; raises ModelError if it exceeds its range."""
    with np.errstate(over='ignore'):
        converted = np.ascontiguousarray(array).astype(FLOATS[dtype])
    if dtype == ir.DataType.FLOAT16 and np.isinf(converted).any() and np.isfinite(array).all():
        raise ModelError(f"{name} exceeds fp16's range; use bf16")
    return ir.Tensor(converted)


def _integers(array: NDArray[np.int8], dtype: ir.DataType) -> ir.TensorProtocol:
    """Return integers [in, out]; of two with 4 bits in a byte, the first is the low one."""
    if dtype != ir.DataType.INT4:
        return ir.Tensor(array)
    nibbles = array.ravel().view(np.uint8) & 15
    nibbles = np.pad(nibbles, (0, nibbles.size % 2))
    packed = nibbles[0::2] | (nibbles[1::2] << 4)
    return ir.PackedTensor(packed, dtype, shape=array.shape)


class _Rounding:
    """Has a layer's integers and scales: rounded before, or when asked for; keeps the last one."""

    def __init__(
        self,
        weights: dict[str, nn.Parameter],
        graph: Graph,
        rounded: Mapping[str, QuantisedWeight],
    ) -> None:
        self.bits_of = graph.bits_of
        self._weights = weights
        self._block = graph.block
        self._rounded = rounded
        self._last: tuple[str, QuantisedWeight] | None = None
        self._squares: dict[str, tuple[float, float]] = {}

    @property
    def error(self) -> float:
        """Return the root mean square error of the layers so far, relative to their weights'."""
        errors, sizes = (
            zip(*self._squares.values(), strict=True) if self._squares else ((0,), (1,))
        )
        return float((sum(errors) / sum(sizes)) ** 0.5)

    def of(self, path: str) -> QuantisedWeight:
        if self._last is None or self._last[0] != path:
            bits = self.bits_of[path]
            assert bits is not None
            weight = _to_numpy(self._weights[f'{path}.weight'])
            rounded = self._rounded.get(path)
            if rounded is None or rounded.bits != bits:
                rounded = quantise(weight, bits, self._block(bits, weight.shape[1]))
            self._last = path, rounded
            wrong = rounded.dequantised() - weight
            self._squares[path] = float(np.square(wrong).sum()), float(np.square(weight).sum())
        return self._last[1]


def _to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().numpy()
    return array
