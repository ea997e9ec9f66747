"""
One stage of training: Muon and AdamW, warm-up and cosine, progress, saves that survive a kill.

Muon takes the weights that map features to features, AdamW the rest.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from ros2_llava_phi.training.trainee import multiplies_bf16

from .muon import Muon

SAVE_EVERY = 200  # steps
AVERAGE_OVER = 50  # steps
READOUTS = ('head', 'lm_head')  # AdamW's, as embeddings, norms and biases are

Item = TypeVar('Item')


@dataclass(frozen=True)
class Stage:
    """
    How a stage is trained.

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


def run_stage(
    stage: Stage,
    module: nn.Module,
    batches: Callable[[int], Iterable[Item]],
    loss_of: Callable[[Item], Tensor],
    folder: Path,
) -> None:
    """
    Train a module through one stage, or go on where an earlier call was interrupted.

    batches: returns the stage's batches from a given step on.
    folder: where `NAME.safetensors` keeps weights, optimiser and step; a finished stage's file
    is loaded and nothing trained.

    Raises FloatingPointError if the loss stops being a number.
    """
    path = folder / f'{stage.name}.safetensors'
    for name, part in module.named_children():
        part.requires_grad_(name in stage.learning_rates)
    device = next(module.parameters()).device.type
    in_bf16 = multiplies_bf16(device)
    optimizers = _optimizers(stage, module, in_bf16)
    done = _load(path, module, optimizers) if path.exists() else 0
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    parameters = [parameter for group in groups for parameter in group['params']]
    average = float('nan')
    progress = tqdm(total=stage.steps, initial=done, desc=stage.name, unit='step', mininterval=5)
    for step, batch in zip(range(done, stage.steps), batches(done), strict=False):
        for group in groups:
            group['lr'] = group['peak'] * _share_of_peak(step, stage)
        with torch.autocast(device, torch.bfloat16, enabled=in_bf16):
            loss = loss_of(batch)
        if not math.isfinite(value := loss.item()):
            raise FloatingPointError(f'{stage.name}: the loss is {value} at step {step}')
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, stage.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        average = value if step == done else average + (value - average) / AVERAGE_OVER
        progress.update()
        progress.set_postfix(loss=f'{average:.4f}', refresh=False)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == stage.steps:
            _save(path, module, optimizers, step + 1)
    progress.close()


def _share_of_peak(step: int, stage: Stage) -> float:
    """Return the learning rate as a share of its peak: linear warm-up, then cosine to zero."""
    warm_up = max(1, int(stage.warm_up * stage.steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, stage.steps - warm_up)))


def _optimizers(stage: Stage, module: nn.Module, in_bf16: bool) -> list[Optimizer]:
    """Return Muon and AdamW for the parts that learn, with an empty group where one has none."""
    linear = {
        layer.weight
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and path.split('.')[-1] not in READOUTS
    }
    mapping, rest = [], []
    for name, peak in stage.learning_rates.items():
        part = getattr(module, name)
        mapping.append({'params': [p for p in part.parameters() if p in linear], 'peak': peak})
        rest.append({'params': [p for p in part.parameters() if p not in linear], 'peak': peak})
    decay = stage.weight_decay
    return [
        Muon(mapping, weight_decay=decay, dtype=torch.bfloat16 if in_bf16 else torch.float32),
        torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=decay, fused=True),
    ]


def _save(path: Path, module: nn.Module, optimizers: Sequence[Optimizer], step: int) -> None:
    """Write everything that going on needs; a kill while writing leaves the old file whole."""
    tensors = {f'weights.{name}': tensor for name, tensor in module.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()['state'].items():
            name = f'optimizer.{number}.{index}'
            tensors.update({f'{name}.{key}': value for key, value in state.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    save_file({**tensors, 'step': torch.tensor(step)}, partial)
    partial.replace(path)


def _load(path: Path, module: nn.Module, optimizers: Sequence[Optimizer]) -> int:
    """Restore what _save wrote; return the steps done."""
    tensors = load_file(path)
    done = int(tensors.pop('step'))
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    weights = {}
    for name, tensor in tensors.items():
        kind, rest = name.split('.', maxsplit=1)
        if kind == 'weights':
            weights[rest] = tensor
        else:
            number, index, key = rest.split('.')
            states[int(number)].setdefault(int(index), {})[key] = tensor
    module.load_state_dict(weights)
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({**optimizer.state_dict(), 'state': state})
    return done
