"""
A training that is killed by `kill -9` at random moments ends in the same weights, bit for bit.

    python benchmarks/kill_nine.py [--times 20] [--seed 0]

Each time the command is started again, it goes on from its last save; nothing else is done.
"""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ros2_llava_phi.files.hashing import files_hash
from ros2_llava_phi.training.step_log import read_log
from tiny.scene_files import Sort, write_scenes

SCENES = 40
WEIGHTS = 'model.safetensors'


def write_recipe(work: Path, name: str, data: Path) -> Path:
    """Write a recipe of many short steps and saves, and return its path."""
    content = {
        'start': {'checkpoint': 'llava-phi-tiny'},
        'stage': 'domain',
        'learns': {
            'projector': {'how': 'full', 'learning_rate': 1e-3},
            'decoder': {'how': 'lora', 'learning_rate': 1e-3},
        },
        'lora': {'r': 8, 'alpha': 16, 'dropout': 0.1},
        'data': [{'name': 'scenes', 'path': str(data.resolve())}],
        'validation': 0.1,
        'validation_questions': 10,
        'batch_size': 12,
        'steps': 300,
        'save_every': 1,
        'out': str((work / name).resolve()),
    }
    path = work / f'{name}.yaml'
    path.write_text(json.dumps(content, indent=2))
    return path


def start(recipe: Path) -> subprocess.Popen[bytes]:
    """Start a training, or have it go on."""
    command = [sys.executable, '-m', 'ros2_llava_phi.cli.main', 'train', str(recipe)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def finish(recipe: Path) -> float:
    """Train to the end; return the seconds that it took."""
    begun = time.perf_counter()
    process = start(recipe)
    _, said = process.communicate()
    if process.returncode:
        sys.exit(f'the training ended with {process.returncode}: {said.decode()}')
    return time.perf_counter() - begun


def compare(work: Path) -> None:
    """Exit if the weights differ between the two trainings."""
    peace, fire = (files_hash([work / name / WEIGHTS]) for name in ('peace', 'fire'))
    typer.echo(f'weights without kills: {peace[:16]}, with kills: {fire[:16]}')
    if peace != fire:
        sys.exit('the weights differ')


def main(
    work: Annotated[Path, typer.Option(help='Folder for data and runs.')] = Path(
        'build/kill_nine'
    ),
    times: Annotated[int, typer.Option(help='How often to kill.')] = 20,
    seed: Annotated[int, typer.Option(help='Of the moments.')] = 0,
) -> None:
    """Train once in peace, and once under fire; compare."""
    shutil.rmtree(work, ignore_errors=True)
    data = write_scenes(work / 'data', SCENES, Sort.THERMAL, 5, 'train')
    seconds = finish(write_recipe(work, 'peace', data))
    training = sum(step.seconds for step in read_log(work / 'peace' / 'run'))
    # Some before the first step, most between two steps or in a save, and not all the way at once.
    earliest, latest = 0.5 * (seconds - training), seconds - training + 1.5 * training / times
    recipe = write_recipe(work, 'fire', data)
    moments = random.Random(seed)
    killed = 0
    while killed < times:
        process = start(recipe)
        moment = moments.uniform(earliest, latest)
        try:
            process.wait(moment)
            compare(work)
            shutil.rmtree(work / 'fire')
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            saves = sorted(path.name for path in (work / 'fire' / 'run').glob('step-*'))
            typer.echo(f'killed after {moment:.1f} s; in the folder: {", ".join(saves)}')
    finish(recipe)
    compare(work)


if __name__ == '__main__':
    typer.run(main)
