"""llava-phi build: compile an export for a GPU with TensorRT."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer


def build(
    export: Annotated[
        Path, typer.Argument(help='Folder that `export --engine tensorrt` has written.')
    ],
    out: Annotated[Path, typer.Argument(metavar='OUT', help='New folder to write.')],
    target: Annotated[
        str,
        typer.Option(
            help='Compute capability of the GPU, such as sm86, where TensorRT can build for one '
            'that is not there. Without: of this machine.'
        ),
    ] = '',
) -> None:
    """Compile an export for a GPU with TensorRT; takes minutes, once for each machine."""
    from rich.console import Console
    from rich.progress import Progress

    from ..engine.plans import read_plan_manifest
    from ..engine.tensorrt_build import build as write

    # As a service manager ends it: by an exception, so that what was begun is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task('starting TensorRT', total=None)

        def show(phase: str, done: int, total: int) -> None:
            progress.update(task, description=phase, completed=done, total=total)

        write(export, out, target, show)
    manifest = read_plan_manifest(out)
    for name in sorted(manifest.files):
        if name.endswith('.plan'):
            typer.echo(f'{out / name}: {(out / name).stat().st_size / 1e6:.1f} MB')
    layers = "TensorRT's own layers" if manifest.native else 'plain products and softmax'
    typer.echo(f'{manifest.library} for {manifest.gpu}; attention and cache: {layers}')
