"""From a model's folder or name to an assistant that is ready."""

import logging
from pathlib import Path
from typing import get_args

from ros2_llava_phi.engine.engine import AnyEngine, EngineName, Precision, Progress
from ros2_llava_phi.engine.exported import Manifest, check_source, is_exported, read_manifest
from ros2_llava_phi.engine.plans import holds_plans, read_plan_manifest
from ros2_llava_phi.errors import ModelError, described
from ros2_llava_phi.files.hashing import remembered_hashes
from ros2_llava_phi.files.packaged import DATA
from ros2_llava_phi.model.tokenizer import load_tokenizer
from ros2_llava_phi.requirements import what_is_missing

from .answer import ModelIdentity
from .assistant import Assistant

ENGINES = ('auto', *get_args(EngineName))
PRECISIONS = ('auto', *get_args(Precision))
OF_EXPORTS = ('int8', 'int4', 'mixed')
# Where a checkpoint's folder may hold its export.
EXPORT_FOLDER = 'onnx'
MOST_THREADS = 1024


def find_model(model: str | Path) -> Path:
    """Return the folder of a model: a path, or the name of a packaged one; raises ModelError."""
    if not isinstance(model, (str, Path)):
        raise ModelError(
            f'a model is a folder, or the name of a packaged model, not {described(model)}'
        )
    if not str(model):
        raise ModelError('the model has no name; give a folder, or the name of a packaged model')
    try:
        for folder in (Path(model).expanduser(), DATA / model):
            if folder.is_dir():
                return folder.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f'{described(str(model))} is no path of a model: {reason}') from error
    names = sorted(path.parent.name for path in DATA.glob('*/config.json'))
    raise ModelError(
        f'there is no model folder {described(str(model))}; packaged models: {", ".join(names)}'
    )


def find_checkpoint(model: str) -> Path:
    """Return the folder of a checkpoint, found as a model is; raises ModelError if it is none."""
    folder = find_model(model)
    if is_exported(folder) or holds_plans(folder):
        raise ModelError(f'{folder} was made of a checkpoint, and is none; give that checkpoint')
    return folder


def model_name(folder: Path) -> str:
    """Return what to call the model in a folder; of a hub's snapshot, what its owner calls it."""
    if folder.parent.name == 'snapshots':
        return folder.parents[1].name.split('--')[-1]
    return folder.name


def load(
    model: str | Path,
    engine: str = 'auto',
    device: str = 'auto',
    precision: str = 'auto',
    on_build: Progress | None = lambda phase, done, total: None,
    threads: int = 0,
) -> Assistant:
    """
    Load a model and make an assistant of it.

        load('llava-phi-tiny')
        load('/models/llava-phi-3b', precision='bf16', device='cuda')

    model: a folder, or the name of a packaged model.
    engine: tensorrt runs plans, and builds them if the folder is an export for it; onnxruntime
    runs an exported model, torch a checkpoint; auto takes what the folder holds, and of the last
    two onnxruntime where it can do what is asked.
    device: cpu, cuda or cuda:N; auto is cuda for plans, and else cpu.
    precision: auto is that of the plans or the export, and fp32 in torch.
    on_build: hears how plans are built; what it raises ends the build. None if an export for
    tensorrt that has none yet is to be refused.
    threads: of onnxruntime, or of torch on a CPU; 0 takes one for each core that the process may
    use, but leaves one free where there are four or more. tensorrt takes no notice.

    Raises ModelError in one sentence if any of them cannot be used, and FileError where what is
    built has no place.
    """
    if not isinstance(engine, str) or engine not in ENGINES:
        raise ModelError(f'there is no engine {described(engine)}; engines: {", ".join(ENGINES)}')
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise ModelError(
            f'precision {described(precision)} is unknown; use {", ".join(PRECISIONS)}'
        )
    if not isinstance(device, str):
        raise ModelError(f'a device is auto, cpu, cuda or cuda:N, not {described(device)}')
    if (
        not isinstance(threads, int)
        or isinstance(threads, bool)
        or not 0 <= threads <= MOST_THREADS
    ):
        raise ModelError(
            f'threads is a number from 0, for what suits, to {MOST_THREADS}, not '
            f'{described(threads)}'
        )
    if on_build is not None and not callable(on_build):
        raise ModelError(f'on_build is a function or None, not {described(on_build)}')
    folder = find_model(model)
    if holds_plans(folder):
        _check_plans(folder, read_plan_manifest(folder).export, engine, device, precision)
        return _load_plans(folder)
    for_tensorrt = is_exported(folder) and read_manifest(folder).engine == 'tensorrt'
    if for_tensorrt and engine in ('auto', 'tensorrt'):
        from ros2_llava_phi.engine.tensorrt_build import plans_of

        _check_plans(folder, read_manifest(folder), engine, device, precision)
        return _load_plans(plans_of(folder, on_build))
    if engine == 'tensorrt':
        raise ModelError(
            f'{folder} holds no plans; use `llava-phi export --engine tensorrt`, and then '
            '`llava-phi build`'
        )
    device = 'cpu' if device == 'auto' else device
    if engine == 'torch':
        return _load_checkpoint(folder, device, precision, threads)
    export = folder if is_exported(folder) else _export_beside(folder)
    if export is None:
        if engine == 'auto':
            return _load_checkpoint(folder, device, precision, threads)
        raise ModelError(f'{folder} is not exported for ONNX Runtime; use `llava-phi export`')
    manifest = read_manifest(export)
    if manifest.engine != 'onnxruntime':
        raise ModelError(f'{export} is exported for {manifest.engine}, not for onnxruntime')
    fits = device == 'cpu' and precision in ('auto', manifest.precision)
    if engine == 'auto' and not fits and export != folder and precision not in OF_EXPORTS:
        return _load_checkpoint(folder, device, precision, threads)
    if not fits:
        raise ModelError(
            f'{export} runs on the device cpu in {manifest.precision}, not on {device} in '
            f'{precision}; export it anew, or use a checkpoint and the engine torch'
        )
    if export != folder:
        check_source(export, manifest, folder)
    return _load_export(export, manifest, threads)


def _export_beside(folder: Path) -> Path | None:
    """Return the export for ONNX Runtime in a checkpoint's folder; None if there is none."""
    export = folder / EXPORT_FOLDER
    runs = is_exported(export) and read_manifest(export).engine == 'onnxruntime'
    return export if runs else None


def _check_plans(
    folder: Path, manifest: Manifest, engine: str, device: str, precision: str
) -> None:
    runs = manifest.precision
    if (
        engine not in ('auto', 'tensorrt')
        or device not in ('auto', 'cuda', 'cuda:0')
        or precision not in ('auto', runs)
    ):
        raise ModelError(
            f'{folder} runs on tensorrt and the first cuda device in {runs}, '
            f'not on {engine} and {device} in {precision}'
        )


def _load_plans(folder: Path) -> Assistant:
    from ros2_llava_phi.engine.tensorrt_engine import TensorrtEngine

    manifest = read_plan_manifest(folder)
    loaded = TensorrtEngine(folder, manifest)
    tokenizer = load_tokenizer(folder, loaded.config.text.vocab_size)
    export = manifest.export
    return Assistant(loaded, tokenizer, _identity(loaded, export.name, export.weights_hash))


def _load_export(folder: Path, manifest: Manifest, threads: int) -> Assistant:
    from ros2_llava_phi.engine.onnx_engine import OnnxEngine

    engine = OnnxEngine(folder, manifest, threads)
    tokenizer = load_tokenizer(folder, engine.config.text.vocab_size)
    identity = _identity(engine, manifest.name, manifest.weights_hash)
    return Assistant(engine, tokenizer, identity)


def _load_checkpoint(folder: Path, device: str, precision: str, threads: int) -> Assistant:
    try:
        from ros2_llava_phi.engine.torch_engine import TorchEngine, check_device
        from ros2_llava_phi.model.checkpoint import open_checkpoint
    except ImportError as error:
        lacks = what_is_missing(error) or error
        raise ModelError(
            f'{folder} is run as a checkpoint, and {lacks}; or export it elsewhere'
        ) from error
    if precision in OF_EXPORTS:
        raise ModelError(f'{folder} has no export in {precision}; write one: `llava-phi export`')
    precision = 'fp32' if precision == 'auto' else precision
    dtype = check_device(precision, device)
    checkpoint = open_checkpoint(folder)
    tokenizer = load_tokenizer(checkpoint.tokenizer_folder, checkpoint.config.text.vocab_size)
    network = checkpoint.read(dtype)
    if checkpoint.drops_head_bias:
        logging.getLogger(__name__).warning('%s has no lm_head.bias; it is taken as 0', folder)
    engine = TorchEngine(network, precision, device, threads)
    (weights_hash,) = remembered_hashes([checkpoint.files])
    identity = _identity(engine, model_name(folder), weights_hash)
    return Assistant(engine, tokenizer, identity)


def _identity(engine: AnyEngine, name: str, weights_hash: str) -> ModelIdentity:
    return ModelIdentity(
        name=name,
        weights_hash=weights_hash,
        engine=engine.name,
        precision=engine.precision,
        device=engine.device,
        image_size=engine.config.vision.image_size,
        image_tokens=engine.config.image_tokens,
        context_length=engine.config.text.context_length,
    )
