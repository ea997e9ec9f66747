"""llava-phi export: write a checkpoint for an engine that needs no PyTorch."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .options import shown_progress


class Engine(str, Enum):
    """The engines that run exported models."""

    ONNXRUNTIME = 'onnxruntime'
    TENSORRT = 'tensorrt'


class Precision(str, Enum):
    """What both have; fp32 and mixed are ONNX Runtime's alone, fp16 and bf16 TensorRT's."""

    FP32 = 'fp32'
    FP16 = 'fp16'
    BF16 = 'bf16'
    INT8 = 'int8'
    INT4 = 'int4'
    MIXED = 'mixed'


def export(
    model: Annotated[str, typer.Argument(help='Folder of the model, or a packaged model.')],
    out: Annotated[Path, typer.Argument(metavar='OUT', help='New folder to write.')],
    precision: Annotated[
        Precision,
        typer.Option(
            help='fp32 (onnxruntime), fp16, bf16 (tensorrt), int8, int4 (both), mixed '
            '(onnxruntime: reads in int8, writes in int4); int4 keeps 8 bits in tower and head.'
        ),
    ] = Precision.INT8,
    engine: Annotated[
        Engine, typer.Option(help='onnxruntime runs it on a CPU; tensorrt is for `build`.')
    ] = Engine.ONNXRUNTIME,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar='FOLDER',
            help='For int4 and mixed: round for pictures like those in this folder (8 or more), '
            'and for the questions in its questions.txt, if there is one.',
        ),
    ] = None,
) -> None:
    """Export a model for an engine that needs no PyTorch."""
    if calibrate is not None and precision not in (Precision.INT4, Precision.MIXED):
        raise typer.BadParameter(
            f'--calibrate is for --precision int4 or mixed, not {precision.value}.'
        )
    from ros2_llava_phi.assistant.load import find_checkpoint, model_name
    from ros2_llava_phi.engine.export import export as write
    from ros2_llava_phi.model.checkpoint import open_checkpoint

    from .calibration_folder import folder_prompts

    folder = find_checkpoint(model)
    checkpoint = open_checkpoint(folder)
    prompts = [] if calibrate is None else folder_prompts(calibrate, checkpoint.config)
    with shown_progress() as progress:
        task = progress.add_task(f'{precision.value}: tracing', total=None)

        def show(what: str, done: int, total: int) -> None:
            description = f'{precision.value}: {what}'
            progress.update(task, completed=done, total=total, description=description)

        name = model_name(folder)
        loss = write(checkpoint, out, name, precision.value, engine.value, show, prompts)
    size = sum(path.stat().st_size for path in out.iterdir())
    typer.echo(f'{out}: {precision.value}, {size / 1e6:.1f} MB')
    if loss.weights:
        typer.echo(f'rounding moved the weights by {loss.weights:.2%} of their size (rms)')
    if loss.logits is not None:
        typer.echo(
            f'4 bits moved the logits by {loss.logits:.2%} of their size (rms), in prompts that '
            'took no part in the calibration'
        )
