"""llava-phi inspect: say what a model folder holds, and what would go wrong with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .convert import BASE, VISION_TOWER

if TYPE_CHECKING:
    from ros2_llava_phi.engine.exported import Manifest

Facts = list[tuple[str, str]]


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
    whole = 'whole: ' + ('all were read' if verify else 'those read before are not read again')
    facts: Facts
    remarks, problems = list[str](), list[str]()
    if is_exported(found):
        manifest = read_manifest(found)
        is_loaded = manifest.engine == 'onnxruntime'
        if verify or not is_loaded:
            check_files(found, manifest.files, 'export again', verify)
        if is_loaded:
            load(str(found))  # says what else would go wrong
        facts = [*_export_facts(f'exported for {manifest.engine}', manifest), ('files', whole)]
    elif holds_plans(found):
        plans = read_plan_manifest(found)
        check_files(found, plans.files, 'build again', verify)
        facts = _export_facts('plans for TensorRT', plans.export)
        facts += [('library', plans.library), ('GPU', plans.gpu), ('files', whole)]
    else:
        from ros2_llava_phi.model.inspection import inspect as look

        inspection = look(found, base, vision_tower)
        facts, remarks, problems = inspection.facts, inspection.remarks, inspection.problems
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in facts:
        table.add_row(name, escape(value))
    console = Console()
    console.print(table)
    for remark in remarks:
        console.print(f'[bold yellow]note[/]     {escape(remark)}')
    for problem in problems:
        Console(stderr=True).print(f'[bold red]problem[/]  {escape(problem)}')
    if problems:
        raise typer.Exit(2)


def _export_facts(layout: str, export: 'Manifest') -> Facts:
    return [
        ('layout', layout),
        ('model', export.name),
        ('weights', export.weights_hash),
        ('precision', export.precision),
    ]
