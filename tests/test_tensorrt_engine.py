"""The engine on plans, over a GPU that is none: what it binds, copies and keeps, and when."""

import contextlib
import gc
import logging
import multiprocessing
import pwd
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout
from gpu_stand_in import GPU, Gpu, install, write_plans
from small_model import pixels, random_model
from test_tensorrt import EVEN, assert_as_close

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.engine import tensorrt_build
from ros2_llava_phi.engine.branches import Branches
from ros2_llava_phi.engine.cuda import from_half, to_half
from ros2_llava_phi.engine.engine import AnyEngine, Floats, likeliest
from ros2_llava_phi.engine.export import export
from ros2_llava_phi.engine.exported import MANIFEST
from ros2_llava_phi.engine.golden import GOLDEN, check, record
from ros2_llava_phi.engine.plans import DECODER_PLAN, PLAN_MANIFEST, read_plan_manifest
from ros2_llava_phi.engine.tensorrt_engine import TensorrtEngine
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.errors import DeviceError, FileError, ModelError, NumericsError
from ros2_llava_phi.files.hashing import files_hash
from ros2_llava_phi.files.user_cache import user_cache
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint
from ros2_llava_phi.model.weights import save_network

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp('model'), EVEN)


@pytest.fixture(scope='module', params=['fp16', 'bf16'])
def exported(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp(request.param)
    export(open_checkpoint(model), out, 'small', request.param, 'tensorrt')
    return out


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return install(monkeypatch)


@pytest.fixture(params=['native', 'plain'])
def plans(request: pytest.FixtureRequest, exported: Path, tmp_path: Path, gpu: Gpu) -> Path:
    return write_plans(exported, tmp_path / 'plans', request.param == 'native')


@pytest.fixture
def engine(plans: Path) -> TensorrtEngine:
    return TensorrtEngine(plans, read_plan_manifest(plans))


@pytest.fixture(scope='module')
def references(model: Path) -> tuple[TorchEngine, TorchEngine]:
    """PyTorch in fp32, and in bf16: no more error than its is allowed."""
    return TorchEngine(load_network(model)), TorchEngine(load_network(model), 'bf16')


def runs(engine: AnyEngine, picture: Floats) -> list[Floats]:
    """Prefill, decode, rewind, branch, and go on in two caches by turns."""
    prompt = np.concatenate([engine.embed(list(range(3, 10))), picture])
    first, second = engine.new_cache(), engine.new_cache()
    logits = [engine.prefill(prompt, first), engine.prefill(prompt[:5], second)]
    for token in (5, 9):
        logits += [engine.decode(token, first), engine.decode(token + 1, second)]
    first.rewind(len(prompt))
    logits.append(engine.prefill(engine.embed([7, 8, 9]), first))
    logits += [engine.decode(200, first), engine.decode(200, second)]
    first.rewind(len(prompt))
    branches = Branches(len(prompt))
    for parts in ([[7, 8, 9], [4, 5]], [[6], [3]]):
        layout = branches.append([(i, len(part)) for i, part in enumerate(parts)])
        tokens = [token for part in parts for token in part]
        logits += [*engine.extend(engine.embed(tokens), first, layout)]
    return [*logits, engine.decode(200, second)]


def test_it_gives_what_the_network_does(
    engine: TensorrtEngine, references: tuple[TorchEngine, TorchEngine], gpu: Gpu
) -> None:
    exact, coarse = references
    picture = engine.encode(pixels(EVEN))
    assert_as_close(picture, exact.encode(pixels(EVEN)), coarse.encode(pixels(EVEN)))
    shared = exact.encode(pixels(EVEN))
    for actual, *expected in zip(*(runs(e, shared) for e in (engine, exact, coarse)), strict=True):
        assert_as_close(actual, *expected)
    assert gpu.launched == 5  # every decoded token but a cache's first, in a graph


def test_rows_that_are_not_aligned_are_copied(tmp_path: Path, gpu: Gpu) -> None:
    """Rows of 192 bytes: TensorRT takes addresses that 256 divides."""
    narrow = EVEN.model_copy(
        update={'text': EVEN.text.model_copy(update={'hidden_size': 96, 'context_length': 63})}
    )
    folder = random_model(tmp_path / 'model', narrow)
    export(open_checkpoint(folder), tmp_path / 'export', 'narrow', 'bf16', 'tensorrt')
    plans = write_plans(tmp_path / 'export', tmp_path / 'plans', native=False)
    engine = TensorrtEngine(plans, read_plan_manifest(plans))
    exact, coarse = TorchEngine(load_network(folder)), TorchEngine(load_network(folder), 'bf16')
    picture = exact.encode(pixels(narrow))
    for actual, *expected in zip(
        *(runs(e, picture) for e in (engine, exact, coarse)), strict=True
    ):
        assert_as_close(actual, *expected)


def test_a_step_gives_the_likeliest_token(engine: TensorrtEngine) -> None:
    cache, other = engine.new_cache(), engine.new_cache()
    for token in (3, 200, 7):
        following, log_probability = engine.step(token, cache)
        likely, its_log = likeliest(engine.decode(token, other))
        assert following == likely
        assert log_probability == pytest.approx(its_log, abs=1e-3)
    cache.length = cache.capacity
    with pytest.raises(ValueError, match=r'64 \+ 1 tokens do not fit'):
        engine.step(3, cache)


def test_beyond_the_capacity_nothing_is_written(engine: TensorrtEngine, gpu: Gpu) -> None:
    cache = engine.new_cache()
    engine.prefill(engine.embed(list(range(60))), cache)
    before = bytes(gpu.memory[cache.memory.address])
    with pytest.raises(ValueError, match='60 \\+ 5 tokens do not fit a cache of 64'):
        engine.prefill(engine.embed([1, 2, 3, 4, 5]), cache)
    with pytest.raises(ValueError, match='cannot rewind a cache of 60 tokens to 61'):
        cache.rewind(61)
    assert bytes(gpu.memory[cache.memory.address]) == before
    engine.prefill(engine.embed([1, 2, 3]), cache)
    engine.decode(4, cache)
    with pytest.raises(ValueError, match='64 \\+ 1 tokens do not fit'):
        engine.decode(4, cache)


def test_an_assistant_answers_with_it(model: Path, plans: Path) -> None:
    image = np.random.default_rng(2).integers(0, 255, (40, 60, 3), np.uint8)
    asked = Question('Is there a car?', Kind.YES_NO)
    answers = []
    for folder, engine in ((plans, 'auto'), (model, 'torch')):
        assistant = load(str(folder), engine)
        answers.append(assistant.ask(assistant.look(Frame(image)), asked))
    ours, theirs = answers
    assert ours.model.engine == 'tensorrt'
    assert ours.model.device == 'cuda'
    assert ours.probabilities == pytest.approx(theirs.probabilities, abs=0.05)
    with pytest.raises(ModelError, match='not on torch and auto in auto'):
        load(str(plans), 'torch')
    with pytest.raises(ModelError, match='holds no plans; use `llava-phi export'):
        load(str(model), 'tensorrt')


def test_what_is_not_for_this_machine_is_refused(
    plans: Path, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_plan_manifest(plans)
    other = manifest.model_copy(update={'gpu': 'Another sm86'})
    with pytest.raises(ModelError, match=f'for Another sm86, but the GPU is {GPU}; build'):
        TensorrtEngine(plans, other)
    TensorrtEngine(plans, manifest.model_copy(update={'gpu': 'sm87'}))
    other = manifest.model_copy(update={'library': 'tensorrt 11.0.0'})
    with pytest.raises(ModelError, match=r'of tensorrt 11\.0\.0, but tensorrt 10\.3\.0 is'):
        TensorrtEngine(plans, other)
    plan = plans / DECODER_PLAN
    whole = plan.read_bytes()
    plan.write_bytes(whole[:-1])
    with pytest.raises(ModelError, match=r'decoder\.plan is damaged'):
        TensorrtEngine(plans, manifest)
    plan.write_bytes(whole)
    monkeypatch.setattr(gpu, 'bytes_left', 1000)
    with pytest.raises(ModelError, match='cudaMalloc failed: cudaErrorMemoryAllocation'):
        TensorrtEngine(plans, manifest)


def test_memory_runs_out_and_is_given_back(plans: Path, gpu: Gpu) -> None:
    engine = TensorrtEngine(plans, read_plan_manifest(plans))
    gc.collect()
    held = len(gpu.memory)
    cache = engine.new_cache()
    engine.decode(3, cache)
    gpu.bytes_left = 0
    with pytest.raises(DeviceError, match='cudaErrorMemoryAllocation'):
        engine.new_cache()
    engine.decode(3, cache)
    del cache
    gc.collect()
    assert len(gpu.memory) == held
    del engine
    gc.collect()
    assert not gpu.memory


def test_the_check_knows_another_network(
    engine: TensorrtEngine, model: Path, plans: Path, tmp_path: Path
) -> None:
    assert check(engine, plans / GOLDEN) < 0.05
    network = load_network(model)
    network.get_parameter('decoder.layers.1.q_proj.weight').data.neg_()
    record(TorchEngine(network), tmp_path / GOLDEN)
    with pytest.raises(ModelError, match='gives other logits than the checkpoint'):
        check(engine, tmp_path / GOLDEN)


def test_numbers_that_are_none_are_an_error(model: Path, tmp_path: Path, gpu: Gpu) -> None:
    folder = random_model(tmp_path / 'model', EVEN)
    network = load_network(folder)
    network.decoder.lm_head.bias.data[3] = float('inf')
    save_network(network, folder, torch.float32)
    with pytest.raises(ModelError, match=r'lm_head\.bias holds NaN or infinity'):
        export(open_checkpoint(folder), tmp_path / 'never', 'broken', 'bf16', 'tensorrt')
    export(open_checkpoint(model), tmp_path / 'out', 'small', 'bf16', 'tensorrt')
    plans = write_plans(tmp_path / 'out', tmp_path / 'plans', native=True)
    engine = TensorrtEngine(plans, read_plan_manifest(plans))
    with pytest.raises(NumericsError, match='vision tower or projector computed NaN'):
        engine.encode(np.full_like(pixels(EVEN), np.nan))
    with pytest.raises(NumericsError, match='decoder computed NaN or infinity'):
        engine.prefill(np.full((2, 128), np.inf, np.float32), engine.new_cache())


def test_numbers_that_are_none_leave_nothing_behind(engine: TensorrtEngine) -> None:
    cache, fresh = engine.new_cache(), engine.new_cache()
    tokens = engine.embed([3, 4, 5])
    engine.prefill(tokens, cache)
    with pytest.raises(NumericsError):
        engine.prefill(np.full((2, 128), np.nan, np.float32), cache)
    with pytest.raises(NumericsError):
        engine.prefill(np.full((1, 128), np.nan, np.float32), cache)
    assert cache.length == 3
    engine.prefill(tokens, fresh)
    np.testing.assert_array_equal(engine.decode(7, cache), engine.decode(7, fresh))


def test_what_cannot_be_a_graph_is_run_without(
    plans: Path,
    gpu: Gpu,
    references: tuple[TorchEngine, TorchEngine],
    caplog: pytest.LogCaptureFixture,
) -> None:
    gpu.can_capture = False
    engine = TensorrtEngine(plans, read_plan_manifest(plans))
    (record,) = (r for r in caplog.records if r.levelno == logging.WARNING)
    assert 'without a CUDA graph' in record.getMessage()
    picture = references[0].encode(pixels(EVEN))
    for actual, *expected in zip(*(runs(e, picture) for e in (engine, *references)), strict=True):
        assert_as_close(actual, *expected)
    assert gpu.launched == 0


def test_plans_are_built_when_first_needed(
    exported: Path,
    tmp_path: Path,
    gpu: Gpu,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def build_into(
        folder: Path, export: Path, target: str, on_progress: Callable[[str, int, int], None]
    ) -> None:
        assert target == ''
        on_progress('compiling', 0, 2)
        write_plans(export, folder, native=True)

    monkeypatch.setattr(tensorrt_build, 'build_into', build_into)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    caplog.set_level(logging.INFO)

    def reasons() -> list[str]:
        caplog.clear()
        assert load(str(exported)).identity.engine == 'tensorrt'
        return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]

    (first,) = reasons()
    assert first.endswith('there are none for this model yet')
    assert reasons() == []
    (folder,) = (tmp_path / 'llava_phi' / 'plans').iterdir()
    heard: list[tuple[str, int, int]] = []
    load(str(exported), on_build=lambda *step: heard.append(step))
    assert heard == []
    assert (tmp_path / 'llava_phi').stat().st_mode & 0o777 == 0o700
    plan = folder / DECODER_PLAN
    plan.write_bytes(plan.read_bytes()[:-1])
    (second,) = reasons()
    assert 'decoder.plan is damaged' in second
    plan.unlink()
    with pytest.raises(ModelError, match=r'decoder\.plan is missing.*allow to build them'):
        load(str(exported), on_build=None)
    load(str(exported), on_build=lambda *step: heard.append(step))
    assert heard == [('compiling', 0, 2)]
    manifest = read_plan_manifest(folder).model_copy(update={'library': 'tensorrt 10.0.1'})
    (folder / PLAN_MANIFEST).write_text(manifest.model_dump_json())
    (third,) = reasons()
    assert 'holds plans of tensorrt 10.0.1, but tensorrt 10.3.0 is installed' in third
    assert reasons() == []
    (tmp_path / 'llava_phi').chmod(0o777)
    with pytest.raises(FileError, match='can be written by others'):
        load(str(exported))


def test_plans_that_another_process_built_meanwhile_are_taken(
    exported: Path, tmp_path: Path, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    folder = tmp_path / 'llava_phi' / 'plans' / files_hash([exported / MANIFEST])

    heard: list[tuple[str, int, int]] = []

    def wait(lock: FileLock, timeout: float) -> contextlib.AbstractContextManager[None]:
        if not heard:
            raise Timeout(lock.lock_file)
        write_plans(exported, folder, native=True)
        return contextlib.nullcontext()

    monkeypatch.setattr(FileLock, 'acquire', wait)
    loaded = load(str(exported), on_build=lambda *step: heard.append(step))
    assert loaded.identity.engine == 'tensorrt'
    assert heard == [('waiting for another build', 0, 1)]


def test_what_who_hears_progress_raises_ends_the_build(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def abort(phase: str, done: int, total: int) -> None:
        raise CancelledError

    monkeypatch.setattr(tensorrt_build, 'AGAIN', 0.01)  # it is heard before the process says more
    with pytest.raises(CancelledError):
        tensorrt_build.build_into(tmp_path, exported, '', abort)
    assert not multiprocessing.active_children()


def test_halves_are_rounded_as_pytorch_does() -> None:
    rng = np.random.default_rng(0)
    numbers = (rng.standard_normal(10000) * 10.0 ** rng.integers(-6, 4, 10000)).astype(np.float32)
    numbers = np.append(numbers, np.array([0, -0.0, 1, 1.00390625, 1.01171875, 65504], np.float32))
    for kind, dtype in (('fp16', torch.float16), ('bf16', torch.bfloat16)):
        theirs = torch.from_numpy(numbers).to(dtype)
        bits = to_half(numbers, kind)
        np.testing.assert_array_equal(bits.view(np.int16), theirs.view(torch.int16).numpy())
        np.testing.assert_array_equal(from_half(bits, kind), theirs.float().numpy())


def test_a_user_without_a_home_is_told_where_a_cache_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_entry(uid: int) -> None:
        raise KeyError(uid)

    for name in ('HOME', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, 'getpwuid', no_entry)
    with pytest.raises(FileError, match='no home folder for a cache; let XDG_CACHE_HOME name'):
        user_cache()
