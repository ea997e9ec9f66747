"""
Build TensorRT's plans from an export, in a process of its own.

That process takes its memory along when it ends, and if TensorRT fails hard, only it is lost.
"""

import multiprocessing
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from ros2_llava_phi.errors import DeviceError, ModelError, NumericsError
from ros2_llava_phi.files.new_folder import new_folder
from ros2_llava_phi.files.user_cache import user_cache
from ros2_llava_phi.model.config import CONFIG_FILE, ModelConfig, read_config
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE

from .branches import MOST_BRANCHES
from .cuda import gpu_name
from .exported import DECODER, EMBEDDINGS, PLAIN_DECODER, VISION, check_files, read_manifest
from .golden import GOLDEN, check
from .plans import DECODER_PLAN, VISION_PLAN, read_plan_manifest, write_plan_manifest
from .tensorrt_engine import TensorrtEngine
from .tensorrt_library import (
    LEAST_CAPABILITY,
    has_bf16,
    has_native_layers,
    library_name,
    load_tensorrt,
    strongly_typed,
    targets,
)

USUAL_QUESTION = 64  # tokens, at most
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Shapes:
    """Smallest, usual and largest number of tokens; how many sequences they end is 1 to 8."""

    least: int
    usual: int
    most: int


def profiles(config: ModelConfig) -> list[Shapes]:
    """
    Return what the decoder's plan is tuned for: prefill, decode, and decode of questions together.

    A profile of exactly one token would make TensorRT lay out fp16 weights anew, and keep them
    twice.
    """
    most = config.text.context_length
    usual = min(config.image_tokens + USUAL_QUESTION, most)
    together = Shapes(1, MOST_BRANCHES, MOST_BRANCHES)
    return [Shapes(1, usual, most), Shapes(1, 1, 2), together]


def build(
    export: Path,
    out: Path,
    target: str = '',
    on_progress: Progress = lambda phase, done, total: None,
) -> None:
    """
    Write the plans of a folder that was exported for TensorRT into a new folder, complete to run.

    target: a compute capability such as sm86 where TensorRT can build for a GPU that is not there;
    empty is this machine's,
    whose plans are held to the logits that the export recorded.
    on_progress: hears of the phase, and how many of how many of its steps are done.

    Raises ModelError if the export is damaged or not for TensorRT, TensorRT is missing or refuses
    it, the plans compute something else, or the folder is not empty. What was begun is removed
    then, and if interrupted.
    """
    manifest = read_manifest(export)
    if manifest.engine != 'tensorrt':
        raise ModelError(f'{export} is exported for {manifest.engine}; export it for tensorrt')
    check_machine(target)
    with new_folder(out) as folder:
        build_into(folder, export, target, on_progress)


def build_into(folder: Path, export: Path, target: str, on_progress: Progress) -> None:
    """Do as `build` does, but write into a folder that is being made, for a machine that fits."""
    check_files(export, read_manifest(export).files, 'export again')
    for name in (EMBEDDINGS, TOKENIZER_FILE, CONFIG_FILE, GOLDEN):
        shutil.copyfile(export / name, folder / name)
    _in_process(export, folder, target.lower(), on_progress)


def check_machine(target: str) -> None:
    """
    Raise ModelError unless plans can be built here, before anything takes minutes.

    target: as for `build`.
    """
    trt = load_tensorrt()
    _capability(trt, target.lower())
    if not target and not has_bf16(gpu := gpu_name()):
        raise ModelError(
            f'plans need a GPU with bf16, sm{LEAST_CAPABILITY} or newer; this is {gpu}'
        )


def _in_process(export: Path, out: Path, target: str, on_progress: Progress) -> None:
    context = multiprocessing.get_context('spawn')
    hearing, telling = context.Pipe(duplex=False)
    process = context.Process(target=_build_all, args=(telling, export, out, target), daemon=True)
    error = None
    try:
        # In a thread, whose end an interrupt waits for: half started, the process would complain.
        with ThreadPoolExecutor(1) as starter:
            starter.submit(_start, process).result()
        telling.close()
        while True:
            kind, *rest = hearing.recv()
            if kind == 'error':
                error = rest[0]
            else:
                on_progress(*rest)
    except EOFError:
        process.join()
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
    if error is not None:
        raise ModelError(error)
    if process.exitcode:
        raise ModelError(
            f'TensorRT ended with code {process.exitcode} (-9 is how the system ends what takes '
            'too much memory)'
        )


def _start(process: BaseProcess) -> None:
    """Start a process that signals do not reach: whoever interrupts the command ends it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    process.start()


def _build_all(telling: Any, export: Path, out: Path, target: str) -> None:
    """Build in the process of its own, which ends with its parent; an error goes there."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        trt = load_tensorrt()
        capability = _capability(trt, target)
        config, manifest = read_config(export), read_manifest(export)
        native = has_native_layers(trt)
        decoder = DECODER if native else PLAIN_DECODER
        gpu = target or gpu_name()
        timings = None if target else _timings(library_name(trt), gpu)

        def tell(phase: str, done: int, total: int) -> None:
            _send(telling, 'progress', phase, done, total)

        for file, plan, shapes in (
            (decoder, DECODER_PLAN, profiles(config)),
            (VISION, VISION_PLAN, []),
        ):
            data = compile_graph(trt, export / file, shapes, capability, tell, timings)
            (out / plan).write_bytes(data)
        write_plan_manifest(out, manifest, library_name(trt), gpu, native)
        if not target:
            tell('check', 0, 1)
            check(TensorrtEngine(out, read_plan_manifest(out)), out / GOLDEN)
            tell('check', 1, 1)
    except (ModelError, DeviceError, NumericsError) as error:
        _send(telling, 'error', str(error))
    except OSError as error:
        _send(telling, 'error', f'{out} cannot be written: {error.strerror}')
    except Exception as error:  # whatever else TensorRT's bindings raise
        _send(telling, 'error', f'TensorRT failed: {type(error).__name__}: {error}')


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _send(telling: Any, *message: Any) -> None:
    try:
        telling.send(message)
    except BrokenPipeError:
        # The parent is gone. An exception would end in TensorRT, which goes on.
        os._exit(1)


def _timings(library: str, gpu: str) -> Path:
    return user_cache() / (re.sub(r'[^\w.]+', '-', f'timings {library} {gpu}') + '.bin')


def _capability(trt: ModuleType, target: str) -> object | None:
    if not target:
        return None
    known = targets(trt)
    if target not in known:
        can = ', '.join(known) if known else 'nothing but this machine: leave the target out'
        raise ModelError(f'{trt.__name__} cannot build for {target!r}; it can for {can}')
    return known[target]


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
        partial = timings.with_name(f'{timings.name}.{os.getpid()}')
        partial.write_bytes(cache.serialize())
        partial.replace(timings)
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
