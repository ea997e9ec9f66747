"""ONNX Runtime against the reference: the same numbers, the same caches, the same refusals."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_model import CONFIG, make_model, pixels, random_model

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.load import EXPORT_FOLDER, find_model, load
from ros2_llava_phi.engine.engine import AnyEngine, Floats
from ros2_llava_phi.engine.export import export
from ros2_llava_phi.engine.exported import MANIFEST, Manifest, files_of, read_manifest
from ros2_llava_phi.engine.onnx_engine import OnnxEngine, multiplies_int8
from ros2_llava_phi.engine.quantise import block_size, quantise
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.engine.tracing import linear_bits
from ros2_llava_phi.errors import FileError, ModelError, NumericsError
from ros2_llava_phi.files.hashing import files_hash
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint
from ros2_llava_phi.model.config import ModelConfig, TextConfig, VisionConfig
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.weights import save_network
from tiny.evaluate import HELD_OUT_SEED, said
from tiny.scene_shards import question_of
from tiny.scenes import DOMAINS, questions, sample_view

pytestmark = pytest.mark.slow

TINY_VISION = VisionConfig(
    image_size=28, patch_size=14, hidden_size=64, intermediate_size=96, layers=2, heads=1
)
CONFIGS = {
    'small': CONFIG,
    'odd widths': ModelConfig(
        vision=TINY_VISION,
        text=TextConfig(
            vocab_size=400,
            hidden_size=80,
            intermediate_size=200,
            layers=2,
            heads=2,
            rotary_dim=6,
            rope_theta=500.0,
            context_length=96,
            eos_token_id=0,
        ),
    ),
    "Phi-2's width": ModelConfig(
        vision=TINY_VISION,
        text=TextConfig(vocab_size=400, layers=1, context_length=96, eos_token_id=0),
    ),
}


def exported(folder: Path, out: Path, precision: str) -> OnnxEngine:
    """Export a checkpoint and load it."""
    export(open_checkpoint(folder), out, folder.name, precision)
    return OnnxEngine(out, read_manifest(out))


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what gives a checkpoint of each size, made once."""

    @functools.cache
    def make(name: str) -> Path:
        return random_model(tmp_path_factory.mktemp('model'), CONFIGS[name])

    return make


@pytest.fixture(scope='module', params=CONFIGS)
def pair(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    checkpoint: Callable[[str], Path],
) -> tuple[TorchEngine, OnnxEngine]:
    folder = checkpoint(request.param)
    onnx = exported(folder, tmp_path_factory.mktemp('export'), 'fp32')
    return TorchEngine(load_network(folder)), onnx


def assert_close(actual: Floats, expected: Floats) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_fp32_is_the_reference(pair: tuple[TorchEngine, OnnxEngine]) -> None:
    reference, engine = pair
    engines: tuple[AnyEngine, AnyEngine] = pair
    picture = reference.encode(pixels(reference.config))
    assert_close(engine.encode(pixels(reference.config)), picture)
    tokens = list(range(3, 20))
    np.testing.assert_array_equal(engine.embed(tokens), reference.embed(tokens))
    prompt = np.concatenate([reference.embed(tokens), picture])
    caches = reference.new_cache(), engine.new_cache()
    assert_close(engine.prefill(prompt, caches[1]), reference.prefill(prompt, caches[0]))
    for token in range(20):
        row = reference.embed([token + 5])
        expected, actual = (e.prefill(row, c) for e, c in zip(engines, caches, strict=True))
        assert_close(actual, expected)
        assert actual.argmax() == expected.argmax()
    assert caches[1].length == caches[0].length == len(prompt) + 20


def test_a_branch_is_as_good_as_a_fresh_cache(pair: tuple[TorchEngine, OnnxEngine]) -> None:
    _, engine = pair
    prefix, one, other = (
        engine.embed(list(tokens)) for tokens in (range(30), range(40, 52), range(60, 65))
    )
    cache = engine.new_cache()
    engine.prefill(prefix, cache)
    engine.prefill(one, cache)
    engine.decode(7, cache)
    cache.rewind(len(prefix))
    branched = engine.prefill(other, cache)
    fresh = engine.new_cache()
    assert_close(branched, engine.prefill(np.concatenate([prefix, other]), fresh))
    assert_close(engine.decode(9, cache), engine.decode(9, fresh))


def test_beyond_its_capacity_a_cache_stays_as_it_is(
    pair: tuple[TorchEngine, OnnxEngine],
) -> None:
    _, engine = pair
    cache = engine.new_cache()
    prefix = engine.embed(list(range(20)))
    engine.prefill(prefix, cache)
    with pytest.raises(ValueError, match=f'do not fit a cache of {cache.capacity}'):
        engine.prefill(engine.embed([1] * (cache.capacity - 19)), cache)
    assert cache.length == 20
    fresh = engine.new_cache()
    engine.prefill(prefix, fresh)
    np.testing.assert_array_equal(engine.decode(5, cache), engine.decode(5, fresh))
    with pytest.raises(ValueError, match='cannot rewind'):
        cache.rewind(30)


def test_a_cache_can_be_filled_to_its_last_place(pair: tuple[TorchEngine, OnnxEngine]) -> None:
    reference, engine = pair
    tokens = np.random.default_rng(3).integers(0, 400, engine.config.text.context_length)
    embeddings = reference.embed(tokens.tolist())
    assert_close(
        engine.prefill(embeddings, engine.new_cache()),
        reference.prefill(embeddings, reference.new_cache()),
    )


def rounded_network(folder: Path, bits: int, for_many: bool) -> LlavaPhi:
    """Return a checkpoint's network with its weights rounded as an export rounds them."""
    network = load_network(folder)
    for path, layer_bits in linear_bits(network, bits).items():
        assert layer_bits == (8 if bits == 8 or not path.startswith('decoder.layers') else 4)
        linear = network.get_submodule(path)
        assert isinstance(linear, torch.nn.Linear)
        weight = linear.weight
        size = weight.shape[1] if for_many else block_size(weight.shape[1])
        rounded = quantise(weight.detach().numpy(), layer_bits, size)
        weight.data = torch.from_numpy(rounded.dequantised())
    return network


def assert_within(share: float, actual: Floats, expected: Floats) -> None:
    assert np.sqrt(np.square(actual - expected).mean() / np.square(expected).mean()) < share


@pytest.mark.parametrize('precision', ['int8', 'int4', 'mixed'])
@pytest.mark.parametrize('name', ['small', "Phi-2's width"])
def test_integers_are_what_was_rounded(
    checkpoint: Callable[[str], Path], tmp_path: Path, name: str, precision: str
) -> None:
    """What is left between the two is the rounding of activations within the operator."""
    folder = checkpoint(name)
    engine = exported(folder, tmp_path / 'export', precision)
    many = TorchEngine(
        rounded_network(folder, 4 if precision == 'int4' else 8, precision != 'int4')
    )
    one = TorchEngine(rounded_network(folder, 8 if precision == 'int8' else 4, for_many=False))
    picture = many.encode(pixels(many.config))
    assert_within(0.02, engine.encode(pixels(engine.config)), picture)
    prompt = np.concatenate([many.embed(list(range(30))), picture])
    caches = engine.new_cache(), many.new_cache()
    assert_within(0.02, engine.prefill(prompt, caches[0]), many.prefill(prompt, caches[1]))
    for token in range(4):
        expected = one.decode(token, caches[1])
        assert_within(0.02, engine.decode(token, caches[0]), expected)


def test_a_token_is_rounded_by_its_own_size(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    """Whatever comes with it, a thousand times as large."""
    folder = checkpoint("Phi-2's width")
    engine = exported(folder, tmp_path / 'export', 'int8')
    few = engine.embed(list(range(10)))
    huge = np.concatenate([few[:5], 1000 * few[5:7], few[7:]])
    logits = []
    for prompt in (few, huge):
        cache = engine.new_cache()
        engine.prefill(prompt, cache)
        cache.rewind(5)
        logits.append(engine.prefill(few[5:], cache))
    np.testing.assert_array_equal(logits[0], logits[1])


@pytest.mark.parametrize(
    ('machine', 'flags', 'multiplies'),
    [
        ('x86_64', 'fpu avx2 avx512f', False),
        ('x86_64', 'fpu avx2 avx512f avx512_vnni', True),
        ('x86_64', 'avx2 avx_vnni', True),
        ('aarch64', '', True),
        ('riscv64', '', False),
    ],
)
def test_only_processors_that_multiply_int8_exactly_do(
    tmp_path: Path, machine: str, flags: str, multiplies: bool
) -> None:
    cpu_info = tmp_path / 'cpuinfo'
    cpu_info.write_text(f'processor : 0\nflags\t\t: {flags}\n' if flags else 'processor : 0\n')
    assert multiplies_int8(machine, cpu_info) is multiplies
    assert multiplies_int8(machine, tmp_path / 'none') is (machine == 'aarch64')


def test_a_processor_that_does_not_multiply_int8_goes_without(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint('small')
    engines, out = [], tmp_path / 'export'
    export(open_checkpoint(folder), out, 'small', 'mixed')
    for multiplies in (True, False):
        monkeypatch.setattr(
            'ros2_llava_phi.engine.onnx_engine.multiplies_int8', lambda answer=multiplies: answer
        )
        engines.append(OnnxEngine(out, read_manifest(out)))
    with_integers, without = engines
    reference = TorchEngine(rounded_network(folder, 4, for_many=False))
    prompt = reference.embed(list(range(30)))
    expected = reference.prefill(prompt, reference.new_cache())
    assert_within(0.02, without.prefill(prompt, without.new_cache()), expected)
    picture = without.encode(pixels(without.config))
    assert_within(0.02, picture, reference.encode(pixels(reference.config)))
    assert not np.array_equal(picture, with_integers.encode(pixels(without.config)))


def test_a_network_that_computes_nan_is_an_error(good: Path) -> None:
    engine = OnnxEngine(good, read_manifest(good))
    embeddings = engine.embed([1, 2])
    embeddings[0, 3] = np.nan
    with pytest.raises(NumericsError, match='decoder computed NaN'):
        engine.prefill(embeddings, engine.new_cache())


@pytest.mark.parametrize(
    ('tensor', 'value', 'precision'),
    [
        ('decoder.layers.1.fc1.weight', 'nan', 'int4'),
        ('decoder.embed_tokens.weight', 'inf', 'int8'),
        ('vision_tower.layers.0.layer_norm1.bias', '-inf', 'fp32'),
    ],
)
@pytest.mark.parametrize('kind', [torch.float32, torch.bfloat16])
def test_weights_that_are_no_numbers_are_not_exported(
    tmp_path: Path, tensor: str, value: str, precision: str, kind: torch.dtype
) -> None:
    folder = make_model(tmp_path / 'model')
    network = load_network(folder)
    network.get_parameter(tensor).data.view(-1)[3] = float(value)
    save_network(network, folder, kind)
    message = f'model: tensor {tensor} holds NaN or infinity'
    with pytest.raises(ModelError, match=message.replace('.', r'\.')):
        export(open_checkpoint(folder), tmp_path / 'out', 'model', precision)
    assert not (tmp_path / 'out').exists()


@pytest.fixture(scope='module')
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('export')
    export(open_checkpoint(make_model(tmp_path_factory.mktemp('model'))), out, 'small', 'int8')
    return out


def copy_of(folder: Path, out: Path) -> Path:
    out.mkdir()
    for path in folder.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    return out


def test_what_is_damaged_is_not_loaded(good: Path, tmp_path: Path) -> None:
    for number, name in enumerate(json.loads((good / MANIFEST).read_text())['files']):
        folder = copy_of(good, tmp_path / str(number))
        damaged = bytearray((folder / name).read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (folder / name).write_bytes(damaged)
        with pytest.raises(ModelError, match=f'{name} is damaged'):
            load(str(folder))
        (folder / name).unlink()
        with pytest.raises(ModelError, match=f'{name} is missing; export again'):
            load(str(folder))


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        ({'format': 1}, 'format: .*export again with this version, whose format is 3, not .1'),
        ({'precision': 'fp8'}, 'precision'),
        ({'files': {'../../secret': '0'}}, 'it must list 11 files; different: ../../secret'),
        ({'files': {}}, 'it must list 11 files; different: config.json, decoder.onnx'),
        ({'files': None}, 'files'),
    ],
)
def test_a_wrong_manifest_is_refused(
    good: Path, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    folder = copy_of(good, tmp_path / 'model')
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(ModelError, match=says):
        load(str(folder))


def altered(good: Path, out: Path, **settings: object) -> Path:
    """Return an export whose config.json says something else, under a manifest that agrees."""
    folder = copy_of(good, out)
    config = json.loads((folder / 'config.json').read_text())
    for name, value in settings.items():
        config['vision' if name == 'image_size' else 'text'][name] = value
    (folder / 'config.json').write_text(json.dumps(config))
    return signed(folder)


def signed(folder: Path) -> Path:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest['files'] = {name: files_hash([folder / name]) for name in manifest['files']}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ('settings', 'says'),
    [
        ({'layers': 2}, r'decoder.onnx takes keys.2 of .* asks for none'),
        ({'layers': 4}, r'decoder.onnx takes keys.3 of no shape'),
        ({'heads': 6}, r'decoder.onnx takes keys.0 of \[1, 3, 128, 16\]'),
        ({'context_length': 100}, r'asks for \[1, 3, 100, 16\]'),
        ({'image_size': 64}, r'vision(_integers)?.onnx takes pixels of \[1, 3, 32, 32\]'),
        ({'vocab_size': 500}, r'embeddings.npy gives \[400, 48\], but config.json asks for \[500'),
    ],
)
def test_settings_that_do_not_fit_the_graphs_are_refused(
    good: Path, tmp_path: Path, settings: dict[str, object], says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        load(str(altered(good, tmp_path / 'model', **settings)))


@pytest.mark.parametrize(
    ('name', 'content', 'says'),
    [
        ('vision.onnx', b'abc', 'vision.onnx cannot be loaded by ONNX Runtime'),
        ('decoder.onnx.data', b'', 'decoder.onnx cannot be loaded by ONNX Runtime'),
        ('embeddings.npy', b'', 'embeddings.npy cannot be read'),
        ('embeddings.npy', b'PK', 'embeddings.npy cannot be read'),
    ],
)
def test_files_that_are_no_graphs_are_refused(
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes,
    says: str,
) -> None:
    monkeypatch.setattr('ros2_llava_phi.engine.onnx_engine.multiplies_int8', lambda: False)
    folder = copy_of(good, tmp_path / 'model')
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=says):
        load(str(signed(folder)))


def test_an_export_of_other_weights_is_not_run(tmp_path: Path) -> None:
    folder = make_model(tmp_path / 'model')
    export(open_checkpoint(folder), folder / EXPORT_FOLDER, 'model', 'int8')
    assert load(str(folder)).identity.engine == 'onnxruntime'
    network = load_network(folder)
    network.decoder.lm_head.bias.data += 1
    save_network(network, folder, torch.float32)
    with pytest.raises(ModelError, match=r'is not of the weights in .*: export them anew'):
        load(str(folder))
    assert load(str(folder), 'torch').identity.engine == 'torch'


def test_an_export_for_tensorrt_does_not_keep_a_checkpoint_from_running(tmp_path: Path) -> None:
    folder = make_model(tmp_path / 'model')
    (folder / EXPORT_FOLDER).mkdir()
    hashes = dict.fromkeys(files_of('tensorrt', 'int8'), '0' * 64)
    manifest = Manifest(
        name='model',
        weights_hash='0' * 64,
        weight_files=[],
        engine='tensorrt',
        precision='int8',
        files=hashes,
    )
    (folder / EXPORT_FOLDER / MANIFEST).write_text(manifest.model_dump_json())
    assert load(str(folder)).identity.engine == 'torch'
    with pytest.raises(ModelError, match='is not exported for ONNX Runtime'):
        load(str(folder), 'onnxruntime')


def test_the_export_of_an_adapter_is_of_its_base_too(tmp_path: Path) -> None:
    base, folder = make_model(tmp_path / 'base'), tmp_path / 'adapter'
    folder.mkdir()

    def write_adapter(seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        target = 'base_model.model.decoder.layers.0.fc1'
        pair = {
            f'{target}.lora_A.weight': torch.randn(2, CONFIG.text.hidden_size, generator=rng),
            f'{target}.lora_B.weight': torch.randn(CONFIG.text.intermediate_size, 2),
        }
        save_file(pair, folder / 'adapter_model.safetensors')

    write_adapter(0)
    settings = {'peft_type': 'LORA', 'r': 2, 'lora_alpha': 2, 'base_model_name_or_path': str(base)}
    (folder / 'adapter_config.json').write_text(json.dumps(settings))
    export(open_checkpoint(folder), folder / EXPORT_FOLDER, 'adapter', 'fp32')
    assert load(str(folder)).identity.engine == 'onnxruntime'
    kept = (folder / 'adapter_model.safetensors').read_bytes()
    write_adapter(1)
    with pytest.raises(ModelError, match=r'is not of the weights in .*adapter'):
        load(str(folder))
    (folder / 'adapter_model.safetensors').write_bytes(kept)
    make_model(base, seed=1)
    with pytest.raises(ModelError, match=r'is not of the weights in .*adapter'):
        load(str(folder))
    base.rename(tmp_path / 'elsewhere')
    with pytest.raises(ModelError, match=r'model\.safetensors is not in .* give .*onnx itself'):
        load(str(folder))
    assert load(str(folder / EXPORT_FOLDER)).identity.name == 'adapter'


def test_an_export_of_other_settings_is_not_run(tmp_path: Path) -> None:
    folder = make_model(tmp_path / 'model')
    export(open_checkpoint(folder), folder / EXPORT_FOLDER, 'model', 'int8')
    settings = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps(settings | {'temperature': 2.0}))
    with pytest.raises(ModelError, match=r'was made with another config.json than that in '):
        load(str(folder))


def test_what_an_export_began_it_takes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('numpy.save', no_space)
    out = tmp_path / 'out'
    with pytest.raises(FileError, match=r'out cannot be written: .*No space left'):
        export(open_checkpoint(make_model(tmp_path / 'model')), out, 'small', 'fp32')
    assert not out.exists()


def test_embeddings_beyond_fp16_are_kept(tmp_path: Path) -> None:
    folder = make_model(tmp_path / 'model')
    network = load_network(folder)
    network.decoder.embed_tokens.weight.data *= 1e6
    save_network(network, folder, torch.float32)
    engine = exported(folder, tmp_path / 'export', 'int8')
    np.testing.assert_array_equal(
        engine.embed([3, 5]), network.decoder.embed_tokens.weight[[3, 5]].detach().numpy()
    )


@pytest.mark.parametrize('size', [10, 12])
def test_a_head_that_onnx_runtime_does_not_take_is_not_exported(tmp_path: Path, size: int) -> None:
    text = CONFIG.text.model_copy(update={'hidden_size': 2 * size, 'heads': 2})
    folder = random_model(tmp_path / 'model', CONFIG.model_copy(update={'text': text}))
    with pytest.raises(ModelError, match=f'a multiple of 8, not {size}; use the engine torch'):
        export(open_checkpoint(folder), tmp_path / 'out', 'model', 'fp32')
    assert not (tmp_path / 'out').exists()


def test_what_an_export_cannot_do_is_said(good: Path, tmp_path: Path) -> None:
    assistant = load(str(good))
    assert assistant.identity.engine == 'onnxruntime'
    assert assistant.identity.precision == 'int8'
    with pytest.raises(ModelError, match='on the device cpu in int8, not on cuda'):
        load(str(good), device='cuda')
    with pytest.raises(ModelError, match='in int8, not on cpu in fp32'):
        load(str(good), precision='fp32')
    checkpoint = make_model(tmp_path / 'model')
    with pytest.raises(ModelError, match='is not exported for ONNX Runtime; use `llava-phi expo'):
        load(str(checkpoint), 'onnxruntime')
    with pytest.raises(ModelError, match='has no export in int8; write one: `llava-phi export`'):
        load(str(checkpoint), precision='int8')
    with pytest.raises(ModelError, match="precision 'fp8' is unknown; use auto, fp32, int8"):
        load(str(good), precision='fp8')
    assert load(str(checkpoint)).identity.engine == 'torch'
    assert load('llava-phi-tiny').identity.engine == 'onnxruntime'
    assert load('llava-phi-tiny', precision='fp32').identity.engine == 'torch'


def test_an_export_names_nobody_who_made_it(good: Path) -> None:
    for path in good.iterdir():
        assert str(Path(__file__).resolve().parents[1]).encode() not in path.read_bytes()


def test_the_packaged_export_is_of_the_packaged_weights() -> None:
    folder = find_model('llava-phi-tiny')
    whole = load('llava-phi-tiny', 'torch').identity
    assert read_manifest(folder / EXPORT_FOLDER).weights_hash == whole.weights_hash
    engine = load('llava-phi-tiny', 'onnxruntime')
    assert (folder / EXPORT_FOLDER / 'config.json').read_text() == (
        folder / 'config.json'
    ).read_text()
    assert engine.identity.weights_hash == whole.weights_hash


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason='there is one core only')
def test_it_takes_no_more_threads_than_there_are_cores_for_it() -> None:
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        engine = load('llava-phi-tiny', 'onnxruntime')._responder.engine
    finally:
        os.sched_setaffinity(0, cores)
    assert isinstance(engine, OnnxEngine)
    assert engine._vision.get_session_options().intra_op_num_threads == 1


def test_int8_answers_as_fp32_does() -> None:
    """On held-out scenes: the card has the figures over all of them."""
    engines: list[Assistant] = [load('llava-phi-tiny', e) for e in ('torch', 'auto')]
    agree, apart = [], []
    for index in range(30):
        rng = np.random.default_rng([HELD_OUT_SEED, index])
        scene, rendering = sample_view(rng, DOMAINS[index % len(DOMAINS)])
        views = [engine.look(Frame(rendering.image)) for engine in engines]
        for example in questions(scene, rng, 'heldout', 12):
            if example.kind == 'text':
                continue
            fp32, int8 = (
                engine.ask(view, question_of(example))
                for engine, view in zip(engines, views, strict=True)
            )
            agree.append(said(fp32) == said(int8))
            apart.append(abs(fp32.confidence - int8.confidence))
    assert len(agree) > 200
    assert np.mean(agree) >= 0.985
    assert np.mean(apart) <= 0.02


WITHOUT_TORCH = """
import sys
for name in ('torch', 'transformers', 'onnx', 'onnx_ir', 'onnxscript', 'safetensors'):
    sys.modules[name] = None  # what is not installed cannot be imported either
from ros2_llava_phi.cli.main import main
main()
"""


def run_without_torch(*arguments: str) -> 'subprocess.CompletedProcess[str]':
    return subprocess.run(
        [sys.executable, '-c', WITHOUT_TORCH, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, 'COLUMNS': '200'},
    )


def test_nothing_but_the_export_is_needed_to_ask(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng([HELD_OUT_SEED, 0])
    _, rendering = sample_view(rng, DOMAINS[0])
    picture = tmp_path / 'road.png'
    Image.fromarray(rendering.image).save(picture)
    question = ('ask', '--image', str(picture), '--yes-no', '-v', 'Is it night?')
    result = run_without_torch(*question)
    assert result.returncode == 0, result.stderr
    assert '(onnxruntime, int8)' in result.stdout

    result = run_without_torch(*question, '--precision', 'fp32')
    assert result.returncode == 2
    assert "torch is missing: `pip install '" in result.stderr
    assert "'torch>=2.9'" in result.stderr and 'or export it elsewhere' in result.stderr
    assert 'Traceback' not in result.stderr

    result = run_without_torch('export', 'llava-phi-tiny', str(tmp_path / 'out'))
    assert result.returncode == 2
    assert "is missing: `pip install '" in result.stderr and "'torch>=2.9'" in result.stderr


def test_export_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ros2_llava_phi.cli.main import main

    out = tmp_path / 'out'
    arguments = ['llava-phi', 'export', str(make_model(tmp_path / 'm')), str(out)]
    for expected in (0, 2):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
            patch.setattr(sys, 'argv', arguments)
            main()
        assert left.value.code in ((0, None) if expected == 0 else (2,))
    said_out, said_err = capsys.readouterr()
    assert f'{out}: int8' in said_out.replace('\n', '')
    assert 'rounding moved the weights by' in said_out
    assert 'is not empty; give a new folder' in said_err
    assert load(str(out)).identity.name == 'm'
