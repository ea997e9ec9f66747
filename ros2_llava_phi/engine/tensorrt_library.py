"""TensorRT, whichever kind of it is installed: what it can do, and how it compiles a graph."""

import importlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ros2_llava_phi.errors import FileError, ModelError
from ros2_llava_phi.files.atomic import write_atomically

from .branches import MOST_BRANCHES
from .engine import Progress

MODULES = ('tensorrt', 'tensorrt_rtx')
# Compute capability of the first GPUs with bf16, which all plans compute attention in.
LEAST_CAPABILITY = 80
NATIVE_OPERATORS = ('TRT_Attention', 'TRT_KVCacheUpdate', 'RotaryEmbedding')


def load_tensorrt() -> ModuleType:
    """Return TensorRT, or TensorRT-RTX where only that is; raises ModelError if there is none."""
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ModelError(
        'TensorRT is not installed: JetPack brings it for the Python of the system; on a desktop, '
        '`pip install tensorrt-rtx` or `tensorrt`'
    )


def has_native_layers(trt: ModuleType) -> bool:
    """Return whether graphs can ask for fused attention, rotary embeddings and cache updates."""
    logger = trt.Logger(trt.Logger.ERROR)
    parser = trt.OnnxParser(trt.Builder(logger).create_network(strongly_typed(trt)), logger)
    return all(parser.supports_operator(name) for name in NATIVE_OPERATORS)


def targets(trt: ModuleType) -> dict[str, object]:
    """Return what can be built for without being there, by name (sm86); empty if nothing can."""
    kinds = getattr(trt, 'ComputeCapability', None)
    if kinds is None:
        return {}
    return {
        name.lower(): kind for name, kind in kinds.__members__.items() if has_bf16(name.lower())
    }


def has_bf16(gpu: str) -> bool:
    """Return whether a GPU (sm86, or as gpu_name has it) is one that plans can run on."""
    capability = re.search(r'\bsm(\d+)$', gpu)
    return capability is not None and int(capability[1]) >= LEAST_CAPABILITY


def strongly_typed(trt: ModuleType) -> int:
    """Return the flags of a network whose types are those of the graph, as all are in 11."""
    kind = getattr(trt.NetworkDefinitionCreationFlag, 'STRONGLY_TYPED', None)
    return 0 if kind is None else 1 << int(kind)


def library_name(trt: ModuleType) -> str:
    """Return which TensorRT this is, as plans are bound to it."""
    return f'{trt.__name__} {trt.__version__}'


@dataclass(frozen=True)
class Shapes:
    """Smallest, usual and largest number of tokens; how many sequences they end is 1 to 8."""

    least: int
    usual: int
    most: int


def compile_graph(
    trt: ModuleType,
    file: Path,
    shapes: list[Shapes],
    capability: object | None = None,
    on_progress: Progress = lambda phase, done, total: None,
    timings: Path | None = None,
) -> memoryview:
    """
    Return the plan of one exported graph.

    shapes: a profile each; empty for a graph without dynamic dimensions.
    capability: of a GPU that is not there, see targets.
    timings: where how fast kernels ran is kept, so that the next build need not try them again.

    Raises ModelError with TensorRT's reason if it refuses the graph.
    """
    logger = _logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(strongly_typed(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(file)):
        reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise ModelError(f'{file}: TensorRT cannot read it: {_last(reasons + logger.errors)}')
    settings = builder.create_builder_config()
    if capability is not None:
        settings.num_compute_capabilities = 1
        settings.set_compute_capability(capability, 0)
    for profile in shapes:
        settings.add_optimization_profile(_profile(builder, network, profile))
    settings.progress_monitor = _monitor(trt, file.stem, on_progress)
    if timings is not None:
        known = timings.read_bytes() if timings.is_file() else b''
        # Not taken if it is of another GPU or version, or damaged: then all is timed anew.
        settings.set_timing_cache(settings.create_timing_cache(known), False)
    plan = builder.build_serialized_network(network, settings)
    if plan is None:
        raise ModelError(f'{file}: TensorRT cannot build it: {_last(logger.errors)}')
    if timings is not None and (cache := settings.get_timing_cache()) is not None:
        try:
            write_atomically(timings, bytes(cache.serialize()))
        except FileError as error:
            log = logging.getLogger(__name__)
            log.warning('%s; the next build tries all kernels anew', error)
    return memoryview(plan)


def _profile(builder: Any, network: Any, shapes: Shapes) -> Any:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        value = network.get_input(index)
        varies = (1, 1, MOST_BRANCHES)
        if value.name != 'last':
            varies = (shapes.least, shapes.usual, shapes.most)
        least, usual, most = (
            tuple(size if size >= 0 else each for size in value.shape) for each in varies
        )
        profile.set_shape(value.name, least, usual, most)
    return profile


def _logger(trt: ModuleType) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        """Keeps the errors, which TensorRT only logs."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

    return Logger()


def _monitor(trt: ModuleType, name: str, on_progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        """Hands on the progress of the phases that are not within another."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                self._steps[phase_name] = num_steps
                on_progress(f'{name}: {phase_name}', 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._steps:
                on_progress(f'{name}: {phase_name}', step + 1, self._steps[phase_name])
            return True

        def phase_finish(self, phase_name: str) -> None:
            if steps := self._steps.pop(phase_name, 0):
                on_progress(f'{name}: {phase_name}', steps, steps)

    return Monitor()


def _last(reasons: list[str]) -> str:
    return ' '.join(reasons[-1].split()) if reasons else 'it gives no reason'
