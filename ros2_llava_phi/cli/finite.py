"""Numbers that options take: click lets nan, and where there is no limit infinity, pass."""

import math

import typer


def finite(number: float | None) -> float | None:
    """Return an option's number; raises BadParameter if it is nan or infinite."""
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter(f'{number} is no finite number.')
    return number
