"""Vision encoders of every kind: read, run, pooled and exported as the network has them."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx.reference import ReferenceEvaluator
from small_model import CONFIG, make_model, pixels, random_model
from tensorrt_operators import OPERATORS
from transformers import CLIPVisionConfig, CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel

from ros2_llava_phi.engine.engine import Floats
from ros2_llava_phi.engine.export import export
from ros2_llava_phi.engine.exported import VISION, read_manifest
from ros2_llava_phi.engine.onnx_engine import OnnxEngine
from ros2_llava_phi.engine.tensorrt_library import compile_graph, load_tensorrt, targets
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint
from ros2_llava_phi.model.config import ModelConfig, VisionConfig
from ros2_llava_phi.model.convert import convert
from ros2_llava_phi.model.inspection import inspect
from ros2_llava_phi.model.layout import LAYOUTS, UNUSED
from ros2_llava_phi.model.network import LlavaPhi, VisionTower
from ros2_llava_phi.model.published_config import encoder_config

HALF = (0.5, 0.5, 0.5)
# Heads of 72, widths that no block of integers divides, and pixels left over: as in SO400M/14-384.
SIGLIP = VisionConfig(
    kind='siglip',
    activation='gelu_tanh',
    image_size=34,
    patch_size=8,
    hidden_size=144,
    intermediate_size=80,
    layers=3,
    heads=2,
    layer_norm_eps=1e-6,
    mean=HALF,
    std=HALF,
)
WITH_SIGLIP = CONFIG.model_copy(update={'vision': SIGLIP})
PUBLISHED: dict[str, tuple[type[Any], type[Any], dict[str, int], tuple[str, int, int]]] = {
    'CLIP B/32': (CLIPVisionConfig, CLIPVisionModel, {}, ('quick_gelu', 64, 49)),
    'CLIP B/16': (CLIPVisionConfig, CLIPVisionModel, {'patch_size': 16}, ('quick_gelu', 64, 196)),
    'CLIP L/14': (
        CLIPVisionConfig,
        CLIPVisionModel,
        {
            'hidden_size': 1024,
            'intermediate_size': 4096,
            'num_hidden_layers': 24,
            'num_attention_heads': 16,
            'patch_size': 14,
        },
        ('quick_gelu', 64, 256),
    ),
    'CLIP L/14-336': (
        CLIPVisionConfig,
        CLIPVisionModel,
        {
            'hidden_size': 1024,
            'intermediate_size': 4096,
            'num_hidden_layers': 24,
            'num_attention_heads': 16,
            'patch_size': 14,
            'image_size': 336,
        },
        ('quick_gelu', 64, 576),
    ),
    'SigLIP B/16-224': (SiglipVisionConfig, SiglipVisionModel, {}, ('gelu_tanh', 64, 196)),
    'SigLIP SO400M/14-384': (
        SiglipVisionConfig,
        SiglipVisionModel,
        {
            'hidden_size': 1152,
            'intermediate_size': 4304,
            'num_hidden_layers': 27,
            'num_attention_heads': 16,
            'patch_size': 14,
            'image_size': 384,
        },
        ('gelu_tanh', 72, 729),
    ),
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_encoders_have_these_tensors(name: str) -> None:
    """At full size, by the settings that transformers writes for them."""
    kind, model, sizes, (activation, head, patches) = PUBLISHED[name]
    settings = kind(**sizes)
    config = encoder_config(settings.to_dict(), name)
    assert config.activation == activation
    assert config.hidden_size // config.heads == head
    assert config.patches == patches
    layout = LAYOUTS['transformers 5, newer']
    with torch.device('meta'):
        tower, theirs = VisionTower(config), model(settings).state_dict()
    ours = {layout.name_of(f'vision_tower.{name}'): t for name, t in tower.state_dict().items()}
    wanted = {
        f'vision_tower.{name.removeprefix("vision_model.")}': tensor.shape
        for name, tensor in theirs.items()
        if not UNUSED.search(name)
    }
    assert {name: tensor.shape for name, tensor in ours.items()} == wanted


def test_the_defaults_of_files_are_not_changed() -> None:
    """A config.json from before there was SigLIP or pooling is what it was."""
    old = {'image_size': 336, 'patch_size': 14, 'hidden_size': 1024, 'intermediate_size': 4096}
    config = ModelConfig.model_validate({'vision': {**old, 'layers': 24, 'heads': 16}})
    assert config == ModelConfig()
    assert config.image_tokens == config.vision.patches == 576
    assert 'class_embedding' in LlavaPhi(CONFIG).vision_tower.state_dict()


@torch.no_grad()
@pytest.mark.parametrize('pool', [2, 4])
def test_pooling_averages_squares_of_patches(pool: int) -> None:
    config = CONFIG.model_copy(update={'pool': pool})
    network = LlavaPhi(config)
    seen = torch.randn(2, 3, 32, 32)
    features = network.vision_tower(seen)
    grid = features.transpose(1, 2).unflatten(2, (4, 4))
    pooled = F.avg_pool2d(grid, pool).flatten(2).transpose(1, 2)
    encoded = network.encode(seen)
    torch.testing.assert_close(encoded, network.projector(pooled))
    assert encoded.shape[1] == config.image_tokens == (4 // pool) ** 2
    assert network.vision_tower.position_embedding.num_embeddings == 17


@torch.no_grad()
def test_without_pooling_nothing_changes() -> None:
    network = LlavaPhi(CONFIG)
    seen = torch.randn(2, 3, 32, 32)
    assert torch.equal(network.encode(seen), network.projector(network.vision_tower(seen)))


def test_a_pool_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    path = make_model(tmp_path) / 'config.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'pool': 3}))
    with pytest.raises(ModelError, match=r'config.json: .*pool 3 .* 4 patches .* use 1, 2, 4'):
        open_checkpoint(tmp_path)


ONE_LAYER = CONFIG.text.model_copy(
    update={'hidden_size': 96, 'intermediate_size': 96, 'layers': 1, 'rotary_dim': 16}
)
CASES = {
    'SigLIP': ModelConfig(vision=SIGLIP, text=ONE_LAYER),
    'SigLIP, pooled': ModelConfig(vision=SIGLIP, text=ONE_LAYER, pool=2),
    'CLIP, pooled': ModelConfig(vision=CONFIG.vision, text=ONE_LAYER, pool=2),
}


def apart(actual: Floats, expected: Floats) -> float:
    """Return the root mean square error as a share of the expected values' size."""
    return float(np.sqrt(np.square(actual - expected).mean() / np.square(expected).mean()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'precision', 'most'),
    [
        ('SigLIP', 'fp32', 1e-5),
        ('SigLIP', 'int4', 0.05),  # of which the tower keeps 8
        ('SigLIP, pooled', 'fp32', 1e-5),
        ('CLIP, pooled', 'fp32', 1e-5),
    ],
)
def test_onnx_runtime_is_the_reference(
    tmp_path: Path, name: str, precision: str, most: float
) -> None:
    config = CASES[name]
    folder = random_model(tmp_path / 'model', config)
    export(open_checkpoint(folder), tmp_path / 'out', name, precision)
    engine = OnnxEngine(tmp_path / 'out', read_manifest(tmp_path / 'out'))
    assert engine.config == config
    seen = TorchEngine(load_network(folder)).encode(pixels(config))
    assert seen.shape == (config.image_tokens, config.text.hidden_size)
    assert apart(engine.encode(pixels(config)), seen) < most


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'precision'), [('SigLIP', 'int8'), ('SigLIP, pooled', 'bf16')])
def test_tensorrts_graph_is_the_network(tmp_path: Path, name: str, precision: str) -> None:
    config = CASES[name]
    folder = random_model(tmp_path / 'model', config)
    export(open_checkpoint(folder), tmp_path / 'out', name, precision, 'tensorrt')
    vision = ReferenceEvaluator(onnx.load(tmp_path / 'out' / VISION), new_ops=OPERATORS)
    kind = ml_dtypes.bfloat16 if precision == 'bf16' else np.float16
    outputs: Any = vision.run(None, {'pixels': pixels(config)[None].astype(kind)})
    seen = TorchEngine(load_network(folder)).encode(pixels(config))
    assert apart(outputs[0][0].astype(np.float32), seen) < 0.03
    pytest.importorskip('tensorrt_rtx')
    trt = load_tensorrt()
    assert compile_graph(trt, tmp_path / 'out' / VISION, [], targets(trt)['sm86'])


@pytest.mark.parametrize('fit', ['pad', 'crop', 'stretch'])
def test_siglip_survives_a_conversion(tmp_path: Path, fit: str) -> None:
    config = WITH_SIGLIP.model_copy(update={'fit': fit})
    folder = random_model(tmp_path / 'own', config)
    convert(open_checkpoint(folder), tmp_path / 'hf', 'hf')
    convert(open_checkpoint(tmp_path / 'hf'), tmp_path / 'back', 'own')
    again = open_checkpoint(tmp_path / 'back')
    assert again.config == config
    expected = load_network(folder).state_dict()
    for key, tensor in again.read(None).state_dict().items():
        assert torch.equal(tensor, expected[key])
    assert ('vision tower', 'SigLIP, 3 layers, the last unused; width 144, 2 heads') in inspect(
        tmp_path / 'hf'
    ).facts


@pytest.mark.parametrize(
    ('changes', 'layout', 'message'),
    [
        ({'pool': 2}, 'hf', 'averages 2 x 2 patches'),
        ({'pool': 2}, 'original', 'averages 2 x 2 patches'),
        ({}, 'original', 'has no SigLIP'),
    ],
)
def test_what_others_do_not_have_is_not_written(
    tmp_path: Path, changes: dict[str, int], layout: str, message: str
) -> None:
    folder = random_model(tmp_path / 'own', WITH_SIGLIP.model_copy(update=changes))
    with pytest.raises(ModelError, match=message):
        convert(open_checkpoint(folder), tmp_path / 'out', layout)
    assert not (tmp_path / 'out').exists()


def test_siglip_without_its_first_patch_is_refused(tmp_path: Path) -> None:
    """With 'default', transformers would take the first patch for a class token."""
    convert(open_checkpoint(random_model(tmp_path / 'own', WITH_SIGLIP)), tmp_path / 'hf', 'hf')
    path = tmp_path / 'hf' / 'config.json'
    settings = json.loads(path.read_text())
    settings['vision_feature_select_strategy'] = 'default'
    path.write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=r"config.json: vision_feature_select_strategy .*'full'"):
        open_checkpoint(tmp_path / 'hf')
