"""A look at a training before it starts: its first batches, and the time and memory to expect."""

from itertools import islice

import torch
from rich.console import Console
from rich.text import Text
from tokenizers import Tokenizer

from ros2_llava_phi.model.config import CONFIG_FILE

from .labels import PICTURE, Labelled
from .recipe import Recipe
from .run import make_trainer
from .samples import read_samples
from .saves import RUN, check_run, last_save
from .start import open_start
from .trainer import Trainer, start_accelerator
from .watch import memory_gib

BATCHES = 2
SHOWN = 4  # samples of each
STEPS = 3  # that are taken; the first is slower, and does not count


def dry_run(recipe: Recipe, console: Console) -> None:
    """
    Print the first batches with their labels, and what a run will take; nothing is written.

    A few steps are taken to measure it. Raises as `train` does.
    """
    accelerator = start_accelerator(recipe)
    origin = open_start(recipe.start, recipe.seed)
    samples = read_samples(recipe, origin.tokenizer, origin.config, console)
    if check_run(recipe.out, recipe, samples.fingerprint):
        if (recipe.out / CONFIG_FILE).is_file():
            console.print(f'{recipe.out} is finished: there is nothing left to do')
            return
        state = last_save(recipe.out / RUN)
        done = state.step if state is not None else 0
        console.print(f'{recipe.out} holds this run, of which {done} steps are saved')
    trainer = make_trainer(recipe, origin, samples, accelerator)
    console.print('What carries loss is green; the rest is only read.')
    for step in range(min(BATCHES, trainer.steps)):
        rows = trainer.plan.rows(step)
        console.rule(f'step {step + 1}: {len(rows)} conversations, the first {SHOWN} of them')
        for row in rows[:SHOWN]:
            console.print(coloured(samples.training[row], origin.tokenizer))
    taken = list(islice(trainer.run(), STEPS))
    counted = taken[1:] or taken
    seconds = sum(step.seconds for step in counted) / len(counted)
    where = 'GPU memory' if torch.cuda.is_available() else 'memory'
    console.rule('to expect')
    console.print(
        f'{trainer.steps} steps of {seconds:.2f} s: about {_duration(seconds * trainer.steps)}, '
        f'and {memory_gib():.1f} GiB of {where}. A save takes {_saved(trainer):,.0f} MiB.'
    )


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
