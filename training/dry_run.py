"""A look at a training before it starts: its first batches, and the time and memory to expect."""

import torch
from rich.console import Console
from rich.text import Text
from tokenizers import Tokenizer

from ros2_llava_phi.errors import counted
from ros2_llava_phi.model.config import CONFIG_FILE

from .batches import positions
from .labels import PICTURE, Labelled
from .plan import parts_of
from .recipe import Recipe
from .run import make_trainer
from .samples import read_samples
from .saves import RUN, check_run, last_save
from .start import open_start
from .step_log import memory_gib
from .trainer import Step, Trainer, start_accelerator, warn_of_bf16

BATCHES = 2
SHOWN = 4  # samples of each


def dry_run(recipe: Recipe, console: Console) -> None:
    """
    Print the first batches with their labels, and what a run will take; nothing is written.

    To measure it, an epoch's smallest and largest steps are taken. Raises as `train` does.
    """
    accelerator = start_accelerator(recipe)
    warn_of_bf16(recipe, accelerator, console)
    origin = open_start(recipe.start, recipe.seed)
    samples = read_samples(recipe, origin.tokenizer, origin.config, console)
    if check_run(recipe.out, recipe, samples.fingerprint, origin.weights_hash):
        if (recipe.out / CONFIG_FILE).is_file():
            console.print(f'{recipe.out} is finished: there is nothing left to do')
            return
        state = last_save(recipe.out / RUN)
        done = state.step if state is not None else 0
        console.print(f'{recipe.out} holds this run, of which saved: {counted(done, "step")}')
    trainer = make_trainer(recipe, origin, samples, accelerator)
    console.print('What carries loss is green; the rest is only read.')
    for step in range(min(BATCHES, trainer.steps)):
        rows = trainer.plan.rows(step)
        conversations = counted(len(rows), 'conversation')
        console.rule(f'step {step + 1}: {conversations}, the first {SHOWN} of them')
        for row in rows[:SHOWN]:
            console.print(coloured(samples.training[row], origin.tokenizer))
    parts = _parts(trainer, accelerator.num_processes * recipe.accumulate)
    sizes = {step: sum(positions) for step, positions in parts.items()}
    least, most = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    # Memory is taken by one part at a time.
    widest = max(parts, key=lambda step: max(parts[step]))
    # The first is slower, and does not count.
    _, short, long, _ = trainer.run([least, least, most, widest])
    seconds = mean_seconds(sizes, short, long)
    one = f'{short.seconds:.2f}' + (f' to {long.seconds:.2f}' if least != most else '')
    where = 'GPU memory' if torch.cuda.is_available() else 'memory'
    console.rule('to expect')
    console.print(
        f'{counted(trainer.steps, "step")} of {one} s: about '
        f'{_duration(seconds * trainer.steps)} without the questions before and after, and '
        f'{memory_gib():.1f} GiB of {where}. A save takes {_saved(trainer):,.0f} MiB.'
    )


def _parts(trainer: Trainer, parts: int) -> dict[int, list[int]]:
    """Return how many positions the parts of each step of an epoch take, by the step's number."""
    return {
        step: [
            positions([trainer.samples[row] for row in part])
            for part in parts_of(trainer.plan.rows(step), parts)
        ]
        for step in range(min(trainer.steps, trainer.plan.steps(1)))
    }


def mean_seconds(sizes: dict[int, int], short: Step, long: Step) -> float:
    """Return how long a step takes on average, by the time of the smallest and the largest."""
    least, most = sizes[short.number], sizes[long.number]
    if least == most:
        return (short.seconds + long.seconds) / 2
    mean = sum(sizes.values()) / len(sizes)
    return short.seconds + (mean - least) / (most - least) * (long.seconds - short.seconds)


def coloured(sample: Labelled, tokenizer: Tokenizer) -> Text:
    """Return a sample as text: green what carries loss, one bar between any two tokens of it."""
    text = Text()
    for token, learned in zip(sample.tokens.tolist(), sample.learned.tolist(), strict=True):
        if token == PICTURE:
            text.append(f'<picture: {sample.image_tokens} tokens>', 'cyan')
            continue
        words = tokenizer.decode([token], skip_special_tokens=False)
        text.append(f'{words}|' if learned else words, 'bold green' if learned else 'dim')
    return text


def _saved(trainer: Trainer) -> float:
    """Return the size of a save, with AdamW's two moments, in MiB."""
    return 3 * 4 * trainer.learning_parameters / 2**20


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 7200 else f'{seconds / 3600:.1f} h'
