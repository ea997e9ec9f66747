"""Model folders: what is written is read back, and what is wrong with one is said in a line."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_model import make_model, small_network

from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.model.checkpoint import load_network
from ros2_llava_phi.model.config import CONFIG_FILE
from ros2_llava_phi.model.tensor_files import SAFETENSORS_FILE


def test_round_trip(tmp_path: Path) -> None:
    loaded = load_network(make_model(tmp_path)).state_dict()
    for name, tensor in small_network().state_dict().items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=0)


def change_tensors(folder: Path, **changes: torch.Tensor | None) -> None:
    tensors = load_file(folder / SAFETENSORS_FILE) | changes
    save_file({k: v for k, v in tensors.items() if v is not None}, folder / SAFETENSORS_FILE)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'decoder.lm_head.bias': None}, 'decoder.lm_head.bias is missing'),
        ({'surplus': torch.zeros(1)}, 'surplus is unexpected'),
        ({'decoder.lm_head.bias': torch.zeros(3)}, r'lm_head.bias has shape \[3\]'),
        (
            {'decoder.lm_head.bias': torch.zeros(400, dtype=torch.int8)},
            'is int8; weights are fp32',
        ),
    ],
)
def test_wrong_tensors_are_named(
    tmp_path: Path, changes: dict[str, torch.Tensor | None], message: str
) -> None:
    change_tensors(make_model(tmp_path), **changes)
    with pytest.raises(ModelError, match=message) as error:
        load_network(tmp_path)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', [CONFIG_FILE, SAFETENSORS_FILE, 'tokenizer.json'])
@pytest.mark.parametrize('damage', ['missing', 'empty', 'truncated', 'garbage'])
def test_damaged_files_are_named(tmp_path: Path, name: str, damage: str) -> None:
    path = make_model(tmp_path) / name
    content = path.read_bytes()
    path.unlink()
    if damage != 'missing':
        path.write_bytes({'empty': b'', 'truncated': content[:-9], 'garbage': b'\x80K'}[damage])
    with pytest.raises(ModelError, match=name) as error:
        load(str(tmp_path))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('hidden_size', 50, 'no multiple of 3 heads'),
        ('eos_token_id', 4000, 'outside the vocabulary'),
        ('layers', 'many', 'layers'),
        ('unheard_of', 1, "text: there is no field 'unheard_of'; use vocab_size, "),
        ('context_length', 47, 'a context_length of 47 has no room for the 16 tokens of a pic'),
        ('rope_theta', float('nan'), 'text.rope_theta: it must be a finite number'),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, field: str, value: object, message: str) -> None:
    path = make_model(tmp_path) / CONFIG_FILE
    settings = json.loads(path.read_text())
    settings['text'][field] = value
    path.write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=message) as error:
        load(str(tmp_path))
    assert '\n' not in str(error.value)


def test_unknown_model_and_engine(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='no model folder'):
        load('no-such-model')
    with pytest.raises(ModelError, match=r"xx' is no path of a model: File name too long$"):
        load('x' * 5000)
    with pytest.raises(ModelError, match="no engine 'abacus'; engines: auto, onnxruntime, tens"):
        load(str(make_model(tmp_path)), engine='abacus')
