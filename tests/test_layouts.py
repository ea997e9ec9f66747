"""Folders that hold parts, adapters or shards; converted ones; and what is wrong with them."""

import errno
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from published_layouts import LAYOUTS, transformers_model, write_checkpoint
from safetensors.torch import load_file, save_file
from small_model import VOCAB, make_model
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoProcessor, LlavaForConditionalGeneration

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.assistant.question import Question
from ros2_llava_phi.errors import FileError, ModelError
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint
from ros2_llava_phi.model.convert import convert
from ros2_llava_phi.model.inspection import inspect
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.prompt import SYSTEM

SIZE = 'narrow'
FC1 = 'model.layers.0.mlp.fc1.weight'


def checkpoint(folder: Path, layout: str = 'original 4.36', **options: torch.dtype) -> Path:
    """Write a checkpoint with a tokenizer that leaves rows of the embedding free."""
    write_checkpoint(folder, layout, SIZE, transformers_model(SIZE), **options)
    return folder


def weights(folder: Path) -> dict[str, Tensor]:
    return load_network(folder, dtype=None).state_dict()


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        assert torch.equal(tensor, other[name]), name


def split(folder: Path, *beginnings: str) -> dict[str, Tensor]:
    """Take the tensors that begin so out of a folder's weights, and return them."""
    path = folder / 'model.safetensors'
    tensors = load_file(path)
    taken = {name: tensor for name, tensor in tensors.items() if name.startswith(beginnings)}
    save_file({name: tensor for name, tensor in tensors.items() if name not in taken}, path)
    return taken


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_loads_to_the_same_numbers(
    tmp_path: Path, layout: str, dtype: torch.dtype
) -> None:
    first = weights(checkpoint(tmp_path / 'a', dtype=dtype))
    assert_same(weights(checkpoint(tmp_path / 'b', layout, dtype=dtype)), first)
    assert {tensor.dtype for tensor in first.values()} == {dtype}


def test_shards(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / 'a')
    expected = weights(folder)
    rest = split(folder, 'model.layers.1', 'lm_head')
    (folder / 'model.safetensors').rename(folder / 'model-00001-of-00002.safetensors')
    save_file(rest, folder / 'model-00002-of-00002.safetensors')
    index = {
        name: f'model-0000{number}-of-00002.safetensors'
        for number in (1, 2)
        for name in load_file(folder / f'model-0000{number}-of-00002.safetensors')
    }
    listing = folder / 'model.safetensors.index.json'
    listing.write_text(json.dumps({'weight_map': index}))
    assert_same(weights(folder), expected)

    (folder / 'model-00002-of-00002.safetensors').unlink()
    with pytest.raises(ModelError, match=r'00002-of-00002\.safetensors is missing'):
        load_network(folder)
    listing.write_text(json.dumps({'weight_map': {'x': '../secret.safetensors'}}))
    with pytest.raises(ModelError, match='no file beside it'):
        load_network(folder)


def test_pytorch_files_and_a_projector_of_its_own(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / 'a')
    expected = weights(folder)
    torch.save(split(folder, 'model.mm_projector'), folder / 'mm_projector.bin')
    assert_same(weights(folder), expected)
    torch.save(load_file(folder / 'model.safetensors'), folder / 'pytorch_model.bin')
    (folder / 'model.safetensors').unlink()
    assert_same(weights(folder), expected)


def test_a_tower_of_its_own(tmp_path: Path) -> None:
    """As LLaVA-1.5 saves it: CLIP stays where it was, with its text tower beside it."""
    folder, clip = checkpoint(tmp_path / 'a', 'original 4.37'), tmp_path / 'clip'
    expected = weights(folder)
    prefix = 'model.vision_tower.'
    tower = {name.removeprefix(prefix): tensor for name, tensor in split(folder, prefix).items()}
    clip.mkdir()
    extra = {'text_model.final_layer_norm.bias': torch.zeros(4), 'logit_scale': torch.zeros(1)}
    save_file({**tower, **extra}, clip / 'model.safetensors')
    settings = json.loads((folder / 'config.json').read_text())
    tower_settings = settings.pop('vision_config')['vision_tower']
    (folder / 'config.json').write_text(json.dumps(settings))
    (clip / 'config.json').write_text(json.dumps({'vision_config': tower_settings}))
    with pytest.raises(ModelError, match='no vision tower; give the folder of its CLIP'):
        load_network(folder)
    assert_same(load_network(folder, None, vision_tower=clip).state_dict(), expected)


LORA = {'peft_type': 'LORA', 'r': 4, 'lora_alpha': 8, 'modules_to_save': None}


def write_adapter(folder: Path, target: str, rows: int, columns: int) -> Tensor:
    """Write an adapter for one tensor, and return what it adds to it."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(7)
    down, up = (torch.randn(shape, generator=generator) for shape in ((4, columns), (rows, 4)))
    stem = f'base_model.model.{target}'
    adapter = {f'{stem}.lora_A.weight': down, f'{stem}.lora_B.weight': up}
    save_file(adapter, folder / 'adapter_model.safetensors')
    (folder / 'adapter_config.json').write_text(json.dumps(LORA))
    return 2 * up @ down


@pytest.mark.parametrize(
    ('layout', 'target', 'named_as'),
    [
        ('original 4.36', 'model.layers.1.self_attn.query_key_value', None),
        ('original 4.37', 'model.layers.1.self_attn.q_proj', None),
        # PEFT names tensors as they are in memory.
        (
            'hf 5.2',
            'language_model.model.layers.1.mlp.fc1',
            'model.language_model.layers.1.mlp.fc1',
        ),
    ],
)
def test_a_lora_adapter(tmp_path: Path, layout: str, target: str, named_as: str | None) -> None:
    """Adapter and retrained projector in one folder, their base in another."""
    base, lora = checkpoint(tmp_path / 'base', layout), tmp_path / 'lora'
    stored = load_file(base / 'model.safetensors')
    added = write_adapter(lora, named_as or target, *stored[f'{target}.weight'].shape)
    bias = next(name for name in stored if re.search(r'projector.*(0|linear_1)\.bias', name))
    projector = torch.ones_like(stored[bias])
    torch.save({f'base_model.model.{bias}': projector}, lora / 'non_lora_trainables.bin')
    with pytest.raises(ModelError, match='holds only an adapter; put it together'):
        load_network(lora)
    merged = load_network(lora, None, base=base).state_dict()
    stored[f'{target}.weight'] += added
    save_file({**stored, bias: projector}, base / 'model.safetensors')
    for name, tensor in weights(base).items():
        torch.testing.assert_close(merged[name], tensor, msg=name)


def test_an_adapter_is_added_in_full_precision(tmp_path: Path) -> None:
    base, lora = checkpoint(tmp_path / 'base', dtype=torch.bfloat16), tmp_path / 'lora'
    target = 'model.layers.0.mlp.fc1'
    stored = load_file(base / 'model.safetensors')[f'{target}.weight']
    added = write_adapter(lora, target, *stored.shape)
    merged = load_network(lora, torch.float32, base=base).state_dict()
    weight = merged['decoder.layers.0.fc1.weight']
    torch.testing.assert_close(weight, stored.float() + added, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ('changes', 'target', 'message'),
    [
        ({'use_dora': True}, 'model.layers.0.mlp.fc1', 'use_dora'),
        ({'r': 0}, 'model.layers.0.mlp.fc1', 'r: it must be '),
        ({'r': 8}, 'model.layers.0.mlp.fc1', 'not of rank 8'),
        ({}, 'model.layers.9.mlp.fc1', 'is unexpected: the adapter adds to it'),
        ({}, 'model.layers.0.mlp.fc2', 'which has shape'),
    ],
)
def test_adapters_that_do_not_fit(
    tmp_path: Path, changes: dict[str, object], target: str, message: str
) -> None:
    base, lora = checkpoint(tmp_path / 'base'), tmp_path / 'lora'
    write_adapter(lora, target, *load_file(base / 'model.safetensors')[FC1].shape)
    (lora / 'adapter_config.json').write_text(json.dumps({**LORA, **changes}))
    with pytest.raises(ModelError, match=message) as error:
        load_network(lora, base=base)
    assert '\n' not in str(error.value)


def test_what_an_earlier_stage_left_behind_is_not_taken(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / 'a')
    expected = weights(folder)
    old = {'model.mm_projector.0.bias': torch.full_like(expected['projector.0.bias'], 9.0)}
    torch.save(old, folder / 'mm_projector.bin')
    assert_same(weights(folder), expected)


def test_inspect_sees_what_is_no_number(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / 'a')
    tensors = load_file(folder / 'model.safetensors')
    tensors[FC1][3, 2] = float('nan')
    save_file(tensors, folder / 'model.safetensors')
    assert f'tensor {FC1} holds NaN or infinity' in inspect(folder).problems


def test_transformers_drops_the_head_bias(tmp_path: Path) -> None:
    """Known, said, and taken as zero; in a layout that does not drop it, it is an error."""
    folder = checkpoint(tmp_path / 'a', 'hf 5.2')
    split(folder, 'language_model.lm_head.bias')
    assert weights(folder)['decoder.lm_head.bias'].abs().max() == 0
    assert any('lm_head.bias is missing' in remark for remark in inspect(folder).remarks)
    original = checkpoint(tmp_path / 'b')
    split(original, 'lm_head.bias')
    with pytest.raises(ModelError, match=r'lm_head\.bias is missing'):
        load_network(original)


class TouchesAFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / 'a')
    evil = tmp_path / 'evil'
    (folder / 'mm_projector.bin').write_bytes(pickle.dumps(TouchesAFile(evil)))
    with pytest.raises(ModelError, match=r'mm_projector\.bin') as error:
        load_network(folder)
    torch.save({'x': TouchesAFile(evil)}, folder / 'mm_projector.bin')
    with pytest.raises(ModelError, match='which could run code') as error:
        load_network(folder)
    assert '\n' not in str(error.value)
    assert not evil.exists()


@pytest.mark.parametrize(
    ('rename', 'message'),
    [
        ({'lm_head.weight': 'head.weight'}, r'lm_head\.weight is missing'),
        ({'model.layers.0.mlp.fc1.bias': 'x'}, r'layers\.0\.mlp\.fc1\.bias is missing'),
        ({'model.mm_projector.0.weight': 'y'}, 'no projector'),
    ],
)
def test_renamed_tensors_are_named(tmp_path: Path, rename: dict[str, str], message: str) -> None:
    folder = checkpoint(tmp_path / 'a')
    tensors = load_file(folder / 'model.safetensors')
    renamed = {rename.get(name, name): tensor for name, tensor in tensors.items()}
    save_file(renamed, folder / 'model.safetensors')
    with pytest.raises(ModelError, match=message):
        load_network(folder)


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('hidden_act', 'silu', 'hidden_act'),
        ('num_key_value_heads', 2, 'num_key_value_heads is 2'),
        ('qk_layernorm', True, 'qk_layernorm'),
        ('hidden_size', 'wide', 'hidden_size'),
        ('hidden_size', 48, 'has shape'),
        ('num_hidden_layers', 9, 'is missing'),
        ('num_hidden_layers', 2, 'is unexpected'),
    ],
)
def test_settings_that_this_network_is_not(
    tmp_path: Path, field: str, value: object, message: str
) -> None:
    folder = checkpoint(tmp_path / 'a')
    path = folder / 'config.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(ModelError, match=message) as error:
        load_network(folder)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'image_mean': [0.5, 0.5]}, 'preprocessor_config.json: mean'),
        ({'image_std': [0.5, 0, 0.5]}, 'preprocessor_config.json: std'),
        (
            {'size': {'shortest_edge': 224}},
            'preprocessor_config.json: a size is 224, but the tower takes 28',
        ),
        ({'size': {'longest_edge': 28}}, 'size is neither'),
        ({'do_center_crop': False}, 'do_center_crop'),
        ({'resample': 2}, 'resample'),
    ],
)
def test_pictures_that_are_prepared_otherwise(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    folder = checkpoint(tmp_path / 'a', 'hf 4.51')
    (folder / 'preprocessor_config.json').write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=message):
        load_network(folder)


@pytest.mark.parametrize(('pads', 'fit'), [(True, 'pad'), (False, 'crop'), (None, 'crop')])
def test_how_pictures_become_square(tmp_path: Path, pads: bool | None, fit: str) -> None:
    folder = checkpoint(tmp_path / 'a', 'hf 4.51')
    settings = {'size': 28, 'crop_size': {'height': 28, 'width': 28}, 'do_pad': pads}
    (folder / 'preprocessor_config.json').write_text(json.dumps(settings))
    assert open_checkpoint(folder).config.fit == fit
    (folder / 'preprocessor_config.json').unlink()
    processor = json.dumps({'image_processor': settings})  # as transformers 5 saves it
    (folder / 'processor_config.json').write_text(processor)
    assert open_checkpoint(folder).config.fit == fit
    original = checkpoint(tmp_path / 'b')
    path = original / 'config.json'
    ratio = {True: 'pad', False: 'square', None: None}[pads]
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, 'image_aspect_ratio': ratio}))
    assert open_checkpoint(original).config.fit == fit


def test_features_from_another_layer_are_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / 'a')
    settings = json.loads((folder / 'config.json').read_text())
    settings['vision_config']['vision_tower']['mm_vision_select_layer'] = -1
    (folder / 'config.json').write_text(json.dumps(settings))
    with pytest.raises(ModelError, match='mm_vision_select_layer'):
        load_network(folder)


def test_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='holds no weights'):
        load_network(tmp_path)
    save_file({'a': torch.zeros(1)}, tmp_path / 'model.safetensors')
    with pytest.raises(ModelError, match='no vision tower'):
        load_network(tmp_path)


def model_in_halves(folder: Path) -> Path:
    """Write a model of this project's own in fp16; its tokenizer leaves ids free."""
    path = make_model(folder) / 'model.safetensors'
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)
    return folder


def picture() -> Frame:
    blocks = np.random.default_rng(1).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Frame(np.ascontiguousarray(blocks.repeat(10, axis=0).repeat(10, axis=1)))


@pytest.mark.parametrize('way', [['original'], ['hf'], ['own'], ['hf', 'original', 'own', 'hf']])
def test_conversions_change_no_number(tmp_path: Path, way: list[str]) -> None:
    start = folder = model_in_halves(tmp_path / 'start')
    for number, layout in enumerate(way):
        convert(open_checkpoint(folder), tmp_path / str(number), layout)
        folder = tmp_path / str(number)
    assert_same(weights(folder), weights(start))
    assert open_checkpoint(folder).config == open_checkpoint(start).config
    question = Question('What is there?', max_tokens=8)
    answers = [
        assistant.ask(assistant.look(picture()), question)
        for assistant in (load(str(start)), load(str(folder)))
    ]
    assert answers[0].text == answers[1].text
    assert answers[0].confidence == answers[1].confidence


def test_transformers_answers_as_we_do(tmp_path: Path) -> None:
    """Its processor and model, on a converted folder: tokenizer, picture, template and network."""
    start, out = model_in_halves(tmp_path / 'start'), tmp_path / 'hf'
    convert(open_checkpoint(start), out, 'hf')
    model: Any = LlavaForConditionalGeneration.from_pretrained(out, dtype=torch.float32)
    head = load_network(out).decoder.lm_head
    model.lm_head = head
    processor = AutoProcessor.from_pretrained(out)
    frame, question = picture(), Question('What is there?', max_tokens=12)
    prompt = f'{SYSTEM} USER: <image>\n{question.text} ASSISTANT:'
    inputs = processor(images=Image.fromarray(frame.image), text=prompt, return_tensors='pt')
    out_tokens = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    theirs = processor.decode(out_tokens[0, inputs['input_ids'].shape[1] :], True)
    assistant = load(str(start))
    ours = assistant.ask(assistant.look(frame), question)
    assert ours.answer_tokens == 12
    assert ours.text == theirs.strip()


def test_the_tokenizer_knows_the_end_of_text_better(tmp_path: Path) -> None:
    """Published checkpoints of 2024 say 2, the default of Phi's class."""
    start, out = model_in_halves(tmp_path / 'start'), tmp_path / 'original'
    convert(open_checkpoint(start), out, 'original')
    path = out / 'config.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'eos_token_id': 2}))
    assert open_checkpoint(out).config == open_checkpoint(start).config


def test_no_spare_row_is_an_error(tmp_path: Path) -> None:
    folder = make_model(tmp_path / 'a')
    tokenizer = Tokenizer.from_file(str(folder / 'tokenizer.json'))
    missing = VOCAB - tokenizer.get_vocab_size()
    tokenizer.add_tokens([f'word {number}' for number in range(missing)])
    tokenizer.save(str(folder / 'tokenizer.json'))
    with pytest.raises(ModelError, match='leaves none for <image>'):
        convert(open_checkpoint(folder), tmp_path / 'b', 'hf')
    assert not (tmp_path / 'b').exists()


def run(*arguments: object) -> tuple[int, str]:
    """Run the command as users do; return its exit code and all that it prints."""
    code = 'from ros2_llava_phi.cli.main import main; main()'
    command = [sys.executable, '-c', code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_conversion_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, out = make_model(tmp_path / 'start'), tmp_path / 'new' / 'out'

    def half(network: LlavaPhi, folder: Path, *more: Any) -> None:
        (folder / 'model.safetensors').write_bytes(b'half')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('ros2_llava_phi.model.convert.save_network', half)
    with pytest.raises(FileError, match='out cannot be written: No space left'):
        convert(open_checkpoint(start), out, 'hf')
    assert not out.parent.exists()


def test_a_conversion_spares_what_it_reads(tmp_path: Path) -> None:
    start = make_model(tmp_path / 'start')
    for out in (start, tmp_path):
        (out / '.unfinished').mkdir()  # as a killed conversion leaves it
        with pytest.raises(FileError, match='is not empty; give a new folder'):
            convert(open_checkpoint(start), out, 'hf')
    load_network(start)


@pytest.mark.slow
def test_a_full_disk_is_said_in_a_line(tmp_path: Path) -> None:
    start = make_model(tmp_path / 'start')
    code = (
        'import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000));'
        'from ros2_llava_phi.cli.main import main; main()'
    )
    command = [sys.executable, '-c', code, 'convert', str(start), str(tmp_path / 'out')]
    done = subprocess.run(
        [*command, '--layout', 'own'], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count('\n') == 1
    assert 'cannot be written' in done.stderr
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_the_commands(tmp_path: Path) -> None:
    start, out = model_in_halves(tmp_path / 'start'), tmp_path / 'out'
    code, text = run('inspect', start)
    assert code == 0, text
    for fact in ("this project's own", 'float16', '16 tokens', 'USER: <image>', 'cannot tell'):
        assert fact in text, fact
    code, text = run('convert', start, out, '--layout', 'original')
    assert (code, out.is_dir()) == (0, True), text
    code, text = run('inspect', out)
    assert 'transformers 4.36, fused' in text
    code, text = run('convert', start, out, '--layout', 'hf')
    assert (code, text) == (2, f'llava-phi: {out} is not empty; give a new folder\n')
    split(out, 'model.layers.1.mlp.fc1.bias')
    code, text = run('inspect', out)
    assert code == 2
    assert 'fc1.bias is missing' in ' '.join(text.split())
    code, text = run('inspect', tmp_path / 'nothing')
    assert code == 2
    assert text.count('\n') == 1
