"""Numbers that options take: without a limit infinity passes, and in some versions nan."""

import math

import typer


def finite(number: float | None) -> float | None:
    """Return an option's number; raises BadParameter if it is nan or infinite."""
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter(f'{number} is no finite number.')
    return number
