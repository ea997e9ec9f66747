"""
The folder of a run that may be interrupted: which run it is, so that the same one goes on.

A file in it describes the run, as a pydantic model. A run whose description differs in any field
is another one, and is refused: what is there stays as it is.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ros2_llava_phi.errors import FileError, InputError

from .atomic import write_atomically
from .settings import read_json


def holds_run(
    path: Path,
    run: BaseModel,
    difference: Callable[[str, Any, Any], str],
    error: type[InputError],
    may_differ: Collection[str] = (),
) -> bool:
    """
    Return whether there is this run to go on with; nothing is written.

    path: the file that describes it. difference: says in half a sentence how a field of the run
    that is there, its first value, differs from this one's, its second. may_differ: fields that do
    not tell runs apart.

    Raises `error` if the file is of another run, or none that can be read.
    """
    try:
        if not path.exists():
            return False
    except OSError as reason:
        raise error(f'{path.parent} cannot be read: {reason.strerror}') from reason
    try:
        before = read_json(path, type(run))
    except FileError as reason:
        raise error(f'{reason}; give a new folder, or remove that run') from reason
    for field in type(run).model_fields:
        old, new = getattr(before, field), getattr(run, field)
        if old != new and field not in may_differ:
            other = difference(field, old, new)
            raise error(f'{path.parent} holds another run: {other}; give a new folder')
    return True


def open_run(
    path: Path,
    run: BaseModel,
    difference: Callable[[str, Any, Any], str],
    error: type[InputError],
    besides: Collection[str] = (),
) -> None:
    """
    Make the folder of a run, or go on with it; see holds_run.

    besides: names of what may be in it already. Several processes may begin one run at once.

    Raises `error`, too, if the folder holds something else, or cannot be written.
    """
    if holds_run(path, run, difference, error):
        return
    check_new_run(path, error, besides)
    write_atomically(path, run.model_dump_json(indent=2) + '\n', error)


def check_new_run(path: Path, error: type[InputError], besides: Collection[str] = ()) -> None:
    """
    Raise `error` unless a run can begin in the folder of `path`; nothing is written.

    path: the file that will describe it; what killed processes left of that does not count.
    besides: names of what may be in the folder already.
    """
    folder = path.parent
    try:
        names = {each.name for each in folder.iterdir() if path.name not in each.name}
    except FileNotFoundError:
        return
    except (OSError, ValueError) as reason:  # a NUL within a path is a ValueError
        said = getattr(reason, 'strerror', None) or reason
        raise error(
            f'{folder} cannot be written: {said}; name a new folder, or that of a run'
        ) from reason
    if names - set(besides):
        raise error(f'{folder} is not empty and holds no run; give a new folder')
