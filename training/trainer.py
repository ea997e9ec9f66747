"""
The training loop.

What a step does follows from the recipe and the step's number alone: its samples, its learning
rate, its random numbers. So going on from a save gives the same bits as never having stopped.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import InitProcessGroupKwargs
from rich.console import Console
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from ros2_llava_phi.errors import TrainingError
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.network import LlavaPhi

from .batches import Batch, collate
from .labels import Labelled
from .parts import optimizer_of, set_learning
from .plan import Plan, parts_of
from .recipe import Recipe
from .saves import RUN, State, damaged, place_of
from .trainee import Trainee, compute_again, multiplies_bf16

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)

NETWORK = 'network.'  # how Trainee names its network


@dataclass(frozen=True)
class Step:
    """
    What came of one step.

    loss: mean over the tokens that carry loss, of all processes. tokens: positions read.
    norm: of the gradient, before it was clipped. seconds: the whole step took.
    """

    number: int
    loss: float
    learning_rate: float
    norm: float
    tokens: int
    seconds: float


def start_accelerator(recipe: Recipe) -> Accelerator:
    """
    Return what knows the devices and processes: those of torchrun, else one GPU or the CPU.

    Raises TrainingError if the precision or the number of processes cannot be had.
    """
    on_gpu = torch.cuda.is_available()
    if recipe.precision == 'fp16' and not on_gpu:
        raise TrainingError('precision fp16 needs a GPU; use fp32 or bf16')
    accelerator = Accelerator(
        cpu=not on_gpu,
        # The others wait while the first one asks the held-out questions.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=12))],
        mixed_precision='no' if recipe.precision == 'fp32' else recipe.precision,
        fsdp_plugin=_fsdp() if recipe.fsdp else None,
    )
    if recipe.fsdp and accelerator.distributed_type != DistributedType.FSDP:
        raise TrainingError('fsdp needs several GPUs, with a process each; start it by torchrun')
    parts = accelerator.num_processes * recipe.accumulate
    if parts > recipe.batch_size:
        raise TrainingError(
            f'batch_size {recipe.batch_size} is less than {accelerator.num_processes} processes '
            f'times accumulate {recipe.accumulate}'
        )
    return accelerator


def warn_of_bf16(recipe: Recipe, accelerator: Accelerator, console: Console) -> None:
    """Say so if a precision is to be had, but slow."""
    device = accelerator.device.type
    if recipe.precision == 'bf16' and not multiplies_bf16(device):
        console.print(f'precision bf16 is slow on this {device}, which has no instructions for it')


def _fsdp() -> Any:
    from accelerate import FullyShardedDataParallelPlugin

    return FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy='transformer_based_wrap',
        transformer_cls_names_to_wrap=['DecoderLayer', 'VisionLayer'],
        cpu_ram_efficient_loading=False,
    )


class Trainer:
    """A network, its optimiser and its data, at some step of a training."""

    def __init__(
        self,
        recipe: Recipe,
        network: LlavaPhi,
        samples: list[Labelled],
        plan: Plan,
        accelerator: Accelerator,
    ) -> None:
        """Take over a network, in fp32, and make it ready to learn."""
        self.recipe = recipe
        self.samples = samples
        self.plan = plan
        self.steps = recipe.steps or plan.steps(recipe.epochs or 1)
        self.done = 0
        self._accelerator = accelerator
        self._config = network.config
        set_learning(network, recipe)
        if recipe.checkpointing:
            compute_again(network)
        self._shapes = {n: p.shape for n, p in network.named_parameters() if p.requires_grad}
        self.learning_parameters = sum(shape.numel() for shape in self._shapes.values())
        optimizer = optimizer_of(network, recipe)
        trainee = Trainee(network).train()
        self._trainee, self._optimizer = accelerator.prepare(trainee, optimizer)

    def run(self, numbers: Sequence[int] = ()) -> Iterator[Step]:
        """
        Train from the step that was reached to the last one; yield what came of each.

        numbers: of other steps to take instead.

        Raises TrainingError, before the weights are changed, if the loss stops being a number.
        """
        numbers = numbers or range(self.done, self.steps)
        loader = DataLoader(
            _Parts(self.recipe, self.samples, self.plan, self._config, self._accelerator),
            batch_size=None,
            sampler=numbers,
            num_workers=self.recipe.workers,
        )
        start = time.perf_counter()
        for self.done, parts in zip(numbers, loader, strict=True):
            step = self._step(parts, start)
            self.done += 1
            yield step
            start = time.perf_counter()

    def _step(self, parts: list[Batch], start: float) -> Step:
        rows = self.plan.rows(self.done)
        targets = sum(self.samples[row].targets for row in rows)
        _seed(self.recipe.seed, self.done, self._accelerator.process_index)
        set_rates(self._optimizer, self.done, self.steps, self.recipe.warm_up)
        loss = self._gradient(parts, targets)
        if not math.isfinite(loss):
            raise TrainingError(self._no_number('loss', loss))
        norm = self._clip()
        # In fp16 the scaler passes over a step whose gradient overflows, and scales less.
        if self.recipe.precision != 'fp16' and not math.isfinite(norm):
            raise TrainingError(self._no_number("gradient's norm", norm))
        self._optimizer.step()
        self._optimizer.zero_grad()
        return Step(
            self.done,
            loss,
            max(group['lr'] for group in self._optimizer.param_groups),
            norm,
            sum(self.samples[row].length for row in rows),
            time.perf_counter() - start,
        )

    def _gradient(self, parts: list[Batch], targets: int) -> float:
        """Add up the gradients of a step's parts, over all processes; return the mean loss."""
        accelerator = self._accelerator
        total = torch.zeros((), device=accelerator.device)
        for number, part in enumerate(parts, start=1):
            last = number == len(parts)
            # Gradients are exchanged once, after a step's last part.
            with nullcontext() if last else accelerator.no_sync(self._trainee):
                loss = self._trainee(part.to(accelerator.device))
                # Processes' gradients are averaged, and the loss is a mean over all their tokens.
                accelerator.backward(loss * (accelerator.num_processes / targets))
            total += loss.detach()
        whole: Tensor = accelerator.reduce(total, 'sum')
        return whole.item() / targets

    def _clip(self) -> float:
        learned = [p for group in self._optimizer.param_groups for p in group['params']]
        norm = self._accelerator.clip_grad_norm_(learned, self.recipe.clip)
        return float(norm)

    def _no_number(self, what: str, value: float) -> str:
        return (
            f'the {what} is {value} at step {self.done + 1}; the last save stays as it is, and a '
            'lower learning rate, a smaller clip or precision fp32 may help'
        )

    def state(self) -> State:
        """Return what a save holds; every process must ask for it, and the first one gets it."""
        named: Any = get_model_state_dict(self._trainee, options=WHOLE)
        weights = {name.removeprefix(NETWORK): tensor for name, tensor in named.items()}
        moments: Any = get_optimizer_state_dict(
            self._trainee, self._optimizer.optimizer, options=WHOLE
        )
        optimizer = {
            f'{name}/{key}': torch.as_tensor(value)
            for name, state in moments.get('state', {}).items()
            for key, value in state.items()
        }
        scaler = self._accelerator.scaler
        return State(self.done, weights, optimizer, scaler and scaler.state_dict())

    def restore(self, state: State) -> None:
        """Go back to a save; raises TrainingError if it is not of this network and optimiser."""
        self._check(state)
        mine: Any = get_optimizer_state_dict(
            self._trainee,
            self._optimizer.optimizer,
            options=StateDictOptions(ignore_frozen_params=True),
        )
        moments: dict[str, Any] = {}
        for key, tensor in state.optimizer.items():
            name, _, kind = key.rpartition('/')
            moments.setdefault(name, {})[kind] = tensor
        loading = StateDictOptions(full_state_dict=True, strict=False, ignore_frozen_params=True)
        weights: Any = {f'{NETWORK}{name}': tensor for name, tensor in state.weights.items()}
        set_model_state_dict(self._trainee, weights, options=loading)
        set_optimizer_state_dict(
            self._trainee,
            self._optimizer.optimizer,
            {**mine, 'state': moments},
            options=loading,
        )
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state.scaler)
        self.done = state.step

    def _check(self, state: State) -> None:
        wanted: dict[str, tuple[int, ...]] = {}
        for name, shape in self._shapes.items():
            moments = f'{NETWORK}{name}'
            wanted[name] = wanted[f'{moments}/exp_avg'] = wanted[f'{moments}/exp_avg_sq'] = shape
            wanted[f'{moments}/step'] = ()
        found = {name: t.shape for name, t in [*state.weights.items(), *state.optimizer.items()]}
        place = place_of(self.recipe.out / RUN, state.step)
        for name in sorted(wanted | found):
            if wanted.get(name) != found.get(name):
                raise damaged(place, f'{name} in {place} is not as in this network')
        scaler = self._accelerator.scaler
        if (state.scaler or {}).keys() != (scaler.state_dict() if scaler else {}).keys():
            raise damaged(place, f'the scaler in {place} is not as in this precision')


def share_of_peak(step: int, steps: int, warm_up: float) -> float:
    """Return the learning rate of a step as a share of its peak, more than 0 and up to 1."""
    rising = math.ceil(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def set_rates(optimizer: Optimizer, step: int, steps: int, warm_up: float) -> None:
    """Set every group's learning rate from its `peak`."""
    for group in optimizer.param_groups:
        group['lr'] = group['peak'] * share_of_peak(step, steps, warm_up)


class _Parts(Dataset[list[Batch]]):
    """A step's batches for this process, by the step's number."""

    def __init__(
        self,
        recipe: Recipe,
        samples: list[Labelled],
        plan: Plan,
        config: ModelConfig,
        accelerator: Accelerator,
    ) -> None:
        self._samples, self._plan, self._config = samples, plan, config
        self._each = recipe.accumulate
        self._parts = accelerator.num_processes * recipe.accumulate
        self._first = accelerator.process_index * recipe.accumulate

    def __getitem__(self, step: int) -> list[Batch]:
        parts = parts_of(self._plan.rows(step), self._parts)
        return [
            collate([self._samples[row] for row in part], self._config)
            for part in parts[self._first : self._first + self._each]
        ]


def _seed(seed: int, step: int, process: int) -> None:
    """Seed what is random in a step, such as dropout."""
    number = np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(number) >> 1)
