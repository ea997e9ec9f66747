"""The start of a new LLaVA-Phi: a published encoder, a projector drawn anew, a published Phi."""

from pathlib import Path

import torch
from torch import Tensor

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.settings import read_settings

from .checkpoint import tower_tensors, with_end_of_text
from .config import CONFIG_FILE, ModelConfig, VisionConfig, errors_that_name
from .layout import UNUSED, Layout, layout_of_parts
from .network import Projector, VisionTower
from .picture_settings import read_picture_settings, with_colours
from .published_config import encoder_config, phi_config
from .tensor_files import WEIGHT_FILES, Stored, list_weights
from .tokenizer import load_tokenizer
from .weights import Checkpoint


def assemble(vision_tower: Path, decoder: Path, seed: int = 0, pool: int = 1) -> Checkpoint:
    """
    Put the parts of a model that has yet to be trained together, without reading their weights.

    vision_tower: the folder of a CLIP or a SigLIP, whole or its vision tower alone.
    decoder: the folder of a Phi of any size, with its tokenizer.
    seed: of the projector, whose layers are drawn as torch.nn.Linear draws them, as LLaVA's are
    (https://github.com/haotian-liu/LLaVA).
    pool: see ModelConfig.

    Pictures are padded to a square. Raises ModelError in one line that names the folder and what
    it lacks.
    """
    for folder in (vision_tower, decoder):
        if not folder.is_dir():
            raise ModelError(f'there is no folder {folder}')
    seen, text = tower_tensors(vision_tower), list_weights(decoder)
    if not text:
        raise ModelError(f'{decoder} holds no weights: it needs one of {", ".join(WEIGHT_FILES)}')
    layout = _layout(seen, text, decoder)
    config = _config(vision_tower, decoder, pool)
    load_tokenizer(decoder, config.text.vocab_size)
    _check_tower(vision_tower, config.vision, layout, seen)
    drawn = _draw_projector(config, seed)
    checkpoint = Checkpoint(decoder, config, layout, {**seen, **text}, None, decoder, drawn=drawn)
    checkpoint.check()
    return checkpoint


def _config(vision_tower: Path, decoder: Path, pool: int) -> ModelConfig:
    tower_file, phi_file = vision_tower / CONFIG_FILE, decoder / CONFIG_FILE
    vision = encoder_config(read_settings(tower_file, ModelError), str(tower_file))
    where, pictures = read_picture_settings(vision_tower)
    vision = with_colours(vision, pictures, str(where))
    text = with_end_of_text(
        phi_config(read_settings(phi_file, ModelError), str(phi_file)), decoder
    )
    with errors_that_name(str(vision_tower)):
        return ModelConfig(vision=vision, text=text, fit='pad', pool=pool)


def _layout(seen: dict[str, Stored], text: dict[str, Stored], decoder: Path) -> Layout:
    try:
        return layout_of_parts(seen, text)
    except ModelError as error:
        raise ModelError(f'{decoder} is no Phi: {error}') from error


def _check_tower(
    folder: Path, config: VisionConfig, layout: Layout, tensors: dict[str, Stored]
) -> None:
    """Raise ModelError naming the folder if a tensor is missing or unexpected."""
    with torch.device('meta'):
        tower = VisionTower(config)
    wanted = {layout.name_of(f'vision_tower.{name}') for name in tower.state_dict()}
    found = {name for name in tensors if not UNUSED.search(name)}
    for names, problem in ((wanted - found, 'is missing'), (found - wanted, 'is unexpected')):
        if names:
            raise ModelError(f'{folder}: tensor {min(names)} {problem}')


def _draw_projector(config: ModelConfig, seed: int) -> dict[str, Tensor]:
    """Return a projector's tensors in fp32; the generator that all share is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projector = Projector(config.vision.hidden_size, config.text.hidden_size)
    return {f'projector.{name}': tensor for name, tensor in projector.state_dict().items()}
