"""llava-phi inspect: say what a model folder holds, and what would go wrong with it."""

from pathlib import Path
from typing import Annotated

import typer

from .convert import BASE, VISION_TOWER


def inspect(
    folder: Annotated[Path, typer.Argument(metavar='DIR', help='Folder of the model.')],
    base: Annotated[Path | None, BASE] = None,
    vision_tower: Annotated[Path | None, VISION_TOWER] = None,
) -> None:
    """Say what a model folder holds, and what would go wrong with it (then exit code 2)."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..assistant.load import find_model
    from ..model.inspection import inspect as look

    inspection = look(find_model(str(folder)), base, vision_tower)
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in inspection.facts:
        table.add_row(name, escape(value))
    console = Console()
    console.print(table)
    for remark in inspection.remarks:
        console.print(f'[bold yellow]note[/]     {escape(remark)}')
    for problem in inspection.problems:
        console.print(f'[bold red]problem[/]  {escape(problem)}')
    if inspection.problems:
        raise typer.Exit(2)
