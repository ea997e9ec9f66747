"""
Build TensorRT's plans from an export, in a process of its own; or when they are first needed.

That process takes its memory along when it ends, and if TensorRT fails hard, only it is lost.
"""

import logging
import multiprocessing
import os
import re
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock, Timeout

from ros2_llava_phi.errors import LlavaPhiError, ModelError
from ros2_llava_phi.files.atomic import new_folder, replace_folder
from ros2_llava_phi.files.hashing import files_hash
from ros2_llava_phi.files.user_cache import user_cache
from ros2_llava_phi.model.config import CONFIG_FILE, ModelConfig, read_config
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE

from .branches import MOST_BRANCHES
from .cuda import gpu_name
from .engine import Progress
from .exported import (
    DECODER,
    EMBEDDINGS,
    MANIFEST,
    PLAIN_DECODER,
    VISION,
    check_files,
    read_manifest,
)
from .golden import GOLDEN, check
from .plans import (
    DECODER_PLAN,
    VISION_PLAN,
    holds_plans,
    mismatch,
    read_plan_manifest,
    write_plan_manifest,
)
from .tensorrt_engine import TensorrtEngine
from .tensorrt_library import (
    LEAST_CAPABILITY,
    Shapes,
    compile_graph,
    has_bf16,
    has_native_layers,
    library_name,
    load_tensorrt,
    targets,
)

USUAL_QUESTION = 64  # tokens, at most
# Who hears progress hears the same again after so many seconds, and can end the build by raising.
AGAIN = 1.0


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
    empty is this machine's, whose plans are held to the logits that the export recorded.
    on_progress: hears of the phase, and how many of how many of its steps are done, at least once
    a second; what it raises ends the build.

    Raises ModelError if the export is damaged or not for TensorRT, TensorRT is missing or refuses
    it, or the plans compute something else, and FileError if the folder is not empty or cannot be
    written. What was begun is removed then, and if interrupted.
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
        heard: list[Any] = ['start', 0, 1]
        while True:
            if not hearing.poll(AGAIN):
                on_progress(*heard)
                continue
            kind, *rest = hearing.recv()
            if kind == 'error':
                error = rest[0]
            else:
                heard = rest
                on_progress(*heard)
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
    except LlavaPhiError as error:
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


def plans_of(export: Path, on_progress: Progress | None) -> Path:
    """
    Return a folder with plans of an export for this machine; build it, and log why, if need be.

    on_progress: as for `build`; None if nothing is to be built.

    Raises ModelError as `build` does, and if plans that must not be built are missing.
    """
    folder = user_cache() / 'plans' / files_hash([export / MANIFEST])
    reason = _unfit(folder)
    if not reason:
        return folder
    if on_progress is None:
        raise ModelError(
            f'{export} cannot be run without plans for this machine ({reason}); allow to build '
            'them, or use `llava-phi build`'
        )
    log = logging.getLogger(__name__)
    log.warning('building plans for TensorRT, which takes minutes: %s', reason)
    heard = ['']

    def hear(phase: str, done: int, total: int) -> None:
        if phase != heard[0]:
            heard[0] = phase
            log.info('building plans for TensorRT: %s', phase)
        on_progress(phase, done, total)

    folder.parent.mkdir(mode=0o700, exist_ok=True)
    # Two at once would spoil each other's timings; the system unlocks for one that is killed.
    with _acquired(user_cache() / 'building.lock', hear):
        if not _unfit(folder):
            return folder
        check_machine('')
        with replace_folder(folder) as unfinished:
            build_into(unfinished, export, '', hear)
    log.info('plans are built, and kept in %s', folder)
    return folder


def _acquired(path: Path, on_progress: Progress) -> AbstractContextManager[object]:
    """Wait for a lock; on_progress hears so, and what it raises ends the wait."""
    lock = FileLock(path)
    while True:
        try:
            return lock.acquire(timeout=AGAIN)
        except Timeout:
            on_progress('waiting for another build', 0, 1)


def _unfit(folder: Path) -> str:
    """Return why plans cannot be used, or '' if they can."""
    library, gpu = library_name(load_tensorrt()), gpu_name()
    if not holds_plans(folder):
        return 'there are none for this model yet'
    try:
        plans = read_plan_manifest(folder)
        if reason := mismatch(plans, library, gpu):
            return f'{folder} {reason}'
        check_files(folder, plans.files, 'they are built again')
    except ModelError as error:
        return str(error)
    return ''
