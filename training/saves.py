"""
Saves of a training: complete or not there, whenever the process is killed.

    OUT/run/recipe.json     what is trained, and on what data; a run of another is refused
    OUT/run/.lock           locked by the process that trains
    OUT/run/log.jsonl       loss, learning rate and speed of every step
    OUT/run/step-00000500/  weights that learn, optimiser and step, as safetensors and JSON

A save is written beside its place, synced to disk, and renamed; only then is the older one
removed. Nothing in it can run code.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic_core import to_jsonable_python
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ros2_llava_phi.errors import FileError, TrainingError
from ros2_llava_phi.files.atomic import remove_partial, replace_folder, write_atomically
from ros2_llava_phi.files.locks import Lock
from ros2_llava_phi.files.run_folder import holds_run
from ros2_llava_phi.files.settings import StrictSettings, read_json
from ros2_llava_phi.model.config import CONFIG_FILE
from ros2_llava_phi.model.tensor_files import writing

from .recipe import Recipe

RUN = 'run'
RECIPE_FILE, LOG_FILE, LOCK_FILE = 'recipe.json', 'log.jsonl', '.lock'
WEIGHTS, OPTIMIZER, STATE = 'weights.safetensors', 'optimizer.safetensors', 'state.json'
SAVE = re.compile(r'step-(\d+)')


@dataclass(frozen=True)
class State:
    """
    What going on needs beside the recipe, which decides order and random numbers by the step.

    step: the number of steps done. weights: those that learn. optimizer: AdamW's moments, as
    `NAME/KEY`. scaler: that of fp16's gradients; None without.
    """

    step: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    scaler: dict[str, int | float] | None = None


class _Run(Recipe):
    """What a run trains on what, as RECIPE_FILE holds it."""

    fingerprint: str
    start_weights: str


class _StateFile(StrictSettings):
    step: Annotated[int, Field(ge=1)]
    scaler: dict[str, int | float] | None = None


def check_run(out: Path, recipe: Recipe, fingerprint: str, start: str) -> bool:
    """
    Return whether there is a run in a folder to go on with; nothing is written.

    fingerprint: of the data that the recipe names. start: the hash of the weights that it names.

    Raises TrainingError if a run of another recipe, of other data or weights is there, or
    anything else.
    """
    run = _Run(**dict(recipe), fingerprint=fingerprint, start_weights=start)
    if holds_run(out / RUN / RECIPE_FILE, run, _difference, TrainingError, may_differ=('out',)):
        return True
    foreign = out.is_dir() and any(path.name != RUN for path in out.iterdir())
    # Saves without their recipe: nobody knows of what.
    orphans = (out / RUN).is_dir() and _saves(out / RUN)
    if foreign or orphans or (out.exists() and not out.is_dir()):
        raise TrainingError(f'{out} holds something else than a run; give another out')
    above = next(place for place in out.parents if place.exists())
    if not above.is_dir():
        raise TrainingError(f'{above}, in out, is a file; give another out')
    return False


@contextmanager
def begin_run(out: Path, recipe: Recipe, fingerprint: str, start: str) -> Iterator[None]:
    """
    Make the folder of a run, or go on with that of an interrupted one; see check_run.

    Within the block no other process can. Raises TrainingError if one does already. Nothing is
    written into the folder of a finished one, which may be read only.
    """
    begun = check_run(out, recipe, fingerprint, start)  # what cannot leaves nothing behind
    if begun and (out / CONFIG_FILE).is_file():
        yield
        return
    folder = out / RUN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT)
    except BlockingIOError as error:
        raise TrainingError(f'another process trains {out}; wait for its end') from error
    except OSError as error:
        raise TrainingError(f'{folder} cannot be written: {error.strerror}') from error
    with closing(lock):
        if not check_run(out, recipe, fingerprint, start):
            run = _Run(**dict(recipe), fingerprint=fingerprint, start_weights=start)
            text = run.model_dump_json(indent=2) + '\n'
            write_atomically(folder / RECIPE_FILE, text, TrainingError)
        remove_partial(folder)
        yield


def _difference(field: str, there: Any, here: Any) -> str:
    if field == 'fingerprint':
        return 'the data is not what the run began with'
    if field == 'start_weights':
        return 'the weights to start from are not those that the run began with'
    shown = (json.dumps(to_jsonable_python(value))[:200] for value in (there, here))
    return f'it has another recipe: {field} is {" there and ".join(shown)} here'


def save(folder: Path, state: State) -> None:
    """Write a save, and remove the older ones."""
    place = place_of(folder, state.step)
    with replace_folder(place, TrainingError) as partial, writing(place, TrainingError):
        for tensors, file in ((state.weights, WEIGHTS), (state.optimizer, OPTIMIZER)):
            save_file({name: t.contiguous() for name, t in tensors.items()}, partial / file)
        (partial / STATE).write_text(json.dumps({'step': state.step, 'scaler': state.scaler}))
    remove_older(folder)


def last_save(folder: Path) -> State | None:
    """
    Return the last save; None if there is none.

    Raises TrainingError that names the file if it is damaged, and says what to do.
    """
    saves = _saves(folder)
    if not saves:
        return None
    last = saves[-1]
    try:
        state = read_json(last / STATE, _StateFile)
    except FileError as error:
        raise damaged(last, str(error)) from error
    if place_of(folder, state.step) != last:
        raise damaged(last, f'{last / STATE} is of step {state.step}')
    return State(state.step, _tensors(last, WEIGHTS), _tensors(last, OPTIMIZER), state.scaler)


def _tensors(place: Path, name: str) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(place / name)
    except (SafetensorError, OSError) as error:
        raise damaged(place, f'{place / name} cannot be read: {error}') from error
    return tensors


def damaged(place: Path, why: str) -> TrainingError:
    """Return the error for a save that cannot be gone on from."""
    earlier = _saves(place.parent)[:-1]
    then = f'go on from {earlier[-1].name}' if earlier else 'begin from the start'
    return TrainingError(f'{why}; remove {place} to {then}')


def place_of(folder: Path, step: int) -> Path:
    """Return the folder of the save of a step."""
    return folder / f'step-{step:08}'


def _saves(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if SAVE.fullmatch(path.name))


def remove_older(folder: Path) -> None:
    """Remove all saves but the last one."""
    for older in _saves(folder)[:-1]:
        shutil.rmtree(older)
