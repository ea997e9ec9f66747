"""Training: resuming is exact, a damaged loss stops it, and the phases learn what they should."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import CONFIG
from torch import Tensor, nn

from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.prompt import BEFORE_PICTURE
from ros2_llava_phi.model.tokenizer import END_OF_TEXT
from ros2_llava_phi.training.batches import pack
from ros2_llava_phi.training.labels import PICTURE, LabelledTokens
from ros2_llava_phi.training.trainee import answer_loss
from tiny import loop, make
from tiny.loop import Phase, run_phase
from tiny.losses import attribute_words, patch_loss, rare_weights, word_loss
from tiny.muon import Muon, orthogonalised
from tiny.network import Pupil, initialise
from tiny.scene_shards import SceneShards, batch_rows, make_shards
from tiny.scenes import ATTRIBUTES
from tiny.tokenizer import train_tokenizer

pytestmark = pytest.mark.slow


def fresh_network() -> LlavaPhi:
    torch.manual_seed(0)
    network = LlavaPhi(CONFIG)
    initialise(network)
    return network


class StopTrainingError(Exception):
    pass


class TwoParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 2)

    def loss(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(x).tanh())
        return (out - x[:, :2]).float().square().mean()


def two_parts() -> TwoParts:
    torch.manual_seed(0)
    return TwoParts()


def numbers(stop_at: int | None = None) -> Callable[[int], Iterator[Tensor]]:
    def batches(start: int) -> Iterator[Tensor]:
        for step in range(start, 1000):
            if step == stop_at:
                raise StopTrainingError
            yield torch.from_numpy(np.random.default_rng(step).normal(size=(16, 4))).float()

    return batches


def train(module: TwoParts, folder: Path, phase: Phase, stop_at: int | None = None) -> None:
    run_phase(phase, module, numbers(stop_at), module.loss, folder)


BOTH = Phase('both', 30, 16, {'first': 1e-2, 'second': 1e-2})


def test_resuming_equals_never_stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, 'SAVE_EVERY', 10)
    straight, resumed = two_parts(), two_parts()
    train(straight, tmp_path / 'a', BOTH)
    with pytest.raises(StopTrainingError):
        train(two_parts(), tmp_path / 'b', BOTH, stop_at=17)
    train(resumed, tmp_path / 'b', BOTH)
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    done, again = two_parts(), two_parts()
    train(done, tmp_path, BOTH)
    train(again, tmp_path, BOTH, stop_at=0)
    assert torch.equal(done.first.weight, again.first.weight)


def test_parts_without_learning_rate_are_frozen(tmp_path: Path) -> None:
    module = two_parts()
    before = [parameter.clone() for parameter in module.parameters()]
    train(module, tmp_path, Phase('one', 5, 16, {'second': 1e-2}))
    same = [torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True)]
    assert same == [True, True, False, False]


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    module = two_parts()
    with pytest.raises(FloatingPointError, match='both: the loss is nan at step 0'):
        run_phase(BOTH, module, numbers(), lambda x: module.loss(x) * float('nan'), tmp_path)


def test_every_epoch_has_every_row_once() -> None:
    rows = batch_rows(10, 5, seed=0, start=0)
    first, second = [np.concatenate([next(rows), next(rows)]) for _ in range(2)]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first.tolist() != second.tolist()
    np.testing.assert_array_equal(next(batch_rows(10, 5, seed=0, start=3)), second[5:])


def test_the_packed_loss_can_be_learned(tmp_path: Path) -> None:
    """Two pictures and one question whose answer depends on the picture alone."""
    network = fresh_network()
    pixels = torch.stack([torch.full((3, 32, 32), -1.0), torch.full((3, 32, 32), 1.0)])
    learned = np.array([False] * 4 + [True] * 2)
    asked = [
        LabelledTokens(np.array([1, PICTURE, 5, 6, answer, 0], np.int32), learned, 16)
        for answer in (7, 8)
    ]
    batch = pack([[each] for each in asked], pixels)

    def loss_of(_: None) -> Tensor:
        return answer_loss(network.decoder, batch, network.encode(pixels)) / batch.targets

    phase = Phase('learn', 60, 2, dict.fromkeys(('vision_tower', 'projector', 'decoder'), 3e-3))
    run_phase(phase, network, lambda start: [None] * 60, loss_of, tmp_path)
    assert loss_of(None).item() < 0.05


def test_shards_keep_what_was_drawn(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(['Is there a red car? Yes No 0 1 2 3'] * 9, 400)
    tokenizer.encode_special_tokens = True
    paths = make_shards(tmp_path, 4, 0, CONFIG, tokenizer, scenes_per_shard=2)
    shards = SceneShards(paths, torch.device('cpu'))
    assert len(shards) == 4
    assert shards.pixels(np.array([0, 3])).shape == (2, 3, 32, 32)
    targets = shards.targets(np.arange(4))
    assert targets.shape == (4, 16, len(ATTRIBUTES))
    assert set(targets.flatten().tolist()) == {0.0, 1.0}
    for asked in shards.questions(2, 5, np.random.default_rng(0)):
        tokens, prefix = asked.tokens.tolist(), asked.prefix
        assert tokenizer.decode(tokens[: prefix - 1]) == BEFORE_PICTURE
        assert tokens[prefix - 1] == PICTURE
        text = tokenizer.decode(tokens[prefix:], skip_special_tokens=False)
        assert ' ASSISTANT: ' in text
        assert text.endswith(END_OF_TEXT)
        assert tokenizer.decode(tokens[prefix : -asked.targets]).endswith('ASSISTANT:')
        assert asked.image_tokens == 16
    before = {path: path.stat().st_mtime_ns for path in paths}
    make_shards(tmp_path, 4, 0, CONFIG, tokenizer, scenes_per_shard=2)
    assert before == {path: path.stat().st_mtime_ns for path in paths}


def test_the_tower_learns_what_patches_show(tmp_path: Path) -> None:
    """Bright patches, at places that differ from picture to picture."""
    torch.manual_seed(0)
    targets = (torch.rand(32, CONFIG.vision.patches, 1) < 0.2).float()
    grid, patch = CONFIG.vision.grid, CONFIG.vision.patch_size
    squares = targets.view(32, 1, grid, grid)
    pixels = squares.repeat_interleave(patch, 2).repeat_interleave(patch, 3).repeat(1, 3, 1, 1)
    pupil = Pupil(fresh_network(), attributes=1)
    weights = rare_weights(targets)
    assert weights.item() == pytest.approx(2, abs=0.3)

    def loss_of(_: None) -> Tensor:
        return patch_loss(pupil.head(pupil.vision_tower(pixels)), targets, weights)

    phase = Phase('tower', 80, 32, {'vision_tower': 3e-3, 'head': 3e-3})
    run_phase(phase, pupil, lambda start: [None] * 80, loss_of, tmp_path)
    found = pupil.head(pupil.vision_tower(pixels)) > 0
    assert (found == targets.bool()).float().mean().item() > 0.99


def test_all_stages_run_and_end_in_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every phase for two steps, with a small network and few scenes: the card is written, too."""
    monkeypatch.setattr(make, 'CONFIG', CONFIG)
    monkeypatch.setattr(make, 'TOKENS', CONFIG.text.vocab_size)
    for name in ('TRAINING_SCENES', 'SCENES_PER_SHARD', 'TOKENIZER_SCENES'):
        monkeypatch.setattr(make, name, 4)
    for name in ('CALIBRATION_SCENES', 'EVALUATION_SCENES'):
        monkeypatch.setattr(make, name, 2)
    for name in ('TOWER', 'ALIGN', 'INSTRUCT'):
        phase = getattr(make, name)
        monkeypatch.setattr(make, name, replace(phase, steps=2, batch_size=2))
    monkeypatch.setattr(make, 'write_recording', lambda *paths: None)
    make.make_tiny(tmp_path / 'work', tmp_path / 'model', tmp_path / 'drive')
    assistant = load(str(tmp_path / 'model'))
    assert assistant.identity.name == 'model'
    card = (tmp_path / 'model' / 'README.md').read_text()
    assert assistant.identity.weights_hash in card
    assert '| yes_no |' in card


def test_words_of_what_a_patch_shows() -> None:
    texts = [' car cars automobile vehicle red many', ' cone pedestrian person light fog']
    tokenizer = train_tokenizer(texts * 30, 400)
    words, fits = attribute_words(tokenizer)
    spelled = [tokenizer.decode([token]).strip() for token in words.tolist()]

    def words_of(attribute: str) -> set[str]:
        row = fits[ATTRIBUTES.index(attribute)]
        return {spelled[index] for index in row.nonzero().flatten().tolist()}

    assert words_of('car') == {'car', 'cars', 'automobile', 'vehicle'}
    assert words_of('red thing') == {'red'}
    assert words_of('light red') == {'light', 'red'}
    assert words_of('centre of a car') == {'many'}


def test_patches_near_their_words_lose_less() -> None:
    words = torch.eye(3, 8)
    picture = torch.stack([words[0] + words[1], words[2]])[None] * 5
    wanted = torch.tensor([[[1.0, 1, 0], [0, 0, 1]]])
    assert word_loss(picture, words, wanted) < 0.1
    assert word_loss(picture, words, 1 - wanted) > 1


def test_muon_steps_as_pytorchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.zeros(12, 40)) for _ in range(2))
    optimizers = [
        Muon([ours], lr=0.01),
        torch.optim.Muon([theirs], lr=0.01, weight_decay=0.05, adjust_lr_fn='match_rms_adamw'),
    ]
    for _ in range(3):
        gradient = torch.randn(12, 40)
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    # PyTorch's multiplies in bf16.
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0.02)
    spread = torch.linalg.svdvals(orthogonalised(torch.randn(40, 12)))
    assert 0.5 < spread.min() < spread.max() < 1.4
