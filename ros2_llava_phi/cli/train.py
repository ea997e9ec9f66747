"""llava-phi train: train a model as a recipe says."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def train(
    recipe: Annotated[Path, typer.Argument(metavar='RECIPE', help='The YAML file.')],
    dry_run: Annotated[
        bool,
        typer.Option(
            '--dry-run', help='Show the first batches, time and memory to expect; write nothing.'
        ),
    ] = False,
) -> None:
    """Train a model, or go on where an interrupted training of the same recipe was saved."""
    from ros2_llava_phi.training.recipe import read_recipe

    settings = read_recipe(recipe)
    console = Console(stderr=True)
    if dry_run:
        from ros2_llava_phi.training.dry_run import dry_run as look

        look(settings, Console())
        return
    from ros2_llava_phi.training.run import train as run

    run(settings, console)
