"""On a GPU, with `make gpu`: plans, and PyTorch, give what the reference on the CPU gives."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import pixels, random_model
from test_tensorrt import EVEN, assert_as_close
from test_tensorrt_engine import runs

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.engine.export import export
from ros2_llava_phi.engine.golden import GOLDEN, check
from ros2_llava_phi.engine.plans import read_plan_manifest
from ros2_llava_phi.engine.tensorrt_build import build
from ros2_llava_phi.engine.tensorrt_engine import TensorrtEngine
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint

pytestmark = pytest.mark.gpu


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp('model'), EVEN)


@pytest.fixture(scope='module', params=['fp16', 'bf16', 'int8', 'int4'])
def plans(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp(request.param)
    export(open_checkpoint(model), folder / 'export', 'small', request.param, 'tensorrt')
    build(folder / 'export', folder / 'plans')
    yield folder / 'plans'


def test_plans_run_and_agree_with_the_checkpoint(plans: Path, model: Path) -> None:
    """Also in two caches by turns, rewound, and with every decoded token a CUDA graph."""
    engine = TensorrtEngine(plans, read_plan_manifest(plans))
    assert check(engine, plans / GOLDEN) < (0.3 if engine.precision == 'int4' else 0.1)
    if engine.precision in ('fp16', 'bf16'):
        exact, coarse = TorchEngine(load_network(model)), TorchEngine(load_network(model), 'bf16')
        picture = exact.encode(pixels(EVEN))
        for actual, *expected in zip(
            *(runs(e, picture) for e in (engine, exact, coarse)), strict=True
        ):
            assert_as_close(actual, *expected)


def test_an_assistant_answers_from_plans(plans: Path, model: Path) -> None:
    image = np.random.default_rng(2).integers(0, 255, (40, 60, 3), np.uint8)
    asked = Question('Is there a car?', Kind.YES_NO)
    ours, theirs = (
        assistant.ask(assistant.look(Frame(image)), asked)
        for assistant in (load(str(plans)), load(str(model), 'torch'))
    )
    assert ours.model.engine == 'tensorrt'
    assert ours.probabilities == pytest.approx(theirs.probabilities, abs=0.2)


@pytest.mark.parametrize('precision', ['fp32', 'fp16', 'bf16'])
def test_pytorch_on_the_gpu_gives_what_it_does_on_the_cpu(model: Path, precision: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip('this PyTorch is not for CUDA')
    exact, coarse = TorchEngine(load_network(model)), TorchEngine(load_network(model), 'bf16')
    engine = TorchEngine(load_network(model), precision, 'cuda')
    picture = exact.encode(pixels(EVEN))
    for actual, *expected in zip(
        *(runs(e, picture) for e in (engine, exact, coarse)), strict=True
    ):
        assert_as_close(actual, *expected)
