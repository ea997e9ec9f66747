"""The network: cached equals uncached, packed equals one by one, as published in size."""

import numpy as np
import pytest
import torch
from small_model import CONFIG, small_network

from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.network import LlavaPhi, causal_mask
from ros2_llava_phi.training.batches import NO_LABEL, PADDING_SEGMENT, pack
from ros2_llava_phi.training.labels import PICTURE, LabelledTokens
from ros2_llava_phi.training.trainee import answer_loss, branch_mask


def asked(tokens: list[int], answer: int) -> LabelledTokens:
    """Return tokens behind a picture; those from `answer` on are what the model has to say."""
    learned = np.arange(3 + len(tokens)) >= 3 + answer
    return LabelledTokens(np.array([1, 2, PICTURE, *tokens], np.int32), learned, 16)


def uncached_logits(network: LlavaPhi, embeddings: torch.Tensor) -> torch.Tensor:
    positions = torch.arange(len(embeddings))[None]
    mask = causal_mask(len(embeddings), 0, 'cpu')
    return network.decoder.lm_head(network.decoder(embeddings[None], positions, mask))[0]


def test_published_size() -> None:
    with torch.device('meta'):
        network = LlavaPhi(ModelConfig())
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_092_371_456


@torch.no_grad()
def test_cached_equals_uncached() -> None:
    network = small_network()
    engine = TorchEngine(network)
    tokens = [5, 17, 300, 44, 9, 250]
    expected = uncached_logits(network, torch.from_numpy(engine.embed(tokens))).numpy()
    cache = engine.new_cache()
    got = [engine.prefill(engine.embed(tokens[:3]), cache)]
    got += [engine.decode(token, cache) for token in tokens[3:]]
    np.testing.assert_allclose(np.stack(got), expected[2:], atol=1e-5)


def test_a_rewound_cache_forgets() -> None:
    engine = TorchEngine(small_network())
    cache = engine.new_cache()
    engine.prefill(engine.embed([1, 2, 3]), cache)
    first = engine.decode(7, cache)
    engine.prefill(engine.embed([8, 9]), cache)
    cache.rewind(3)
    np.testing.assert_array_equal(engine.decode(7, cache), first)
    with pytest.raises(ValueError, match='cannot rewind a cache of 4 tokens to 9'):
        cache.rewind(9)


def test_a_full_cache_is_an_error() -> None:
    engine = TorchEngine(small_network())
    cache = engine.new_cache()
    engine.prefill(engine.embed([1] * CONFIG.text.context_length), cache)
    with pytest.raises(ValueError, match='do not fit'):
        engine.decode(1, cache)


@torch.no_grad()
def test_class_token_and_last_layer_are_not_in_the_features() -> None:
    network = small_network()
    pixels = torch.randn(1, 3, 32, 32)
    before = network.vision_tower(pixels)
    assert before.shape == (1, CONFIG.vision.patches, CONFIG.vision.hidden_size)
    for parameter in network.vision_tower.layers[-1].parameters():
        parameter.zero_()
    torch.testing.assert_close(network.vision_tower(pixels), before)


@torch.no_grad()
def test_packed_questions_do_not_see_each_other() -> None:
    network = small_network()
    pixels = torch.randn(1, 3, 32, 32)
    samples = [asked([4, 5, 6, 7], 2), asked([9, 8, 7, 6, 5], 3), asked([4, 200, 3], 1)]
    picture = network.encode(pixels)

    def loss_of(samples: list[LabelledTokens]) -> float:
        return answer_loss(network.decoder, pack([samples], pixels), picture).item()

    assert loss_of(samples) == pytest.approx(sum(loss_of([each]) for each in samples), abs=1e-4)


def test_labels_are_the_next_tokens_of_the_answer_alone() -> None:
    batch = pack([[asked([4, 5, 6, 7], 2)], [asked([1, 2], 1)] * 3], torch.zeros(2, 3, 32, 32))
    skip, before = NO_LABEL, 2 + 16
    assert (batch.labels[:, :before] == skip).all()
    assert batch.labels[:, before:].tolist() == [
        [skip, 6, 7, skip, skip, skip],
        [2, skip, 2, skip, 2, skip],
    ]
    assert batch.segments[0, before:].tolist() == [1, 1, 1, 1, PADDING_SEGMENT, PADDING_SEGMENT]
    assert batch.segments[1].tolist() == [0] * before + [1, 1, 2, 2, 3, 3]
    assert batch.positions[1].tolist() == [*range(before), *[before, before + 1] * 3]
    assert batch.places.sum(dim=1).tolist() == [16, 16]
    assert batch.targets == 2 + 3


def test_branch_mask() -> None:
    mask = branch_mask(torch.tensor([[0, 1, 1, 2]]))[0, 0].int().tolist()
    assert mask == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]]


@pytest.mark.parametrize(('precision', 'device'), [('int3', 'cpu'), ('fp32', 'abacus')])
def test_unknown_precision_or_device(precision: str, device: str) -> None:
    with pytest.raises(ModelError, match=rf'{precision}|{device}'):
        TorchEngine(small_network(), precision, device)
