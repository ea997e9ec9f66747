"""
Conversations per second beside transformers' Trainer, on the same model, data and batches.

    python benchmarks/train_throughput.py [--steps 12] [--batch-size 48]

Projector and decoder of llava-phi-tiny learn, in fp32, from several questions about each picture.
Both get the same conversations in the same order, read pictures from the same files, and take the
same steps, so that their losses must agree. The three take turns, twice.
"""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from accelerate.state import AcceleratorState, PartialState
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import SequentialSampler
from transformers import (
    LlavaForConditionalGeneration,
    TrainerCallback,
    TrainingArguments,
)
from transformers import Trainer as TheirTrainer

from ros2_llava_phi.assistant.load import find_model
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint
from ros2_llava_phi.model.convert import convert
from ros2_llava_phi.training.batches import collate
from ros2_llava_phi.training.labels import PICTURE, Labelled
from ros2_llava_phi.training.recipe import Recipe
from ros2_llava_phi.training.run import make_trainer
from ros2_llava_phi.training.samples import Samples, read_samples
from ros2_llava_phi.training.start import Origin, open_start
from ros2_llava_phi.training.trainer import start_accelerator
from tiny.scene_files import Sort, write_scenes

MODEL = 'llava-phi-tiny'
RATE = 1e-4


@dataclass(frozen=True)
class Timed:
    """Each step's loss, and the seconds of all but the first."""

    losses: list[float]
    seconds: list[float]


def ours(recipe: Recipe, origin: Origin, samples: Samples) -> Timed:
    """Train by this project's trainer."""
    trainer = make_trainer(recipe, origin, samples, start_accelerator(recipe))
    steps = list(trainer.run())
    _forget_processes()
    return Timed([step.loss for step in steps], [step.seconds for step in steps[1:]])


def theirs(recipe: Recipe, origin: Origin, samples: Samples, folder: Path) -> Timed:
    """Train by transformers' Trainer, on the samples in the order of our steps."""
    trainer = make_trainer(recipe, origin, samples, start_accelerator(recipe))
    order = [samples.training[i] for n in range(trainer.steps) for i in trainer.plan.rows(n)]
    _forget_processes()
    clock = _Clock()
    arguments = TrainingArguments(
        output_dir=str(folder / 'transformers'),
        per_device_train_batch_size=recipe.batch_size,
        max_steps=trainer.steps,
        learning_rate=RATE,
        lr_scheduler_type='cosine',
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=recipe.clip,
        logging_steps=1,
        save_strategy='no',
        report_to='none',
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        disable_tqdm=True,
    )
    model = _their_model(folder / 'hf')
    image = model.config.image_token_id
    _InOrder(
        model=model,
        args=arguments,
        train_dataset=order,
        data_collator=lambda part: _their_batch(part, origin, image),
        callbacks=[clock],
    ).train()
    _forget_processes()
    return Timed(clock.losses, list(np.diff(clock.ends)))


class _InOrder(TheirTrainer):
    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]


class _Clock(TrainerCallback):
    def __init__(self) -> None:
        self.ends: list[float] = []
        self.losses: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())

    def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
        if logs and 'loss' in logs:
            self.losses.append(logs['loss'])


def _their_model(folder: Path) -> Any:
    """Return transformers' model with our weights, the head's bias included, its tower frozen."""
    if not folder.exists():
        convert(open_checkpoint(find_model(MODEL)), folder, 'hf')
    model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    head = load_network(find_model(MODEL)).decoder.lm_head
    model.lm_head = nn.Linear(head.in_features, head.out_features)
    model.lm_head.load_state_dict(head.state_dict())
    model.model.vision_tower.requires_grad_(False)
    return model


def _their_batch(part: Sequence[Labelled], origin: Origin, image: int) -> dict[str, Any]:
    """Return a batch as transformers wants it: a row and a picture for each conversation."""
    rows = []
    for sample in part:
        sizes = np.where(sample.tokens == PICTURE, sample.image_tokens, 1)
        ids = np.where(sample.tokens == PICTURE, image, sample.tokens).astype(np.int64)
        rows.append((np.repeat(ids, sizes), np.repeat(sample.learned, sizes)))
    longest = max(len(ids) for ids, _ in rows)
    shape = (len(rows), longest)
    tokens, labels = np.zeros(shape, np.int64), np.full(shape, -100)
    mask = np.zeros(shape, np.int64)
    for row, (ids, said) in enumerate(rows):
        tokens[row, : len(ids)] = ids
        labels[row, : len(ids)] = np.where(said, ids, -100)
        mask[row, : len(ids)] = 1
    pixels = [collate([sample], origin.config).pixels for sample in part]
    return {
        'input_ids': torch.from_numpy(tokens),
        'attention_mask': torch.from_numpy(mask),
        'labels': torch.from_numpy(labels),
        'pixel_values': torch.cat(pixels),
    }


def _forget_processes() -> None:
    AcceleratorState._reset_state(True)
    PartialState._reset_state()


def main(
    work: Annotated[Path, typer.Option(help='Folder for data.')] = Path('build/throughput'),
    steps: Annotated[int, typer.Option(help='Steps of each, the first one not timed.')] = 12,
    batch_size: Annotated[int, typer.Option(help='Conversations a step.')] = 48,
    rounds: Annotated[int, typer.Option(help='How often each takes its turn.')] = 2,
) -> None:
    """Measure, print a table, and write build/throughput/throughput.json."""
    shutil.rmtree(work, ignore_errors=True)
    data = write_scenes(work / 'data', 12 * steps, Sort.KNOWN, 17, 'train')
    settings = {
        'start': {'checkpoint': MODEL},
        'stage': 'instruct',
        'learns': {
            part: {'how': 'full', 'learning_rate': RATE} for part in ('projector', 'decoder')
        },
        'data': [{'name': 'scenes', 'path': data}],
        'validation': 0.0,
        'warm_up': 0.0,
        'batch_size': batch_size,
        'steps': steps,
        'out': work / 'never_written',
    }
    packed = Recipe.model_validate({**settings, 'questions_per_picture': 12})
    alone = packed.model_copy(update={'questions_per_picture': 1})
    origin = open_start(packed.start, 0)
    samples = read_samples(packed, origin.tokenizer, origin.config, Console())
    contenders = {
        "transformers' Trainer": lambda: theirs(packed, origin, samples, work),
        'ours, one question a row': lambda: ours(alone, origin, samples),
        'ours, questions behind their picture': lambda: ours(packed, origin, samples),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    losses: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, contender in contenders.items():
            timed = contender()
            seconds[name] += timed.seconds
            losses[name] = timed.losses
    _report(work, batch_size, seconds, losses)


def _report(
    work: Path, batch_size: int, seconds: dict[str, list[float]], losses: dict[str, list[float]]
) -> None:
    speeds = {name: batch_size / median(each) for name, each in seconds.items()}
    base = next(iter(speeds.values()))
    table = Table(f'{batch_size} conversations a step', 'conversations/s', 'ratio', 'last loss')
    for name, speed in speeds.items():
        table.add_row(name, f'{speed:.1f}', f'{speed / base:.2f}', f'{losses[name][-1]:.4f}')
    Console().print(table)
    names = list(losses)
    pairs = zip(losses[names[0]], losses[names[2]], strict=True)
    apart = max(abs(one - other) / max(one, 1e-3) for one, other in pairs)
    print(f'losses of the first and the last, step by step, differ by at most {apart:.2%}')
    result = {'batch_size': batch_size, 'conversations_per_second': speeds, 'losses': losses}
    (work / 'throughput.json').write_text(json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
    typer.run(main)
