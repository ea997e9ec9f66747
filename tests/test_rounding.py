"""Rounding for what a layer's inputs are: what it computes of new ones moves less."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from small_model import CONFIG, make_model, pixels, random_model
from test_tensorrt import EVEN
from tokenizers import Tokenizer

from ros2_llava_phi.cli import main as cli
from ros2_llava_phi.engine.engine import Floats
from ros2_llava_phi.engine.export import export
from ros2_llava_phi.engine.exported import DECODER
from ros2_llava_phi.engine.gptq import GROUP, Prompt, calibrate, round_for_inputs
from ros2_llava_phi.engine.onnx_graphs import ONNXRUNTIME
from ros2_llava_phi.engine.quantise import QuantisedWeight, block_size, quantise
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.engine.tracing import linear_bits
from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.prompt import BEFORE_PICTURE, after_picture
from ros2_llava_phi.model.tokenizer import encode, load_tokenizer
from ros2_llava_phi.model.weights import save_network

QUESTIONS = ['How many cars?', 'Is there a red car?', 'What is on the left?']


def seen(inputs: int, tokens: int, seed: int) -> Floats:
    """Return inputs [tokens, inputs] that hang together, some of them far larger than others."""
    mixing = np.random.default_rng(inputs).standard_normal((inputs // 4, inputs))
    rng = np.random.default_rng([inputs, seed])
    x = rng.standard_normal((tokens, inputs // 4)) @ mixing / inputs**0.5
    x += 0.1 * rng.standard_normal((tokens, inputs))
    x[:, ::17] *= 20
    return x.astype(np.float32)


def moments(x: Floats) -> list[Floats]:
    return [part.T @ part for part in np.split(x, range(GROUP, x.shape[1], GROUP), axis=1)]


def output_error(rounded: QuantisedWeight, weight: Floats, x: Floats) -> float:
    wrong = x @ (rounded.dequantised() - weight).T
    return float(np.sqrt(np.square(wrong).mean() / np.square(x @ weight.T).mean()))


@pytest.mark.slow
@pytest.mark.parametrize(('inputs', 'most'), [(256, 0.6), (80, 0.6), (GROUP + 128, 0.7)])
def test_outputs_of_new_inputs_move_less_than_by_plain_rounding(inputs: int, most: float) -> None:
    weight = np.random.default_rng(0).standard_normal((32, inputs)).astype(np.float32)
    size = block_size(inputs)
    rounded = round_for_inputs(weight, 4, size, moments(seen(inputs, 4 * inputs, 1)))
    nearest = quantise(weight, 4, size)
    assert rounded.integers.shape == nearest.integers.shape
    assert rounded.scales.shape == nearest.scales.shape
    assert rounded.integers.min() >= -8
    assert rounded.integers.max() <= 7
    new = seen(inputs, 500, 2)
    assert output_error(rounded, weight, new) < most * output_error(nearest, weight, new)


def test_inputs_that_were_never_seen_are_rounded_plainly() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    rounded = round_for_inputs(weight, 4, 64, [np.zeros((64, 64), np.float32)])
    nearest = quantise(weight, 4, 64)
    np.testing.assert_array_equal(rounded.integers, nearest.integers)
    np.testing.assert_allclose(rounded.scales, nearest.scales)


def prompts(config: ModelConfig, count: int, first: int = 0) -> list[Prompt]:
    return [
        Prompt(pixels(config, first + i), after_picture(QUESTIONS[i % len(QUESTIONS)]))
        for i in range(count)
    ]


@pytest.mark.parametrize('config', [CONFIG, EVEN], ids=['odd widths', 'even widths'])
def test_a_calibrated_decoder_is_nearer_to_fp32_than_a_plain_one(
    tmp_path: Path, config: ModelConfig
) -> None:
    folder = random_model(tmp_path / 'model', config)
    large_channels(folder)
    network = load_network(folder)
    tokenizer = load_tokenizer(folder, config.text.vocab_size)
    bits_of = linear_bits(network, 4)
    given = prompts(config, 32)
    calibrated = calibrate(network, tokenizer, given, bits_of, ONNXRUNTIME.block)
    four = {path for path, bits in bits_of.items() if bits == 4}
    assert set(calibrated.weights) == four
    errors, new = [], prompts(config, 8, first=100)
    expected = logits(network, tokenizer, new)
    for of in (calibrated.weights.__getitem__, partial(plain, network)):
        moved = load_network(folder)
        for path in four:
            weight = moved.get_parameter(f'{path}.weight')
            weight.data = torch.from_numpy(of(path).dequantised())
        wrong = logits(moved, tokenizer, new) - expected
        errors.append(float(np.sqrt(np.square(wrong).mean() / np.square(expected).mean())))
    assert errors[0] < 0.8 * errors[1]
    # What it says of itself is what it is.
    assert 0.5 * errors[0] < calibrated.error < 2 * errors[0]


def plain(network: LlavaPhi, path: str) -> QuantisedWeight:
    weight = network.get_parameter(f'{path}.weight').detach().numpy()
    return quantise(weight, 4, block_size(weight.shape[1]))


def logits(network: LlavaPhi, tokenizer: Tokenizer, asked: list[Prompt]) -> Floats:
    engine, rows = TorchEngine(network), []
    before = engine.embed(encode(tokenizer, BEFORE_PICTURE))
    for prompt in asked:
        text = engine.embed(encode(tokenizer, prompt.text))
        embeddings = np.concatenate([before, engine.encode(prompt.pixels), text])
        rows.append(engine.prefill(embeddings, engine.new_cache()))
    return np.stack(rows)


def large_channels(folder: Path) -> None:
    """Give a checkpoint what large models have: channels that exceed the others by far."""
    network = load_network(folder)
    for index in range(len(network.decoder.layers)):
        network.get_parameter(f'decoder.layers.{index}.input_layernorm.weight').data[::16] *= 5
    save_network(network, folder, torch.float32)


@pytest.mark.slow
def test_both_dialects_get_the_same_integers_and_scales(tmp_path: Path) -> None:
    folder = random_model(tmp_path / 'model', EVEN)
    decoders = {}
    for engine in ('onnxruntime', 'tensorrt'):
        out = tmp_path / engine
        loss = export(open_checkpoint(folder), out, 'm', 'int4', engine, prompts=prompts(EVEN, 16))
        assert loss.logits is not None
        decoders[engine] = onnx.load(out / DECODER).graph.initializer
    ort, trt = (
        {one.name: onnx.numpy_helper.to_array(one) for one in initializers}
        for initializers in decoders.values()
    )
    packed = [name for name in ort if 'layers' in name and name.endswith('.packed')]
    assert len(packed) == 6 * EVEN.text.layers
    for name in packed:
        path = name.removesuffix('.packed')
        outputs, blocks = ort[name].shape[:2]
        low, high = ort[name] & 15, ort[name] >> 4
        integers = np.stack([low, high], -1).reshape(outputs, -1).astype(np.int8) - 8
        np.testing.assert_array_equal(integers.T, trt[f'{path}.integers'].astype(np.int8))
        scales = ort[f'{path}.scales'].reshape(outputs, blocks).T
        np.testing.assert_array_equal(scales.astype(np.float16), trt[f'{path}.scale'])


@pytest.mark.slow
def test_what_cannot_be_calibrated_is_said(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(make_model(tmp_path / 'model'))
    out = tmp_path / 'out'
    with pytest.raises(ModelError, match='only 4 bits are calibrated, not int8'):
        export(checkpoint, out, 'm', 'int8', prompts=prompts(CONFIG, 8))
    with pytest.raises(ModelError, match='7 prompts are too few to calibrate with; give 8'):
        export(checkpoint, out, 'm', 'int4', prompts=prompts(CONFIG, 7))
    assert not out.exists()
    loss = export(checkpoint, out, 'm', 'int4')
    assert loss.weights == pytest.approx(0.1, abs=0.05)
    assert loss.logits is None


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for i in range(count):
        noise = np.random.default_rng(i).integers(0, 255, (40, 60, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f'{i}.{"jpg" if i % 2 else "png"}')
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr('sys.argv', ['llava-phi', *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


@pytest.mark.slow
def test_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = make_model(tmp_path / 'model'), tmp_path / 'out'
    folder = pictures(tmp_path / 'pictures', 9)
    arguments = ('export', model, out, '--precision', 'int4', '--calibrate')
    assert run(monkeypatch, *arguments, folder) == 0
    printed = capsys.readouterr().out
    assert '4 bits moved the logits by' in printed

    out = tmp_path / 'other'
    for name, spoil, says in (
        ('none', lambda _: None, 'holds 0 pictures (.jpg, .jpeg, .png); calibration needs 8'),
        ('broken', lambda at: (at / '3.jpg').write_bytes(b'abc'), '3.jpg'),
        ('no questions', lambda at: (at / 'questions.txt').write_text('\n'), 'no question'),
        ('latin', lambda at: (at / 'questions.txt').write_bytes(b'\xe4?'), 'no text in UTF-8'),
    ):
        bad = pictures(tmp_path / name, 0 if name == 'none' else 8)
        spoil(bad)
        assert run(monkeypatch, 'export', model, out, *arguments[3:], bad) == 2
        error = capsys.readouterr().err
        assert says in error.replace('\n', '')
        assert error.count('\n') == 1
        assert not out.exists()
    assert run(monkeypatch, 'export', model, out, *arguments[3:], tmp_path / 'nowhere') == 2
    assert 'there is no folder' in capsys.readouterr().err
    assert run(monkeypatch, 'export', model, out, '--calibrate', folder) == 2
    assert '--calibrate is for --precision int4 or mixed, not' in capsys.readouterr().err
