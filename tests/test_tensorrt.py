"""
Graphs for TensorRT: they compute what the network does, and its compiler takes them.

Without a GPU no plan can run. So the graphs themselves are evaluated by ONNX's reference, which
takes TensorRT's operators from here, and TensorRT-RTX compiles them for GPUs that are not there.
"""

import logging
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from small_model import CONFIG, pixels, random_model
from tensorrt_operators import OPERATORS

from ros2_llava_phi.assistant.load import EXPORT_FOLDER, find_model, load
from ros2_llava_phi.cli.build import build as build_command
from ros2_llava_phi.cli.main import main
from ros2_llava_phi.engine import tensorrt_build, tensorrt_library
from ros2_llava_phi.engine.branches import Branches, Layout, in_a_row
from ros2_llava_phi.engine.engine import Floats
from ros2_llava_phi.engine.export import export
from ros2_llava_phi.engine.exported import (
    DECODER,
    EMBEDDINGS,
    PLAIN_DECODER,
    VISION,
    check_files,
    read_manifest,
)
from ros2_llava_phi.engine.plans import (
    DECODER_PLAN,
    FILES,
    PLAN_MANIFEST,
    VISION_PLAN,
    read_plan_manifest,
)
from ros2_llava_phi.engine.quantise import quantise
from ros2_llava_phi.engine.tensorrt_build import build, profiles
from ros2_llava_phi.engine.tensorrt_engine import HIDDEN
from ros2_llava_phi.engine.tensorrt_graphs import BITS, TENSORRT
from ros2_llava_phi.engine.tensorrt_library import (
    compile_graph,
    has_native_layers,
    load_tensorrt,
    targets,
)
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.engine.tracing import linear_bits
from ros2_llava_phi.errors import FileError, ModelError
from ros2_llava_phi.files.atomic import UNFINISHED, new_folder
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint
from ros2_llava_phi.model.config import ModelConfig, TextConfig, VisionConfig
from ros2_llava_phi.model.network import DecoderLayer, LlavaPhi
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE
from ros2_llava_phi.model.weights import Checkpoint, save_network

pytestmark = pytest.mark.slow

# Widths that 4 bits divide, and everything else small.
EVEN = ModelConfig(
    vision=VisionConfig(
        image_size=32, patch_size=8, hidden_size=64, intermediate_size=128, layers=3, heads=2
    ),
    text=TextConfig(
        vocab_size=400,
        hidden_size=128,
        intermediate_size=256,
        layers=2,
        heads=2,
        rotary_dim=24,
        context_length=64,
        eos_token_id=0,
    ),
)
VARIANTS = [DECODER, PLAIN_DECODER]


class Referee:
    """An exported decoder under ONNX's reference, with the caches that an engine would keep."""

    def __init__(self, folder: Path, file: str, config: ModelConfig) -> None:
        model = onnx.load(folder / file)
        self._decoder = ReferenceEvaluator(model, new_ops=OPERATORS)
        self._kind = onnx.helper.tensor_dtype_to_np_dtype(
            model.graph.input[0].type.tensor_type.elem_type
        )
        self._plain = file == PLAIN_DECODER
        text = config.text
        rows = (text.context_length, text.hidden_size)
        heads = (text.heads, text.context_length, text.head_dim)
        place = rows if self._plain else heads
        self._capacity = text.context_length
        self.past = 0
        self._caches = {
            f'{kind}.{i}': np.full((1, *place), 9, ml_dtypes.bfloat16)
            for kind in ('keys', 'values')
            for i in range(text.layers)
        }

    def __call__(
        self, embeddings: Floats, layout: Layout | None = None
    ) -> tuple[Floats, NDArray[np.int32]]:
        """Append [T, D] to the caches; return logits [N, vocab] and tokens [N]."""
        layout = layout or in_a_row(self.past, len(embeddings))
        bias = np.full((len(embeddings), self._capacity), HIDDEN)
        bias[:, : layout.mask.shape[1]][layout.mask] = 0
        inputs = {
            'embeddings': embeddings[None].astype(self._kind),
            'past': np.array([self.past], np.int32),
            'positions': layout.positions[None].astype(np.int32),
            'bias': bias[None, None].astype(ml_dtypes.bfloat16),
            'last': layout.last.astype(np.int32),
            **self._caches,
        }
        outputs: Any = self._decoder.run(None, inputs)
        logits, tokens, logs, *new = outputs
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        np.testing.assert_allclose(logs, -np.log(shares.sum(-1)), atol=1e-3)
        for (name, cache), update in zip(self._caches.items(), new, strict=True):
            if not self._plain:
                self._caches[name] = update
                continue
            cache[:, self.past : self.past + len(embeddings)] = update
        self.past += len(embeddings)
        return logits, tokens


def error(actual: Floats, expected: Floats) -> float:
    """Return the root mean square error as a share of the expected values' size."""
    return float(np.sqrt(np.square(actual - expected).mean() / np.square(expected).mean()))


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of its biases are the same, as those are that training starts at zero."""
    folder = random_model(tmp_path_factory.mktemp('model'), EVEN)
    network = load_network(folder)
    layer = network.decoder.layers[0]
    assert isinstance(layer, DecoderLayer)
    layer.fc2.bias.data.copy_(layer.dense.bias.data)
    save_network(network, folder, torch.float32)
    return folder


@pytest.fixture(scope='module', params=BITS)
def exported(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp(request.param)
    export(open_checkpoint(model), out, 'small', request.param, 'tensorrt')
    return request.param, out


# For tests to which the precision makes no difference.
one_export = pytest.mark.parametrize('exported', ['bf16'], indirect=True)


def rounded(model: Path, precision: str) -> LlavaPhi:
    """Return the network in fp32 with the weights that an export in integers stands for."""
    network = load_network(model)
    for path, bits in linear_bits(network, BITS[precision]).items():
        weight = network.get_submodule(path).weight
        assert isinstance(weight, torch.nn.Parameter)
        if bits is not None:
            array = weight.detach().numpy()
            size = TENSORRT.block(bits, array.shape[1])
            weight.data = torch.from_numpy(quantise(array, bits, size).dequantised())
    return network


@pytest.fixture(scope='module')
def engines(model: Path, exported: tuple[str, Path]) -> tuple[TorchEngine, TorchEngine]:
    """PyTorch in fp32 with the rounded weights, and in bf16: no more error than its is allowed."""
    networks = (rounded(model, exported[0]) for _ in range(2))
    return TorchEngine(next(networks)), TorchEngine(next(networks).to(torch.bfloat16), 'bf16')


def assert_as_close(actual: Floats, exact: Floats, coarse: Floats) -> None:
    """Hold an error to that of bf16; roundings fall elsewhere, so twice as much is no matter."""
    assert error(actual, exact) < 2 * error(coarse, exact)


def test_the_tower_computes_what_the_network_does(
    exported: tuple[str, Path], engines: tuple[TorchEngine, TorchEngine]
) -> None:
    precision, folder = exported
    vision = ReferenceEvaluator(onnx.load(folder / VISION), new_ops=OPERATORS)
    kind = ml_dtypes.bfloat16 if precision == 'bf16' else np.float16
    outputs: Any = vision.run(None, {'pixels': pixels(EVEN)[None].astype(kind)})
    encoded = outputs[0][0].astype(np.float32)
    assert_as_close(encoded, *(engine.encode(pixels(EVEN)) for engine in engines))


@pytest.mark.parametrize('file', VARIANTS)
def test_decoders_compute_what_the_network_does(
    exported: tuple[str, Path], engines: tuple[TorchEngine, TorchEngine], file: str
) -> None:
    exact, _ = engines
    picture = exact.encode(pixels(EVEN))
    prompt = np.concatenate([exact.embed(list(range(3, 10))), picture])
    decoder, caches = Referee(exported[1], file, EVEN), [e.new_cache() for e in engines]
    for embeddings in (prompt, *(exact.embed([token]) for token in (5, 9, 200))):
        logits, tokens = decoder(embeddings)
        assert tokens[0] == logits[0].argmax()
        expected = [e.prefill(embeddings, c) for e, c in zip(engines, caches, strict=True)]
        assert_as_close(logits[0], *expected)


@pytest.mark.parametrize('file', VARIANTS)
def test_questions_together_give_what_each_alone_does(
    exported: tuple[str, Path], engines: tuple[TorchEngine, TorchEngine], file: str
) -> None:
    prompt = engines[0].embed(list(range(3, 33)))
    decoder = Referee(exported[1], file, EVEN)
    decoder(prompt)
    branches = Branches(len(prompt))
    questions, following = [[7, 8, 9, 10, 11], [40, 41, 42], [60]], [[5], [6], [7]]
    before: list[list[int]] = [[], [], []]
    for parts in (questions, following):
        layout = branches.append([(i, len(part)) for i, part in enumerate(parts)])
        logits, tokens = decoder(engines[0].embed([t for part in parts for t in part]), layout)
        np.testing.assert_array_equal(tokens, logits.argmax(-1))
        before = [[*old, *new] for old, new in zip(before, parts, strict=True)]
        for row, question in zip(logits, before, strict=True):
            expected = []
            for engine in engines:
                cache = engine.new_cache()
                engine.prefill(prompt, cache)
                expected.append(engine.prefill(engine.embed(question), cache))
            assert_as_close(row, *expected)


def test_products_beyond_the_range_of_fp16_are_no_harm(tmp_path: Path) -> None:
    """Phi-2 has such, and infinities of both signs make the softmax NaN."""
    folder = random_model(tmp_path / 'model', EVEN)
    network = load_network(folder)
    for layer in network.decoder.layers:
        assert isinstance(layer, DecoderLayer)
        layer.q_proj.weight.data *= 300
        layer.k_proj.weight.data *= 300
    save_network(network, folder, torch.float32)
    export(open_checkpoint(folder), tmp_path / 'out', 'large', 'fp16', 'tensorrt')
    reference = TorchEngine(network)
    prompt = reference.embed(list(range(3, 33)))
    with torch.inference_mode():
        layer = network.decoder.layers[0]
        assert isinstance(layer, DecoderLayer)
        normed = layer.input_layernorm(torch.from_numpy(prompt))
        products = layer.q_proj(normed)[:, :64] @ layer.k_proj(normed)[:, :64].T
    assert products.abs().max() > np.finfo(np.float16).max
    for file in VARIANTS:
        logits, _ = Referee(tmp_path / 'out', file, EVEN)(prompt)
        assert np.isfinite(logits).all()


def test_both_decoders_share_their_weights(exported: tuple[str, Path]) -> None:
    _, folder = exported
    sizes = {file: (folder / file).stat().st_size for file in VARIANTS}
    assert max(sizes.values()) < (folder / f'{DECODER}.data').stat().st_size / 2


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    odd = random_model(tmp_path / 'odd', CONFIG)
    with pytest.raises(ModelError, match=r'int4 for TensorRT needs .* multiple of 32, not 48'):
        export(open_checkpoint(odd), tmp_path / 'out', 'odd', 'int4', 'tensorrt')
    with pytest.raises(ModelError, match="'fp32' is unknown to tensorrt; use fp16, bf16"):
        export(open_checkpoint(odd), tmp_path / 'out', 'odd', 'fp32', 'tensorrt')
    network = load_network(odd)
    network.get_parameter('decoder.layers.1.fc1.weight').data[3, 4] = 7e4
    save_network(network, odd, torch.float32)
    with pytest.raises(ModelError, match=r"layers.1.fc1.weight exceeds fp16's range; use bf16"):
        export(open_checkpoint(odd), tmp_path / 'out', 'odd', 'fp16', 'tensorrt')
    assert not (tmp_path / 'out').exists()


TARGETS = ['sm80', 'sm86', 'sm89', 'sm120']
# Two layers of Phi-2 and two of CLIP that LLaVA uses, at their full width, with few tokens.
SLICE = ModelConfig(
    vision=VisionConfig(layers=3),
    text=TextConfig(vocab_size=512, layers=2, context_length=1024, eos_token_id=0),
)


@pytest.fixture(scope='module')
def trt() -> ModuleType:
    pytest.importorskip('tensorrt_rtx')
    return load_tensorrt()


@pytest.fixture(scope='module')
def full_width(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp('slice'), SLICE)


@pytest.fixture(scope='module', params=['fp16', 'bf16', 'int8', 'int4'])
def full_width_export(
    request: pytest.FixtureRequest, full_width: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp(request.param)
    export(open_checkpoint(full_width), out, 'slice', request.param, 'tensorrt')
    return request.param, out


def plan(
    trt: ModuleType, config: ModelConfig, exported: tuple[str, Path], file: str, target: str
) -> memoryview:
    shapes = [] if file == VISION else profiles(config)
    return compile_graph(trt, exported[1] / file, shapes, targets(trt)[target])


@pytest.mark.parametrize('target', TARGETS)
@pytest.mark.parametrize('file', [VISION, *VARIANTS])
def test_small_plans_compile(
    trt: ModuleType, exported: tuple[str, Path], file: str, target: str
) -> None:
    assert has_native_layers(trt)
    assert plan(trt, EVEN, exported, file, target)


@pytest.mark.parametrize('target', TARGETS)
@pytest.mark.parametrize('file', VARIANTS)
def test_plans_of_full_width_compile(
    trt: ModuleType, full_width_export: tuple[str, Path], file: str, target: str
) -> None:
    """Fused attention at Phi-2's head size, and weights once, in the size of their precision."""
    data = plan(trt, SLICE, full_width_export, file, target)
    weights = (full_width_export[1] / f'{DECODER}.data').stat().st_size
    assert len(data) < 1.2 * weights


def test_the_tower_compiles_at_full_width(
    trt: ModuleType, full_width_export: tuple[str, Path]
) -> None:
    assert plan(trt, SLICE, full_width_export, VISION, 'sm86')


def test_build_writes_a_folder_that_is_complete(
    trt: ModuleType, exported: tuple[str, Path], tmp_path: Path
) -> None:
    _, folder = exported
    heard = []
    build(folder, tmp_path / 'out', 'sm86', lambda *step: heard.append(step))
    assert any(done == total for _, done, total in heard)
    manifest = read_plan_manifest(tmp_path / 'out')
    assert (manifest.gpu, manifest.native) == ('sm86', True)
    assert manifest.export == read_manifest(folder)
    assert {DECODER_PLAN, VISION_PLAN, EMBEDDINGS, TOKENIZER_FILE} < set(manifest.files)
    check_files(tmp_path / 'out', manifest.files, 'build again')
    with pytest.raises(ModelError, match='there is no GPU here'):
        load(str(tmp_path / 'out'))


def test_what_cannot_be_built_leaves_nothing(trt: ModuleType, model: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / 'export', tmp_path / 'out'
    export(open_checkpoint(model), folder, 'small', 'int4', 'tensorrt')
    (tmp_path / 'real').mkdir()
    (tmp_path / 'link').symlink_to('real')
    for place in (out, tmp_path / 'real', tmp_path / 'link'):
        with pytest.raises(ModelError, match=r"cannot build for 'sm42'; it can for sm80, "):
            build(folder, place, 'sm42')
    assert not list((tmp_path / 'real').iterdir())
    (tmp_path / 'file').touch()
    with pytest.raises(FileError, match=r'file is a file; give a new folder'):
        build(folder, tmp_path / 'file', 'sm86')
    with pytest.raises(ModelError, match="cannot build for 'sm75'"):
        build(folder, out, 'sm75')

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(folder, out, 'sm86', interrupt)
    assert not out.exists()
    data = bytearray((folder / f'{DECODER}.data').read_bytes())
    data[1000] ^= 1
    (folder / f'{DECODER}.data').write_bytes(data)
    with pytest.raises(ModelError, match=r'decoder\.onnx\.data is damaged'):
        build(folder, out, 'sm86')
    assert not out.exists()
    with pytest.raises(ModelError, match='exported for onnxruntime; export it for tensorrt'):
        build(find_model('llava-phi-tiny') / EXPORT_FOLDER, out, 'sm86')
    with pytest.raises(ModelError, match='there is no GPU here'):
        load(str(folder))


@one_export
@pytest.mark.skipif(Path('/dev/nvidia0').exists(), reason='there is a GPU')
def test_without_a_gpu_a_target_is_asked_for(
    trt: ModuleType, exported: tuple[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r'no GPU here \(cudaGetDeviceProperties failed: '):
        build(exported[1], tmp_path / 'out')


def test_a_graph_that_is_none_is_refused(trt: ModuleType, tmp_path: Path) -> None:
    (tmp_path / 'decoder.onnx').write_bytes(b'no graph')
    with pytest.raises(ModelError, match=r'decoder\.onnx: TensorRT cannot read it: '):
        compile_graph(trt, tmp_path / 'decoder.onnx', [])


@one_export
@pytest.mark.parametrize(
    ('limit_mib', 'end', 'code', 'said'),
    [
        (3, None, 2, 'cannot be written: File too large'),
        (None, signal.SIGTERM, 143, ''),
        (None, signal.SIGHUP, 129, ''),
    ],
)
def test_a_command_that_cannot_finish_leaves_nothing(
    trt: ModuleType,
    exported: tuple[str, Path],
    tmp_path: Path,
    limit_mib: int | None,
    end: signal.Signals | None,
    code: int,
    said: str,
) -> None:
    """A limit on the size of files stands for a full disk."""

    def limit() -> None:
        # Under nohup, commands outlive a hangup, as they should.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if limit_mib is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_mib << 20, limit_mib << 20))

    process = subprocess.Popen(
        ['llava-phi', 'build', str(exported[1]), str(tmp_path / 'out'), '--target', 'sm86'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )
    if end is not None:
        deadline = time.monotonic() + 30
        while not (tmp_path / 'out').exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(end)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert said in err
    assert 'Traceback' not in err
    assert out == ''
    assert not (tmp_path / 'out').exists()


@one_export
def test_a_build_whose_parent_is_killed_ends_in_silence(
    trt: ModuleType, exported: tuple[str, Path], tmp_path: Path
) -> None:
    code = (
        'import os, signal, sys\n'
        'from pathlib import Path\n'
        'from ros2_llava_phi.engine.tensorrt_build import build\n'
        'kill = lambda *step: os.kill(os.getpid(), signal.SIGKILL)\n'
        "build(Path(sys.argv[1]), Path(sys.argv[2]), 'sm86', kill)\n"
    )
    # Who has their stderr is alive: the command returns when that of parent and child is closed.
    ran = subprocess.run(
        [sys.executable, '-c', code, str(exported[1]), str(tmp_path / 'out')],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (-signal.SIGKILL, '', '')
    assert not (tmp_path / 'out' / UNFINISHED / PLAN_MANIFEST).exists()


@one_export
def test_timings_are_kept_for_the_next_build(
    trt: ModuleType,
    exported: tuple[str, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """TensorRT-RTX keeps nothing in them; damaged or unwritable ones are no harm."""
    timings = tmp_path / 'timings.bin'
    capability = targets(trt)['sm86']
    for _ in range(2):
        assert compile_graph(trt, exported[1] / VISION, [], capability, timings=timings)
        assert timings.stat().st_size > 0
        timings.write_bytes(b'damaged')
    assert [path.name for path in tmp_path.iterdir()] == ['timings.bin']
    with caplog.at_level(logging.WARNING):
        below = timings / 'below.bin'
        assert compile_graph(trt, exported[1] / VISION, [], capability, timings=below)
    assert f'{below} cannot be written: ' in caplog.text


@pytest.mark.parametrize('lacks', ['TensorRT', 'target', 'GPU', 'bf16', 'room'])
def test_build_looks_before_it_exports(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    out = tmp_path / 'new' / 'out'
    target, said = 'sm1', "cannot build for 'sm1'; it can for "
    if lacks == 'TensorRT':
        monkeypatch.setattr(tensorrt_library, 'MODULES', ())
        said = 'TensorRT is not installed'
    elif lacks == 'GPU':
        target, said = '', 'there is no GPU here'
        monkeypatch.setattr(tensorrt_build, 'gpu_name', no_gpu)
    elif lacks == 'bf16':
        target, said = '', 'plans need a GPU with bf16, sm80 or newer; this is Turing sm75'
        monkeypatch.setattr(tensorrt_build, 'gpu_name', lambda: 'Turing sm75')
    elif lacks == 'room':
        out, said = model, 'is not empty; give a new folder'
    with pytest.raises(FileError if lacks == 'room' else ModelError, match=said):
        build_command(str(model), out, target=target)
    assert [*tmp_path.iterdir()] == []


def no_gpu() -> str:
    raise ModelError('there is no GPU here')


def test_a_checkpoint_is_exported_where_its_plans_will_be(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is written to, and nobody else writes there meanwhile."""
    out = tmp_path / 'out'

    def export_nothing(_: Checkpoint, graphs: Path, *__: object) -> None:
        assert graphs.parent == out / UNFINISHED
        assert [*tmp_path.iterdir()] == [out]
        with pytest.raises(FileError, match='is being written by another'), new_folder(out):
            pass
        (graphs / 'half').mkdir(parents=True)
        raise ModelError('that is enough')

    monkeypatch.setattr('ros2_llava_phi.engine.export.export', export_nothing)
    monkeypatch.setattr(tensorrt_build, 'check_machine', lambda target: None)
    with pytest.raises(ModelError, match='that is enough'):
        build_command(str(model), out)
    assert [*tmp_path.iterdir()] == []


def test_build_takes_a_checkpoint(
    trt: ModuleType,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr('sys.argv', ['llava-phi', *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    out = tmp_path / 'out'
    code, _, err = command('build', model, out, '--precision', 'fp16', '--target', 'sm86')
    assert code == 0, err
    assert [path.name for path in tmp_path.iterdir()] == ['out']
    assert read_plan_manifest(out).export.precision == 'fp16'
    assert {path.name for path in out.iterdir()} == {*FILES, PLAN_MANIFEST}
    export(open_checkpoint(model), tmp_path / 'export', 'small', 'int8', 'tensorrt')
    for arguments, said in (
        (('build', tmp_path / 'export', tmp_path / 'new', '--precision', 'int4'), 'in int8, not'),
        (('build', out, tmp_path / 'new'), 'was made of a checkpoint, and is none'),
        (('export', out, tmp_path / 'new'), 'was made of a checkpoint, and is none'),
        (('build', tmp_path / 'none', tmp_path / 'new'), 'there is no model folder'),
    ):
        code, printed, err = command(*arguments)
        assert (code, printed) == (2, '')
        assert said in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / 'new').exists()
