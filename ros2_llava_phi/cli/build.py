"""llava-phi build: compile a model for a GPU with TensorRT."""

import shutil
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import shown_progress

if TYPE_CHECKING:
    from ros2_llava_phi.engine.engine import Progress


class TensorrtPrecision(str, Enum):
    """What TensorRT's plans can be of."""

    FP16 = 'fp16'
    BF16 = 'bf16'
    INT8 = 'int8'
    INT4 = 'int4'


def build(
    model: Annotated[
        str,
        typer.Argument(
            help='Folder that `export --engine tensorrt` has written; or of a checkpoint, or a '
            'packaged model, which is exported first.'
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar='OUT', help='New folder to write.')],
    precision: Annotated[
        TensorrtPrecision | None,
        typer.Option(help='Of the weights; int8 for a checkpoint, if not said.'),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            help='Compute capability of the GPU, such as sm86, where TensorRT can build for one '
            'that is not there. Without: of this machine.'
        ),
    ] = '',
) -> None:
    """Compile a model for a GPU with TensorRT; takes minutes, once for each machine."""
    from ros2_llava_phi.assistant.load import find_checkpoint, find_model
    from ros2_llava_phi.engine.exported import is_exported, read_manifest
    from ros2_llava_phi.engine.plans import read_plan_manifest
    from ros2_llava_phi.engine.tensorrt_build import build as write
    from ros2_llava_phi.errors import ModelError

    folder = find_model(model)
    has = read_manifest(folder).precision if is_exported(folder) else None
    if has and precision and precision.value != has:
        raise ModelError(f'{folder} is exported in {has}, not in {precision.value}')
    with shown_progress() as progress:
        task = progress.add_task('starting TensorRT', total=None)

        def show(phase: str, done: int, total: int) -> None:
            progress.update(task, description=phase, completed=done, total=total)

        if has:
            write(folder, out, target, show)
        else:
            kind = (precision or TensorrtPrecision.INT8).value
            build_checkpoint(find_checkpoint(model), out, kind, target, show)
    manifest = read_plan_manifest(out)
    for name in sorted(manifest.files):
        if name.endswith('.plan'):
            typer.echo(f'{out / name}: {(out / name).stat().st_size / 1e6:.1f} MB')
    layers = "TensorRT's own layers" if manifest.native else 'plain products and softmax'
    typer.echo(f'{manifest.library} for {manifest.gpu}; attention and cache: {layers}')


def build_checkpoint(
    folder: Path, out: Path, precision: str, target: str, show: 'Progress'
) -> None:
    """Export a checkpoint and build plans of it; its graphs stay for only as long as needed."""
    from ros2_llava_phi.assistant.load import model_name
    from ros2_llava_phi.engine.export import export
    from ros2_llava_phi.engine.tensorrt_build import build_into, check_machine
    from ros2_llava_phi.files.atomic import new_folder
    from ros2_llava_phi.model.checkpoint import open_checkpoint

    with new_folder(out) as unfinished:
        check_machine(target)
        graphs = unfinished / 'graphs'
        export(open_checkpoint(folder), graphs, model_name(folder), precision, 'tensorrt', show)
        build_into(unfinished, graphs, target, show)
        shutil.rmtree(graphs)
