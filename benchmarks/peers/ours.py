"""Our engine on ONNX Runtime, as the package has it."""

from pathlib import Path

from ros2_llava_phi.engine.exported import DECODER, WEIGHTS, read_manifest
from ros2_llava_phi.engine.onnx_engine import OnnxEngine

from .workload import THREADS


def write(checkpoint: Path, out: Path, precision: str) -> None:
    """See Library."""
    # Here, because PyTorch is not to count as memory of the engine.
    from ros2_llava_phi.engine.export import export
    from ros2_llava_phi.model.checkpoint import open_checkpoint

    export(open_checkpoint(checkpoint), out, 'benchmark', precision)


def load(checkpoint: Path, folder: Path, precision: str) -> OnnxEngine:
    """See Library."""
    return OnnxEngine(folder, read_manifest(folder), THREADS)


def streamed(checkpoint: Path, folder: Path, precision: str) -> int:
    """See Library."""
    return (folder / WEIGHTS[DECODER]).stat().st_size
