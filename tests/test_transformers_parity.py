"""Every published layout gives the logits and tokens that transformers gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_layouts import (
    END,
    IMAGE,
    LAYOUTS,
    SIZES,
    transformers_config,
    transformers_model,
    write_checkpoint,
)
from transformers import LlavaConfig, LlavaForConditionalGeneration

from ros2_llava_phi.engine.engine import Floats
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.model.checkpoint import load_network
from ros2_llava_phi.model.network import LlavaPhi

STEPS = 20
TOLERANCE = 1e-4


def pictures(size: str, count: int) -> torch.Tensor:
    side = SIZES[size]['vision']['image']
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(3))


def their_answers(
    model: Any,
    parts: list[list[int] | None],
    pixels: torch.Tensor | None,
) -> tuple[Floats, list[int]]:
    """Return transformers' logits of the prompt's end and of every greedy step, and its tokens."""
    places = model.config.image_seq_length
    ids = [token for part in parts for token in ([IMAGE] * places if part is None else part)]
    out = model.generate(
        input_ids=torch.tensor([ids]),
        **({} if pixels is None else {'pixel_values': pixels}),
        attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
        max_new_tokens=STEPS,
        min_new_tokens=STEPS,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        eos_token_id=None,
        pad_token_id=END,
    )
    logits = torch.cat(out.logits).float().numpy()
    return logits, out.sequences[0, len(ids) :].tolist()


def our_answers(
    network: LlavaPhi,
    parts: list[list[int] | None],
    pixels: torch.Tensor,
    precision: str = 'fp32',
) -> tuple[Floats, list[int]]:
    engine = TorchEngine(network, precision)
    images = iter(pixels.numpy())
    stretches = [
        engine.encode(next(images)) if part is None else engine.embed(part) for part in parts
    ]
    cache = engine.new_cache()
    logits = [engine.prefill(np.concatenate(stretches), cache)]
    tokens = [int(logits[0].argmax())]
    for _ in range(STEPS - 1):
        logits.append(engine.decode(tokens[-1], cache))
        tokens.append(int(logits[-1].argmax()))
    return np.stack(logits), tokens


PROMPTS: dict[str, list[list[int] | None]] = {
    'a picture': [[5, 7, 11], None, [13, 2, 3]],
    'two pictures and turns': [[5], None, [4, 9], None, [8, 1, 30, END, 17, 22, 3]],
    'no picture': [[9, 8, 7, 6]],
}


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('layout', LAYOUTS)
def test_logits_and_tokens_are_those_of_transformers(
    tmp_path: Path, layout: str, size: str
) -> None:
    model = transformers_model(size)
    network = load_network(write_checkpoint(tmp_path, layout, size, model))
    for parts in PROMPTS.values():
        pixels = pictures(size, parts.count(None)) if None in parts else None
        theirs, their_tokens = their_answers(model, parts, pixels)
        ours, our_tokens = our_answers(
            network, parts, torch.empty(0) if pixels is None else pixels
        )
        assert our_tokens == their_tokens
        assert np.abs(ours - theirs).max() < TOLERANCE


@pytest.mark.parametrize('size', SIZES)
def test_in_bf16_both_round_alike(tmp_path: Path, size: str) -> None:
    """Ours are nearer to theirs in bf16 than these to fp32, by far: each step rounds as theirs."""
    model = transformers_model(size)
    network = load_network(write_checkpoint(tmp_path, 'original 4.36', size, model))
    parts, pixels = PROMPTS['a picture'], pictures(size, 1)
    exact, _ = their_answers(model, parts, pixels)
    # Frequencies stay in fp32, as they do in a checkpoint that is loaded in bf16.
    frequencies = model.model.language_model.rotary_emb.inv_freq.clone()
    model.bfloat16().model.language_model.rotary_emb.inv_freq = frequencies
    theirs, their_tokens = their_answers(model, parts, pixels.bfloat16())
    ours, our_tokens = our_answers(network, parts, pixels, 'bf16')
    assert our_tokens == their_tokens
    assert np.abs(ours - theirs).max() < 0.2 * np.abs(theirs - exact).max()


@pytest.mark.parametrize('size', SIZES)
def test_what_transformers_itself_writes(tmp_path: Path, size: str) -> None:
    """It writes no head bias; then its own answers have none, either."""
    torch.manual_seed(5)
    model: Any = LlavaForConditionalGeneration(transformers_config(size)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.12)
    model.save_pretrained(tmp_path)
    parts = PROMPTS['a picture']
    theirs, their_tokens = their_answers(model, parts, pictures(size, 1))
    ours, our_tokens = our_answers(load_network(tmp_path), parts, pictures(size, 1))
    assert our_tokens == their_tokens
    assert np.abs(ours - theirs).max() < TOLERANCE


ENCODERS: dict[str, dict[str, Any]] = {
    'CLIP B/32': {
        'model_type': 'clip_vision_model',
        'hidden_size': 128,
        'intermediate_size': 512,
        'num_attention_heads': 2,
        'image_size': 96,
        'patch_size': 32,
    },
    'a CLIP with gelu': {
        'model_type': 'clip_vision_model',
        'hidden_size': 64,
        'intermediate_size': 96,
        'num_attention_heads': 1,
        'image_size': 32,
        'patch_size': 8,
        'hidden_act': 'gelu',
    },
    # Heads of 72, and pixels that no patch covers, as in SO400M/14-384.
    'SigLIP': {
        'model_type': 'siglip_vision_model',
        'hidden_size': 144,
        'intermediate_size': 80,
        'num_attention_heads': 2,
        'image_size': 34,
        'patch_size': 8,
    },
}


@pytest.mark.parametrize('encoder', ENCODERS)
def test_other_encoders(tmp_path: Path, encoder: str) -> None:
    settings = {**ENCODERS[encoder], 'num_hidden_layers': 3}
    config = transformers_config('narrow')
    grid = settings['image_size'] // settings['patch_size']
    siglip = settings['model_type'] == 'siglip_vision_model'
    torch.manual_seed(6)
    model: Any = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=settings,
            text_config=config.text_config,
            image_token_index=IMAGE,
            image_seq_length=grid**2,
            vision_feature_select_strategy='full' if siglip else 'default',
        )
    ).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.12)
    model.save_pretrained(tmp_path)
    network = load_network(tmp_path)
    assert network.config.image_tokens == grid**2
    seen = torch.randn(2, 3, settings['image_size'], settings['image_size'])
    for prompt in ('a picture', 'two pictures and turns'):
        parts = PROMPTS[prompt]
        theirs, their_tokens = their_answers(model, parts, seen[: parts.count(None)])
        ours, our_tokens = our_answers(network, parts, seen)
        assert our_tokens == their_tokens
        assert np.abs(ours - theirs).max() < TOLERANCE


def test_the_test_would_notice_a_wrong_head(tmp_path: Path) -> None:
    model = transformers_model('narrow')
    network = load_network(write_checkpoint(tmp_path, 'original 4.36', 'narrow', model))
    torch.nn.init.zeros_(network.decoder.lm_head.bias)
    theirs, _ = their_answers(model, PROMPTS['a picture'], pictures('narrow', 1))
    ours, _ = our_answers(network, PROMPTS['a picture'], pictures('narrow', 1))
    assert np.abs(ours - theirs).max() > 0.1
