"""A step's gradient is that of transformers' LLaVA on the same batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_layouts import IMAGE, PAD, SIZES, transformers_model, write_checkpoint
from small_model import CONFIG, small_network
from torch import Tensor
from train_data import FULL, PROJECTOR, recipe, write_pictures

from ros2_llava_phi.datasets.dialogue import Dialogue
from ros2_llava_phi.model.checkpoint import load_network
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.training.batches import Batch, collate
from ros2_llava_phi.training.labels import PICTURE, Labelled
from ros2_llava_phi.training.parts import set_learning
from ros2_llava_phi.training.trainee import Trainee, compute_again

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5


def samples(folder: Path, image_tokens: int) -> list[Labelled]:
    """Two questions about one picture, one with two answers about another, text alone."""
    pictures = write_pictures(folder, 2)
    talks = [
        (0, [5, 7, PICTURE, 11, 13, 2, 3], [5, 6]),
        (0, [5, 7, PICTURE, 11, 4, 9, 8, 30], [5, 6, 7]),
        (1, [5, PICTURE, 4, 6, 8, 12, 17, 22, 3], [3, 4, 7, 8]),
        (None, [9, 8, 7, 6, 5], [3, 4]),
    ]
    return [
        Labelled(
            np.array(tokens, np.int32),
            np.isin(np.arange(len(tokens)), learned),
            image_tokens,
            Dialogue('test', '', '', () if of is None else (pictures / f'{of}.png',), ()),
        )
        for of, tokens, learned in talks
    ]


def their_loss(model: Any, samples: list[Labelled], config: ModelConfig) -> Tensor:
    """Return transformers' mean loss, one row a sample and a picture for each, padded right."""
    rows, labels = [], []
    for sample in samples:
        sizes = np.where(sample.tokens == PICTURE, sample.image_tokens, 1)
        ids = np.repeat(np.where(sample.tokens == PICTURE, IMAGE, sample.tokens), sizes)
        said = np.repeat(sample.learned, sizes)
        rows.append(ids)
        labels.append(np.where(said, ids, -100))
    longest = max(map(len, rows))

    def padded(arrays: list[Any], value: int) -> Tensor:
        full = [np.pad(a, (0, longest - len(a)), constant_values=value) for a in arrays]
        return torch.tensor(np.stack(full).astype(np.int64))

    pixels = [collate([sample], config).pixels for sample in samples]
    loss: Tensor = model(
        input_ids=padded(rows, PAD),
        attention_mask=padded([np.ones_like(row) for row in rows], 0),
        labels=padded(labels, -100),
        pixel_values=torch.cat(pixels),
    ).loss
    return loss


def our_gradient(network: LlavaPhi, batch: Batch, targets: int) -> tuple[float, dict[str, Any]]:
    loss = Trainee(network)(batch) / targets
    loss.backward()
    return loss.item(), {name: p.grad for name, p in network.named_parameters()}


@pytest.mark.parametrize('stage', ['align', 'instruct'])
@pytest.mark.parametrize('size', ['narrow', 'wide'])
def test_the_gradient_is_that_of_transformers(tmp_path: Path, size: str, stage: str) -> None:
    model = transformers_model(size).train()
    network = load_network(write_checkpoint(tmp_path / 'model', 'original 4.37', size, model))
    vision = SIZES[size]['vision']
    talks = samples(tmp_path, (vision['image'] // vision['patch']) ** 2)
    learns = PROJECTOR if stage == 'align' else FULL
    set_learning(network, recipe(tmp_path, stage=stage, learns=learns))
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    for part in (model.model.language_model, model.lm_head):
        part.requires_grad_(stage == 'instruct')

    wanted = their_loss(model, talks, network.config)
    wanted.backward()
    targets = sum(sample.targets for sample in talks)
    loss, gradient = our_gradient(network, collate(talks, network.config), targets)

    assert loss == pytest.approx(wanted.item(), rel=1e-5)
    # Their gradient as a checkpoint: read as ours, it has our names.
    learned = {name for name, p in network.named_parameters() if p.requires_grad}
    for parameter in model.parameters():
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    write_checkpoint(tmp_path / 'gradient', 'original 4.37', size, model)
    theirs = dict(load_network(tmp_path / 'gradient').named_parameters())
    assert {name for name, grad in gradient.items() if grad is not None} == learned
    for name in learned:
        assert (gradient[name] - theirs[name]).abs().max() < TOLERANCE, name
        assert theirs[name].abs().max() > 0 or name.endswith('k_proj.bias')
    parts = {'projector'} if stage == 'align' else {'projector', 'decoder'}
    assert {name.split('.')[0] for name in learned} == parts


def test_activations_computed_again_change_no_gradient(tmp_path: Path) -> None:
    batch = collate(samples(tmp_path, 16), CONFIG)
    kept, again = small_network(), small_network()
    compute_again(again)
    _, one = our_gradient(kept, batch, 11)
    _, other = our_gradient(again, batch, 11)
    for name, grad in one.items():
        if grad is not None:
            torch.testing.assert_close(other[name], grad)
