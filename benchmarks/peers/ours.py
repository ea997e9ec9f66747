"""Our engine on ONNX Runtime, as the package has it."""

from functools import partial
from pathlib import Path
from unittest.mock import patch

import onnxruntime as ort

from ros2_llava_phi.engine.exported import DECODER, WEIGHTS, read_manifest
from ros2_llava_phi.engine.onnx_engine import OnnxEngine

from .workload import THREADS, cores


def write(checkpoint: Path, out: Path, precision: str) -> None:
    """See Library."""
    # Here, because PyTorch is not to count as memory of the engine.
    from ros2_llava_phi.engine.export import export
    from ros2_llava_phi.model.checkpoint import open_checkpoint

    export(open_checkpoint(checkpoint), out, 'benchmark', precision)


def load(checkpoint: Path, folder: Path, precision: str) -> OnnxEngine:
    """See Library."""
    if len(cores()) <= THREADS:
        return OnnxEngine(folder, read_manifest(folder))
    # The engine takes all cores there are, and even those that the process is kept from.
    with patch.object(ort, 'SessionOptions', partial(_options, ort.SessionOptions)):
        return OnnxEngine(folder, read_manifest(folder))


def streamed(checkpoint: Path, folder: Path, precision: str) -> int:
    """See Library."""
    return (folder / WEIGHTS[DECODER]).stat().st_size


def _options(kind: type[ort.SessionOptions]) -> ort.SessionOptions:
    options = kind()
    options.intra_op_num_threads = THREADS
    return options
