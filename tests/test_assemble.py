"""A new model from an encoder's and a decoder's folder: theirs bit by bit, the projector drawn."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_model import VOCAB, make_model
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionModel,
    PhiConfig,
    PhiForCausalLM,
    SiglipConfig,
    SiglipModel,
    SiglipVisionModel,
)

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.model.assemble import assemble
from ros2_llava_phi.model.checkpoint import load_network
from ros2_llava_phi.model.network import causal_mask
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE
from ros2_llava_phi.model.weights import save_network

# Heads of 72, and pixels that no patch covers, as in SO400M/14-384.
SIGLIP_TOWER: dict[str, Any] = {
    'hidden_size': 144,
    'intermediate_size': 80,
    'num_hidden_layers': 3,
    'num_attention_heads': 2,
    'image_size': 34,
    'patch_size': 8,
}
TOWER: dict[str, Any] = {
    'hidden_size': 32,
    'intermediate_size': 64,
    'num_hidden_layers': 3,
    'num_attention_heads': 2,
    'image_size': 32,
    'patch_size': 8,
}
IDS = torch.tensor([[5, 7, 11, 13, 2]])


def clip(folder: Path, kind: type[Any] = CLIPModel) -> Any:
    """Write a CLIP as transformers writes it, and return it."""
    torch.manual_seed(1)
    both = CLIPConfig(vision_config=TOWER, text_config={'hidden_size': 32, 'num_hidden_layers': 1})
    model = kind(both if kind is CLIPModel else both.vision_config).eval()
    model.save_pretrained(folder)
    return model


def phi(folder: Path) -> Any:
    """Write a Phi in fp16, with a tokenizer, and return it."""
    torch.manual_seed(2)
    config = PhiConfig(
        vocab_size=VOCAB,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=64,
        eos_token_id=0,
        bos_token_id=0,
    )
    model: Any = PhiForCausalLM(config).eval().half()
    model.save_pretrained(folder)
    tokenizer = (make_model(folder / 'other') / TOKENIZER_FILE).read_bytes()
    (folder / TOKENIZER_FILE).write_bytes(tokenizer)
    return model


def fuse(folder: Path, heads: int) -> None:
    """Put queries, keys and values into one tensor, as the first Phi of transformers had them."""
    path = folder / 'model.safetensors'
    tensors = load_file(path)
    for name in [name for name in tensors if '.q_proj.' in name]:
        parts = [tensors.pop(name.replace('q_proj', f'{kind}_proj')) for kind in 'qkv']
        by_head = [part.unflatten(0, (heads, -1)) for part in parts]
        tensors[name.replace('q_proj', 'query_key_value')] = torch.stack(by_head, 1).flatten(0, 2)
    save_file(tensors, path)


@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('kind', [CLIPModel, CLIPVisionModel])
def test_parts_are_those_of_their_folders(tmp_path: Path, kind: type[Any], fused: bool) -> None:
    tower, text = clip(tmp_path / 'clip', kind), phi(tmp_path / 'phi').float()
    if fused:
        fuse(tmp_path / 'phi', 3)
    checkpoint = assemble(tmp_path / 'clip', tmp_path / 'phi', seed=4)
    assert checkpoint.tokenizer_folder == tmp_path / 'phi'
    assert checkpoint.config.fit == 'pad'
    network = checkpoint.read(torch.float32)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        theirs = getattr(tower, 'vision_model', tower)(pixels, output_hidden_states=True)
        torch.testing.assert_close(network.vision_tower(pixels), theirs.hidden_states[-2][:, 1:])
        embedded = network.decoder.embed_tokens(IDS)
        positions, mask = torch.arange(5)[None], causal_mask(5, 0, 'cpu')
        logits = network.decoder.lm_head(network.decoder(embedded, positions, mask))
        torch.testing.assert_close(logits, text(IDS).logits)


@pytest.mark.parametrize('kind', [SiglipModel, SiglipVisionModel])
def test_a_siglip(tmp_path: Path, kind: type[Any]) -> None:
    torch.manual_seed(1)
    text = {'hidden_size': 32, 'num_hidden_layers': 1, 'num_attention_heads': 2}
    both = SiglipConfig(vision_config=SIGLIP_TOWER, text_config={**text, 'intermediate_size': 32})
    model = kind(both if kind is SiglipModel else both.vision_config).eval()
    model.save_pretrained(tmp_path / 'siglip')
    phi(tmp_path / 'phi')
    checkpoint = assemble(tmp_path / 'siglip', tmp_path / 'phi', pool=2)
    assert checkpoint.config.image_tokens == 4
    assert checkpoint.config.vision.mean == (0.5, 0.5, 0.5)
    seen = torch.randn(2, 3, 34, 34)
    with torch.no_grad():
        theirs = getattr(model, 'vision_model', model)(seen, output_hidden_states=True)
        ours = checkpoint.read(torch.float32).vision_tower(seen)
    torch.testing.assert_close(ours, theirs.hidden_states[-2])


def test_a_towers_own_colours(tmp_path: Path) -> None:
    clip(tmp_path / 'clip'), phi(tmp_path / 'phi')
    settings = {'image_mean': [0.5, 0.4, 0.3], 'image_std': [0.1, 0.2, 0.3], 'resample': 2}
    (tmp_path / 'clip' / 'preprocessor_config.json').write_text(json.dumps(settings))
    vision = assemble(tmp_path / 'clip', tmp_path / 'phi').config.vision
    assert (vision.mean, vision.std) == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))


def test_the_projector_is_drawn_from_the_seed_alone(tmp_path: Path) -> None:
    clip(tmp_path / 'clip'), phi(tmp_path / 'phi')
    before = torch.get_rng_state()
    one, same, other = (
        assemble(tmp_path / 'clip', tmp_path / 'phi', seed).read(None).projector.state_dict()
        for seed in (3, 3, 4)
    )
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    linear = nn.Linear(32, 48)
    assert torch.equal(one['0.weight'], linear.weight)
    for name, tensor in one.items():
        assert torch.equal(tensor, same[name])
        assert not torch.equal(tensor, other[name])


def test_what_is_saved_is_a_complete_model(tmp_path: Path) -> None:
    clip(tmp_path / 'clip'), phi(tmp_path / 'phi')
    network = assemble(tmp_path / 'clip', tmp_path / 'phi').read(torch.float16)
    save_network(network, tmp_path / 'new', None)
    for name, tensor in load_network(tmp_path / 'new', None).state_dict().items():
        assert tensor.dtype == torch.float16
        assert torch.equal(tensor, network.state_dict()[name])


def without(folder: Path, ending: str) -> None:
    """Take a tensor out of a folder's weights."""
    path = folder / 'model.safetensors'
    tensors = load_file(path)
    save_file(
        {name: tensor for name, tensor in tensors.items() if not name.endswith(ending)}, path
    )


@pytest.mark.parametrize(
    ('part', 'lacks', 'message'),
    [
        ('clip', 'config.json', r'clip.config.json cannot be read'),
        ('clip', 'model.safetensors', 'clip is no CLIP'),
        ('clip', 'patch_embedding.weight', 'clip is no CLIP'),
        ('clip', 'class_embedding', 'clip: tensor .*class_embedding is missing'),
        ('clip', 'layers.1.mlp.fc1.bias', r'clip: tensor .*layers.1.mlp.fc1.bias is missing'),
        ('phi', 'config.json', r'phi.config.json cannot be read'),
        ('phi', 'model.safetensors', 'phi holds no weights'),
        ('phi', 'tokenizer.json', r'tokenizer.json is missing'),
        ('phi', 'lm_head.weight', "phi is no Phi: .* holds no decoder's head"),
        ('phi', 'layers.1.mlp.fc1.bias', r'phi: tensor model.layers.1.mlp.fc1.bias is missing'),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, part: str, lacks: str, message: str) -> None:
    clip(tmp_path / 'clip'), phi(tmp_path / 'phi')
    if (tmp_path / part / lacks).is_file():
        (tmp_path / part / lacks).unlink()
    else:
        without(tmp_path / part, lacks)
    with pytest.raises(ModelError, match=message) as error:
        assemble(tmp_path / 'clip', tmp_path / 'phi')
    assert '\n' not in str(error.value)


def test_settings_are_named_by_their_own_file(tmp_path: Path) -> None:
    clip(tmp_path / 'clip'), phi(tmp_path / 'phi')
    path = tmp_path / 'phi' / 'config.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'hidden_act': 'silu'}))
    with pytest.raises(ModelError, match=r'phi.config.json: hidden_act'):
        assemble(tmp_path / 'clip', tmp_path / 'phi')
    path.write_text(json.dumps({**json.loads(path.read_text()), 'hidden_act': 'gelu_new'}))
    assert assemble(tmp_path / 'clip', tmp_path / 'phi', pool=2).config.image_tokens == 4
    with pytest.raises(ModelError, match=r'clip: .*pool 3 does not divide the 4 patches'):
        assemble(tmp_path / 'clip', tmp_path / 'phi', pool=3)
    with pytest.raises(ModelError, match='there is no folder'):
        assemble(tmp_path / 'nowhere', tmp_path / 'phi')
