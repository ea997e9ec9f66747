"""A model, pictures and recipes so small that a training takes a second."""

import json
import os
import pkgutil
import signal
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from small_model import make_model

from ros2_llava_phi.training.recipe import Recipe
from ros2_llava_phi.training.run import train

PROJECTOR = {'projector': {'how': 'full', 'learning_rate': 1e-3}}
FULL = {**PROJECTOR, 'decoder': {'how': 'full', 'learning_rate': 1e-3}}
LORA = {
    **PROJECTOR,
    'decoder': {'how': 'lora', 'learning_rate': 1e-2},
    'vision_tower': {'how': 'lora', 'learning_rate': 1e-2},
}
ANSWERS = ('Yes', 'No', '3', 'red')
KINDS = ('yes_no', 'yes_no', 'number', '')


def write_pictures(folder: Path, count: int = 4) -> Path:
    """Write pictures 0.png, 1.png, ... of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(noise).save(folder / f'{number}.png')
    return folder


def record(picture: int | None, request: str, answer: str, kind: str = '') -> dict[str, Any]:
    place = {} if picture is None else {'image': f'{picture}.png'}
    text = request if picture is None else f'<image>\n{request}'
    turns = [{'from': 'human', 'value': text}, {'from': 'gpt', 'value': answer}]
    return {'kind': kind, 'conversations': turns, **place}


def write_llava(folder: Path, pictures: int = 4) -> Path:
    """Write four questions about each picture in LLaVA's format."""
    write_pictures(folder, pictures)
    records = [
        record(picture, f'Is there a {word}?', ANSWERS[number], KINDS[number])
        for picture in range(pictures)
        for number, word in enumerate(('car', 'red car', 'car on the left', 'question'))
    ]
    path = folder / 'llava.json'
    path.write_text(json.dumps(records))
    return path


def recipe(folder: Path, out: str = 'out', **settings: Any) -> Recipe:
    """Return a recipe of four steps on write_llava's data, from a model of random weights."""
    if not (folder / 'start').exists():
        make_model(folder / 'start')
        write_llava(folder / 'data')
    content: dict[str, Any] = {
        'start': {'checkpoint': str(folder / 'start')},
        'stage': 'instruct',
        'learns': FULL,
        'lora': {'r': 4, 'alpha': 8, 'dropout': 0.1},
        'data': [{'name': 'noise', 'path': folder / 'data' / 'llava.json'}],
        'validation': 0.25,
        'batch_size': 6,
        'accumulate': 2,
        'steps': 4,
        'save_every': 2,
        'out': folder / out,
        **settings,
    }
    return Recipe.model_validate(content)


def run(settings: Recipe) -> str:
    """Train, and return what was printed."""
    console = Console(file=StringIO(), width=200)
    train(settings, console)
    printed = console.file
    assert isinstance(printed, StringIO)
    return printed.getvalue()


def run_until_killed(settings: Recipe, target: str, call: int) -> None:
    """Train, and kill this process by SIGKILL when the function `target` is called so often."""
    torch.set_num_threads(1)  # as the tests that compare the results
    count = 0
    original = pkgutil.resolve_name(target)

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    with mock.patch(target, dying):
        run(settings)
