"""llava-phi import: make training data of a questions sheet that was filled in."""

from pathlib import Path
from typing import Annotated

import typer

from ros2_llava_phi.errors import counted


def import_sheet(
    sheet: Annotated[
        Path, typer.Argument(metavar='SHEET', help='The CSV file that extract wrote.')
    ],
    out: Annotated[Path, typer.Option('-o', '--out', help='The LLaVA JSON file to write.')],
) -> None:
    """Make LLaVA JSON of a questions sheet that was filled in."""
    from rich.console import Console

    from ros2_llava_phi.datasets.check import dropped_table
    from ros2_llava_phi.datasets.data_set import DataSet, Format, read_data_set
    from ros2_llava_phi.datasets.llava import write_llava
    from ros2_llava_phi.errors import DataError

    from .options import shown_progress

    if out.exists():
        raise DataError(f'{out} exists already; name a file that does not')
    with shown_progress() as progress:
        task = progress.add_task('pictures', total=None)
        records = read_data_set(
            DataSet(name=sheet.name, format=Format.SHEET, path=sheet),
            lambda: progress.advance(task),
        )
    write_llava(out, sheet.parent, records.conversations)
    questions = counted(len(records.conversations), 'question')
    scenes = counted(len({each.scene for each in records.conversations}), 'scene')
    typer.echo(f'{out}: {questions} about {scenes}')
    if out.resolve().parent != sheet.resolve().parent:
        typer.echo(f'Its pictures are relative to {sheet.parent}: name that as `pictures`.')
    if records.dropped:
        Console(stderr=True).print(dropped_table(records.dropped))
