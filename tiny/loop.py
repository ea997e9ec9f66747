"""
One phase of training: Muon and AdamW, warm-up and cosine, progress, saves that survive a kill.

Muon takes the weights that map features to features, AdamW the rest.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from ros2_llava_phi.training.saves import State, last_save, save
from ros2_llava_phi.training.trainee import multiplies_bf16
from ros2_llava_phi.training.trainer import set_rates

from .muon import Muon

SAVE_EVERY = 200  # steps
AVERAGE_OVER = 50  # steps
READOUTS = ('head', 'lm_head')  # AdamW's, as embeddings, norms and biases are

Item = TypeVar('Item')


@dataclass(frozen=True)
class Phase:
    """
    How a phase is trained.

    learning_rates: the peak, by part of the module (attribute name); other parts are frozen.
    Muon's steps are scaled to be as large as AdamW's, so that one rate fits both
    (arXiv 2502.16982).
    """

    name: str
    steps: int
    batch_size: int
    learning_rates: dict[str, float]
    weight_decay: float = 0.05
    warm_up: float = 0.05
    clip: float = 1.0


def run_phase(
    phase: Phase,
    module: nn.Module,
    batches: Callable[[int], Iterable[Item]],
    loss_of: Callable[[Item], Tensor],
    folder: Path,
) -> None:
    """
    Train a module through one phase, or go on where an earlier call was interrupted.

    batches: returns the phase's batches from a given step on.
    folder: where a folder of the phase's name keeps its last save; that of a finished phase is
    loaded and nothing trained.

    Raises FloatingPointError if the loss stops being a number, and TrainingError if a save is
    damaged.
    """
    saves = folder / phase.name
    saves.mkdir(parents=True, exist_ok=True)
    for name, part in module.named_children():
        part.requires_grad_(name in phase.learning_rates)
    device = next(module.parameters()).device.type
    in_bf16 = multiplies_bf16(device)
    optimizers = _optimizers(phase, module, in_bf16)
    done = 0
    if (state := last_save(saves)) is not None:
        _restore(module, optimizers, state)
        done = state.step
    parameters = [
        parameter
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group['params']
    ]
    average = float('nan')
    progress = tqdm(total=phase.steps, initial=done, desc=phase.name, unit='step', mininterval=5)
    for step, batch in zip(range(done, phase.steps), batches(done), strict=False):
        for optimizer in optimizers:
            set_rates(optimizer, step, phase.steps, phase.warm_up)
        with torch.autocast(device, torch.bfloat16, enabled=in_bf16):
            loss = loss_of(batch)
        if not math.isfinite(value := loss.item()):
            raise FloatingPointError(f'{phase.name}: the loss is {value} at step {step}')
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, phase.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        average = value if step == done else average + (value - average) / AVERAGE_OVER
        progress.update()
        progress.set_postfix(loss=f'{average:.4f}', refresh=False)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == phase.steps:
            save(saves, _state(module, optimizers, step + 1))
    progress.close()


def _optimizers(phase: Phase, module: nn.Module, in_bf16: bool) -> list[Optimizer]:
    """Return Muon and AdamW for the parts that learn, with an empty group where one has none."""
    linear = {
        layer.weight
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and path.split('.')[-1] not in READOUTS
    }
    mapping, rest = [], []
    for name, peak in phase.learning_rates.items():
        part = getattr(module, name)
        mapping.append({'params': [p for p in part.parameters() if p in linear], 'peak': peak})
        rest.append({'params': [p for p in part.parameters() if p not in linear], 'peak': peak})
    decay = phase.weight_decay
    return [
        Muon(mapping, weight_decay=decay, dtype=torch.bfloat16 if in_bf16 else torch.float32),
        torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=decay, fused=True),
    ]


def _state(module: nn.Module, optimizers: Sequence[Optimizer], done: int) -> State:
    """Return everything that going on needs; the optimisers' state by their and its numbers."""
    moments = {
        f'{number}.{index}/{key}': value
        for number, optimizer in enumerate(optimizers)
        for index, state in optimizer.state_dict()['state'].items()
        for key, value in state.items()
    }
    return State(done, module.state_dict(), moments)


def _restore(module: nn.Module, optimizers: Sequence[Optimizer], state: State) -> None:
    """Go back to where _state was called."""
    moments: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    for name, tensor in state.optimizer.items():
        place, _, key = name.partition('/')
        number, _, index = place.partition('.')
        moments[int(number)].setdefault(int(index), {})[key] = tensor
    module.load_state_dict(state.weights)
    for optimizer, mine in zip(optimizers, moments, strict=True):
        optimizer.load_state_dict({**optimizer.state_dict(), 'state': mine})
