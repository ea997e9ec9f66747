"""llava-phi inspect: say what a model folder holds, and what would go wrong with it."""

from pathlib import Path
from typing import Annotated

import typer

from .convert import BASE, VISION_TOWER


def inspect(
    folder: Annotated[Path, typer.Argument(metavar='DIR', help='Folder of the model.')],
    base: Annotated[Path | None, BASE] = None,
    vision_tower: Annotated[Path | None, VISION_TOWER] = None,
    verify: Annotated[
        bool,
        typer.Option(
            '--verify',
            help='Of an export or of plans, read every file, also those whose hashes are '
            'remembered. Of a checkpoint, all is read anyway.',
        ),
    ] = False,
) -> None:
    """Say what a model folder holds, and what would go wrong with it (then exit code 2)."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ros2_llava_phi.assistant.load import find_model, load
    from ros2_llava_phi.engine.exported import check_files, is_exported, read_manifest
    from ros2_llava_phi.engine.plans import holds_plans, read_plan_manifest

    found = find_model(str(folder))
    table = Table(show_header=False, box=None, pad_edge=False)
    console = Console()
    whole = 'whole: ' + ('all were read' if verify else 'those read before are not read again')
    if is_exported(found):
        manifest = read_manifest(found)
        check_files(found, manifest.files, 'export again', verify)
        if manifest.engine == 'onnxruntime':
            load(str(found))  # says what else would go wrong
        table.add_row('layout', f'exported for {manifest.engine}')
        table.add_row('model', escape(manifest.name))
        table.add_row('weights', manifest.weights_hash)
        table.add_row('precision', manifest.precision)
        table.add_row('files', whole)
        console.print(table)
        return
    if holds_plans(found):
        plans = read_plan_manifest(found)
        check_files(found, plans.files, 'build again', verify)
        table.add_row('layout', 'plans for TensorRT')
        table.add_row('model', escape(plans.export.name))
        table.add_row('weights', plans.export.weights_hash)
        table.add_row('precision', plans.export.precision)
        table.add_row('library', plans.library)
        table.add_row('GPU', escape(plans.gpu))
        table.add_row('files', whole)
        console.print(table)
        return
    from ros2_llava_phi.model.inspection import inspect as look

    inspection = look(found, base, vision_tower)
    for name, value in inspection.facts:
        table.add_row(name, escape(value))
    console.print(table)
    for remark in inspection.remarks:
        console.print(f'[bold yellow]note[/]     {escape(remark)}')
    for problem in inspection.problems:
        Console(stderr=True).print(f'[bold red]problem[/]  {escape(problem)}')
    if inspection.problems:
        raise typer.Exit(2)
