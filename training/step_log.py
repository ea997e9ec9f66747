"""The steps of a training: a bar with loss, rate, speed, memory, time left; log; TensorBoard."""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ros2_llava_phi.errors import TrainingError
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.files.json_lines import JsonLines, read_lines
from ros2_llava_phi.requirements import what_is_missing

from .saves import LOG_FILE
from .trainer import Step

STEP = TypeAdapter(Step)
SMOOTH = 20  # steps that the shown loss is averaged over
EVERY = 50  # steps between lines of a log that nobody watches


class StepLog:
    """Shows each step, and writes it down; made for one run, to be used in a `with`."""

    def __init__(self, run: Path, console: Console, steps: int, done: int) -> None:
        """Go on with a run of which `done` steps are done; later ones are struck from its log."""
        self._console = console
        self._steps = steps
        self._log_path = run / LOG_FILE
        kept = [step for step in read_log(run) if step.number < done]
        lines = ''.join(f'{_line(step)}\n' for step in kept)
        write_atomically(self._log_path, lines, TrainingError)
        self._average = kept[-1].loss if kept else None
        self._board = _tensorboard(run, console, done)
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[facts]}'),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task('training', total=steps, completed=done, facts='')

    def __enter__(self) -> 'StepLog':
        """Open the log, and start the bar."""
        self._log = JsonLines(self._log_path, TrainingError)
        self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Stop the bar, and close the log."""
        self._progress.stop()
        self._log.close()
        if self._board is not None:
            self._board.close()

    def show(self, step: Step) -> None:
        """Show a step that is done."""
        last = step.loss if self._average is None else self._average
        self._average = last + (step.loss - last) / SMOOTH
        self._log.append([_line(step)])
        facts = (
            f'loss {self._average:.4f}  rate {step.learning_rate:.2e}  '
            f'{step.tokens / step.seconds:,.0f} tokens/s  {memory_gib():.1f} GiB'
        )
        self._progress.update(self._task, completed=step.number + 1, facts=facts)
        if self._progress.disable and (step.number + 1) % EVERY == 0:
            self._console.print(f'step {step.number + 1} of {self._steps}: {facts}')
        if self._board is not None:
            speed = {'tokens per second': step.tokens / step.seconds}
            values = {'loss': step.loss, 'learning rate': step.learning_rate, **speed}
            for name, value in values.items():
                self._board.add_scalar(name, value, step.number + 1)


def read_log(run: Path) -> list[Step]:
    """
    Return the steps that a run has logged; a last line that was cut off is left out.

    Raises TrainingError that names any other line that is damaged.
    """
    path = run / LOG_FILE
    if not path.is_file():
        return []
    sentence = '{where}: {wrong}; remove that line, or the file, to go on without what it says'
    return [step for _, step in read_lines(path, STEP, TrainingError, sentence)]


def memory_gib() -> float:
    """Return the most memory that was in use so far: the GPU's, else the process's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**30 if sys.platform == 'darwin' else 2**20)


def _line(step: Step) -> str:
    return json.dumps(asdict(step))


def _tensorboard(run: Path, console: Console, done: int) -> Any:
    """Return a writer of event files; None, and say so, where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        console.print(f'no TensorBoard files; {what_is_missing(error) or error}')
        return None
    return SummaryWriter(str(run / 'tensorboard'), purge_step=done + 1)
