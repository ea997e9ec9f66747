"""
Export a checkpoint for ONNX Runtime: `vision.onnx`, `decoder.onnx`, the table of embeddings.

The network is traced without weights; these are converted one by one while they are written, so
that memory peaks at the checkpoint's own size and one tensor.
"""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from onnx_ir.external_data import CallbackInfo
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from onnxscript.optimizer import optimize_ir
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from ros2_llava_phi.model.config import ModelConfig, ModelError, write_config
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE, load_tokenizer
from ros2_llava_phi.model.weights import Checkpoint

from .exported import EMBEDDINGS, GRAPHS, write_manifest
from .onnx_parts import OnnxDecoder, OnnxVision, replace_linears
from .quantise import QuantisedWeight, quantise

# Bits of the linear layers; the head and what sees the picture keep 8.
BITS: dict[str, int | None] = {'fp32': None, 'int8': 8, 'int4': 4}
OPSET = 21
HEAD = 'decoder.lm_head'


def export(
    checkpoint: Checkpoint,
    out: Path,
    name: str,
    precision: str,
    on_tensor: Callable[[str, int, int], None] = lambda file, done, total: None,
) -> float:
    """
    Write an exported model into a new folder, under a manifest that names what it came from.

    Returns the error of the rounded weights as a share of their size (rms); 0 in fp32.

    name: what to call the model. precision: fp32, int8 or int4.
    on_tensor: hears of which file how many of how many tensors are written.

    Raises ModelError if the precision is unknown, the folder is not empty or cannot be written, or
    the checkpoint cannot be read. What was begun is removed then.
    """
    if precision not in BITS:
        raise ModelError(f'precision {precision!r} is unknown; use {", ".join(BITS)}')
    if out.exists() and any(out.iterdir()):
        raise ModelError(f'{out} is not empty; give a new folder')
    network = checkpoint.read(dtype=None)
    out.mkdir(parents=True, exist_ok=True)
    try:
        return _write(checkpoint, network, out, name, precision, on_tensor)
    except BaseException as error:
        shutil.rmtree(out, ignore_errors=True)
        if isinstance(error, OSError):
            raise ModelError(f'{out} cannot be written: {error}') from error
        raise


def _write(
    checkpoint: Checkpoint,
    network: LlavaPhi,
    out: Path,
    name: str,
    precision: str,
    on_tensor: Callable[[str, int, int], None],
) -> float:
    config = checkpoint.config
    tokenizer = load_tokenizer(checkpoint.tokenizer_folder, config.text.vocab_size)
    tokenizer.encode_special_tokens = False
    weights = dict(network.named_parameters())
    rounding = _Rounding(weights, linear_bits(network, precision))
    for model, file in zip(trace(config, precision), GRAPHS, strict=True):
        fill(model, weights, rounding)
        optimize_ir(model)
        # Stack traces, with the paths of whoever exports.
        ClearMetadataAndDocStringPass()(model)

        def hear(_: ir.TensorProtocol, info: CallbackInfo, file: str = file) -> None:
            on_tensor(file, info.index + 1, info.total)

        ir.save(model, out / file, external_data=GRAPHS[file], callback=hear)
    np.save(out / EMBEDDINGS, _table(network.decoder.embed_tokens.weight, precision))
    (out / TOKENIZER_FILE).write_text(tokenizer.to_str(pretty=True))
    write_config(config, out)
    # Last, so that what was interrupted is not taken for whole.
    write_manifest(out, name, checkpoint.files, precision)
    return rounding.error


def _table(weight: Tensor, precision: str) -> NDArray[Any]:
    """Return the embeddings in fp16, where neither precision nor range asks for fp32."""
    table = _to_numpy(weight)
    with np.errstate(over='ignore'):
        half = table.astype(np.float16)
    return half if precision != 'fp32' and np.isfinite(half).all() else table


def linear_bits(network: LlavaPhi, precision: str) -> dict[str, int | None]:
    """Return the bits of every linear layer by its path; None for fp32."""
    bits = BITS[precision]
    return {
        path: 8 if bits == 4 and (path == HEAD or not path.startswith('decoder.')) else bits
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear)
    }


def trace(config: ModelConfig, precision: str) -> tuple[ir.Model, ir.Model]:
    """Return the graphs of vision tower with projector and of decoder, weights left out."""
    with FakeTensorMode():
        network = LlavaPhi(config)
        replace_linears(network, linear_bits(network, precision))
        text, side = config.text, config.vision.image_size
        pixels = torch.empty(1, 3, side, side)
        vision = _trace(OnnxVision(network), {'pixels': pixels}, ['embeddings'], {})
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
        decoder = _trace(OnnxDecoder(network.decoder), inputs, outputs, shapes)
    names = [f'{kind}.{i}' for kind in ('keys', 'values') for i in layers]
    for value, name in zip(decoder.graph.inputs[2:], names, strict=True):
        value.name = name
    return vision, decoder


def _trace(
    module: nn.Module, inputs: dict[str, Any], outputs: list[str], shapes: dict[str, Any]
) -> ir.Model:
    with warnings.catch_warnings():
        # PyTorch's, of its own names and parts.
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            module.eval(),
            kwargs=inputs,
            output_names=outputs,
            opset_version=OPSET,
            dynamic_shapes=shapes or None,
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    assert program is not None
    return program.model


def fill(
    model: ir.Model,
    weights: dict[str, nn.Parameter],
    rounding: '_Rounding',
) -> None:
    """Give the graph's initializers their values, each converted when it is written."""
    for name, value in model.graph.initializers.items():
        path, _, kind = name.rpartition('.')

        def convert(name: str = name, path: str = path, kind: str = kind) -> ir.TensorProtocol:
            array: NDArray[Any]
            if kind == 'transposed':
                array = np.ascontiguousarray(_to_numpy(weights[f'{path}.weight']).T)
            elif kind == 'packed':
                array = rounding.of(path).packed()
            elif kind == 'scales':
                array = rounding.of(path).scales
            else:
                array = _to_numpy(weights[name])
            return ir.Tensor(array)

        traced = value.const_value
        assert traced is not None and value.shape is not None
        value.const_value = ir.LazyTensor(
            convert, dtype=traced.dtype, shape=value.shape, name=name
        )


class _Rounding:
    """Quantises a layer when its integers or scales are asked for, and keeps the last one."""

    def __init__(self, weights: dict[str, nn.Parameter], bits_of: dict[str, int | None]) -> None:
        self._weights = weights
        self._bits_of = bits_of
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
            bits = self._bits_of[path]
            assert bits is not None
            weight = _to_numpy(self._weights[f'{path}.weight'])
            self._last = path, quantise(weight, bits)
            wrong = self._last[1].dequantised() - weight
            self._squares[path] = float(np.square(wrong).sum()), float(np.square(weight).sum())
        return self._last[1]


def _to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().numpy()
    return array
