"""The network: cached equals uncached, packed equals one by one, as published in size."""

import numpy as np
import pytest
import torch
from small_model import CONFIG, small_network

from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.network import LlavaPhi, causal_mask
from ros2_llava_phi.training.packing import (
    NO_LABEL,
    PADDING_SEGMENT,
    Branch,
    answer_loss,
    branch_mask,
    pack,
)


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
    branches = [Branch([4, 5, 6, 7], 2), Branch([9, 8, 7, 6, 5], 3), Branch([4, 200, 3], 1)]
    picture = network.encode(pixels)

    def loss_of(branches: list[Branch]) -> float:
        return answer_loss(network.decoder, [1, 2], picture, pack([branches])).item()

    together = loss_of(branches)
    apart = [loss_of([branch]) for branch in branches]
    weights = [len(branch.tokens) - branch.answer for branch in branches]
    assert together == pytest.approx(np.average(apart, weights=weights), abs=1e-5)


def test_labels_are_the_next_tokens_of_the_answer_alone() -> None:
    batch = pack([[Branch([4, 5, 6, 7], 2)], [Branch([1, 2], 1)] * 3])
    skip = NO_LABEL
    assert batch.labels.tolist() == [[skip, 6, 7, skip, skip, skip], [2, skip, 2, skip, 2, skip]]
    assert batch.segments[0].tolist() == [1, 1, 1, 1, PADDING_SEGMENT, PADDING_SEGMENT]
    assert batch.offsets[1].tolist() == [0, 1, 0, 1, 0, 1]


def test_branch_mask() -> None:
    mask = branch_mask(torch.tensor([[0, 1, 1, 2]]))[0, 0].int().tolist()
    assert mask == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]]


@pytest.mark.parametrize(('precision', 'device'), [('int3', 'cpu'), ('fp32', 'abacus')])
def test_unknown_precision_or_device(precision: str, device: str) -> None:
    with pytest.raises(ModelError, match=rf'{precision}|{device}'):
        TorchEngine(small_network(), precision, device)
