"""llava-phi convert: write a model in the layout of another program."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class LayoutName(str, Enum):
    """The layouts that can be written."""

    ORIGINAL = 'original'
    HF = 'hf'
    OWN = 'own'


BASE = typer.Option(
    help='Folder of the base model, for a folder with a projector or adapter only.'
)
VISION_TOWER = typer.Option(
    help='Folder of the CLIP or SigLIP, for a model without a tower of its own.'
)


def convert(
    source: Annotated[Path, typer.Argument(metavar='IN', help='Folder of the model.')],
    out: Annotated[Path, typer.Argument(metavar='OUT', help='New folder to write.')],
    layout: Annotated[
        LayoutName,
        typer.Option(
            help="original LLaVA-Phi's, transformers' LlavaForConditionalGeneration's, or our own."
        ),
    ],
    base: Annotated[Path | None, BASE] = None,
    vision_tower: Annotated[Path | None, VISION_TOWER] = None,
) -> None:
    """Write a model in another layout; no number changes, and adapters are merged."""
    from ros2_llava_phi.assistant.load import find_model
    from ros2_llava_phi.model.checkpoint import open_checkpoint
    from ros2_llava_phi.model.convert import convert as write

    base = base and find_model(str(base))
    checkpoint = open_checkpoint(find_model(str(source)), base, vision_tower)
    write(checkpoint, out, layout.value)
    if checkpoint.drops_head_bias:
        typer.echo(f'{source} has no lm_head.bias; {out} has one of zeros', err=True)
    typer.echo(f'{out}: {layout.value} layout')
