"""Progress on stderr, for a person who watches; a log gets none of it."""

from rich.console import Console
from rich.progress import Progress


def shown_progress() -> Progress:
    """Return bars that go when they are done; none where stderr is no terminal."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
