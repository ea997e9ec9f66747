"""What several commands share: options on the model that answers, numbers, and progress."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

Model = Annotated[str, typer.Option(help='Folder of the model, or name of a packaged model.')]
Engine = Annotated[
    str, typer.Option(help='onnxruntime, tensorrt, torch, or auto: what fits the folder.')
]
Precision = Annotated[
    str, typer.Option(help="auto: the export's, or fp32; torch has bf16 and fp16, too.")
]
Device = Annotated[str, typer.Option(help='cpu, cuda, cuda:N, or auto: cuda for plans, else cpu.')]


def at_home(verb: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose paths may begin with ~, which no shell expands in `--out=~/run`."""

    @functools.wraps(verb)
    def expanded(**given: Any) -> None:
        verb(**{name: with_home(value) for name, value in given.items()})

    return expanded


def with_home(given: Any) -> Any:
    """Return an option's path, or the paths within, without ~; any other value as it is."""
    if isinstance(given, (list, tuple)):
        return [with_home(each) for each in given]
    if not isinstance(given, Path):
        return given
    try:
        return given.expanduser()
    except RuntimeError:  # there is no such user: it may be the name of a file
        return given


def finite(number: float | None) -> float | None:
    """
    Return an option's number; raises BadParameter if it is nan or infinite.

    Without a limit infinity passes, and in some versions of typer nan does.
    """
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter(f'{number} is no finite number.')
    return number


def shown_progress() -> 'Progress':
    """Return bars on stderr that go when they are done; none where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
