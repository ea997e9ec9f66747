"""Requests about more than one picture, and which pictures of a video to take."""

from collections.abc import Iterable
from typing import TypeVar

from ros2_llava_phi.model.prompt import Mark, Piece

CAMERAS = (
    'CAM_FRONT',
    'CAM_FRONT_LEFT',
    'CAM_FRONT_RIGHT',
    'CAM_BACK',
    'CAM_BACK_LEFT',
    'CAM_BACK_RIGHT',
)
Item = TypeVar('Item')


def about_frames(count: int, question: str) -> tuple[Piece, ...]:
    """Return a request about pictures that follow each other, a line for each, in their order."""
    return (*(piece for _ in range(count - 1) for piece in (Mark.PICTURE, '\n')), *_last(question))


def about_cameras(names: Iterable[str], question: str) -> tuple[Piece, ...]:
    """Return a request about pictures at one time, a line for each that begins with its name."""
    pieces: list[Piece] = []
    for name in names:
        pieces += [f'\n{name}: ' if pieces else f'{name}: ', Mark.PICTURE]
    return (*pieces, f'\n{question}')


def evenly(items: list[Item], most: int) -> list[Item]:
    """Return at most so many of the items, evenly spread from first to last; one is the middle."""
    if len(items) <= most:
        return items
    if most == 1:
        return [items[len(items) // 2]]
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def _last(question: str) -> tuple[Piece, ...]:
    return Mark.PICTURE, f'\n{question}'
