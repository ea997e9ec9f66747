"""A training from its recipe to a finished model folder."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from ros2_llava_phi.errors import FileError, TrainingError
from ros2_llava_phi.files.atomic import move_in_order, replace_folder, write_atomically
from ros2_llava_phi.files.settings import read_json
from ros2_llava_phi.model.config import CONFIG_FILE, write_config
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.weights import save_network

from .parts import merge, save_adapter
from .plan import Plan
from .recipe import Recipe, Stage
from .run_report import write_report
from .samples import Samples, read_samples
from .saves import RUN, begin_run, last_save, remove_older, save
from .start import Origin, open_start, save_tokenizer
from .step_log import StepLog, read_log
from .trainer import Step, Trainer, start_accelerator, warn_of_bf16
from .validation import Validation, validate

ADAPTER = 'adapter'
BEFORE_FILE = 'before.json'


def train(recipe: Recipe, console: Console) -> None:
    """
    Train, or go on where an earlier call was interrupted, and write the model folder.

    Several processes, as torchrun starts them, share the work; the first one writes.

    Raises TrainingError, DataError, ModelError or FileError in one line.
    """
    accelerator = start_accelerator(recipe)
    first = accelerator.is_main_process
    quiet = console if first else Console(quiet=True)
    warn_of_bf16(recipe, accelerator, quiet)
    origin = open_start(recipe.start, recipe.seed)
    samples = read_samples(recipe, origin.tokenizer, origin.config, quiet)
    # Only now: what could not begin leaves nothing behind.
    begun = begin_run(recipe.out, recipe, samples.fingerprint, origin.weights_hash)
    with begun if first else nullcontext():
        _train(recipe, origin, samples, accelerator, console)
    accelerator.end_training()


def _train(
    recipe: Recipe, origin: Origin, samples: Samples, accelerator: Accelerator, console: Console
) -> None:
    first, run = accelerator.is_main_process, recipe.out / RUN
    quiet = console if first else Console(quiet=True)
    accelerator.wait_for_everyone()
    if (recipe.out / CONFIG_FILE).is_file():
        quiet.print(f'{recipe.out} is finished: there is nothing left to do')
        return
    exam = Exam(recipe, origin, samples, str(accelerator.device), quiet)
    if first:
        exam.before(run)
    accelerator.wait_for_everyone()
    trainer = make_trainer(recipe, origin, samples, accelerator)
    if (state := last_save(run)) is not None:
        trainer.restore(state)
        quiet.print(f'going on from step {trainer.done} of {trainer.steps}')
    if first:
        # Only now that the last one has turned out to be whole.
        remove_older(run)
        with StepLog(run, console, trainer.steps, trainer.done) as log:
            _loop(trainer, run, accelerator, log.show)
    else:
        _loop(trainer, run, accelerator, lambda step: None)
    learned = trainer.state().weights
    del trainer
    accelerator.free_memory()
    if first:
        finish(recipe, origin, samples, learned, exam)
        console.print(f'{recipe.out}: a model folder, ready to run')


def make_trainer(
    recipe: Recipe, origin: Origin, samples: Samples, accelerator: Accelerator
) -> Trainer:
    """Read the network, and plan the batches."""
    plan = Plan(
        samples.training,
        samples.weights,
        recipe.batch_size,
        recipe.seed,
        recipe.questions_per_picture,
    )
    return Trainer(recipe, origin.read().float(), samples.training, plan, accelerator)


def _loop(
    trainer: Trainer,
    run: Path,
    accelerator: Accelerator,
    show: Callable[[Step], None],
) -> None:
    """Take all steps, and save on the way."""
    every = trainer.recipe.save_every
    for step in trainer.run():
        show(step)
        if trainer.done % every == 0 or trainer.done == trainer.steps:
            state = trainer.state()
            if accelerator.is_main_process:
                save(run, state)
            accelerator.wait_for_everyone()


@dataclass(frozen=True)
class Exam:
    """The held-out questions, which are asked before and after."""

    recipe: Recipe
    origin: Origin
    samples: Samples
    device: str
    console: Console

    def before(self, run: Path) -> Validation:
        """Ask the model that the training starts from, unless an earlier call has."""
        path = run / BEFORE_FILE
        if not path.is_file():
            found = self.ask(self.origin.read(), 'before')
            write_atomically(path, found.model_dump_json(), TrainingError)
        try:
            found = read_json(path, Validation)
        except FileError as error:
            raise TrainingError(f'{error}; remove it to have the start asked again') from error
        if self.samples.validation and found.loss is None:
            raise TrainingError(f'{path}: loss is null; remove it to have the start asked again')
        return found

    def ask(self, network: LlavaPhi, when: str) -> Validation:
        """Ask a network; `when` is shown beside the bar."""
        recipe, held_out = self.recipe, self.samples.validation
        asks = 0 if recipe.stage == Stage.ALIGN else recipe.validation_questions
        with Progress(console=self.console, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(f'validation {when}', total=min(asks, len(held_out)))
            return validate(
                network,
                self.origin.tokenizer,
                held_out,
                asks,
                recipe.seed,
                # A CPU asks one question after another faster in fp32.
                'fp32' if self.device == 'cpu' else recipe.precision,
                self.device,
                lambda: progress.advance(task),
            )


def finish(
    recipe: Recipe, origin: Origin, samples: Samples, learned: dict[str, Tensor], exam: Exam
) -> None:
    """
    Write the model folder: the start's weights, with what was learned in their place.

    config.json comes last: without it, a folder is no model yet.
    """
    run = recipe.out / RUN
    network = origin.read()
    merge(network, learned, recipe.lora)
    made = run / 'model'
    with replace_folder(made, TrainingError) as partial:
        save_network(network, partial, None)
        save_tokenizer(origin.tokenizer, partial)
        scores = exam.before(run), exam.ask(network, 'after')
        config = network.config
        temperature = scores[1].temperature(config.temperature)
        if temperature is not None:
            config = config.model_copy(update={'temperature': temperature})
            write_config(config, partial)
        if recipe.uses_lora:
            save_adapter(partial / ADAPTER, learned, recipe, origin, config)
        write_report(partial, recipe, origin, samples, read_log(run), *scores)
    shutil.rmtree(recipe.out / ADAPTER, ignore_errors=True)
    paths = sorted(made.iterdir(), key=lambda path: path.name == CONFIG_FILE)
    move_in_order(paths, recipe.out)
    made.rmdir()
