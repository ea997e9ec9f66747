"""
Find out what a checkpoint folder holds, whoever wrote it.

A folder holds config.json and weights. Where it holds only a projector or a LoRA adapter, as
LLaVA-1.5 saves them, the base and the vision tower come from folders of their own.
"""

import math
from pathlib import Path

import torch

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.settings import Settings, read_settings

from .config import CONFIG_FILE, ModelConfig, TextConfig, adapter_base, has_own_config, read_config
from .layout import PATCH_EMBEDDING, find_layout
from .lora import PEFT_PREFIX, Adapter, read_adapter
from .network import LlavaPhi
from .picture_settings import fit_of_pictures, read_picture_settings, with_colours
from .published_config import from_published
from .tensor_files import WEIGHT_FILES, Stored, list_tensors, list_weights
from .tokenizer import end_of_text, has_tokenizer
from .weights import Checkpoint

CLASS_EMBEDDING = 'embeddings.class_embedding'
CLIP_HEAD = 64  # the width of a head in every CLIP
EXTRA_FILES = ('mm_projector.safetensors', 'mm_projector.bin', 'non_lora_trainables.bin')


def load_network(
    folder: Path,
    dtype: torch.dtype | None = torch.float32,
    base: Path | None = None,
    vision_tower: Path | None = None,
) -> LlavaPhi:
    """Open and read a checkpoint; see open_checkpoint and Checkpoint.read."""
    return open_checkpoint(folder, base, vision_tower).read(dtype)


def open_checkpoint(
    folder: Path, base: Path | None = None, vision_tower: Path | None = None
) -> Checkpoint:
    """
    Find out what a folder holds, without reading weights.

    base: the folder of the model that a projector or an adapter belongs to.
    vision_tower: the folder of a CLIP or SigLIP, for checkpoints without one.

    Raises ModelError in one line if the folder is no checkpoint, or parts of it are missing.
    """
    if not folder.is_dir():
        raise ModelError(f'there is no folder {folder}')
    adapter = read_adapter(folder)
    extra = _extra_tensors(folder)
    if weights := list_weights(folder):
        # What an earlier stage left beside complete weights must not replace them.
        tensors, base = {**extra, **weights}, None
    else:
        base = _find_base(folder, base, adapter, bool(extra))
        weights = list_weights(base)
        if not weights or read_adapter(base):
            raise ModelError(f'the base {base} is no complete model; convert it into one first')
        tensors = {**weights, **extra}
    if vision_tower and not any(name.endswith(PATCH_EMBEDDING) for name in tensors):
        tensors |= tower_tensors(vision_tower)
    layout = find_layout(tensors)
    config_folder = folder if base is None or (folder / CONFIG_FILE).is_file() else base
    tokenizer_folder = folder if base is None or has_tokenizer(folder) else base
    if layout.own or has_own_config(config_folder):
        config = read_config(config_folder)
        return Checkpoint(folder, config, layout, tensors, adapter, tokenizer_folder)
    stored = {name.removeprefix(layout.vision): tensors[name].shape for name in tensors}
    config = _published_config(config_folder, vision_tower, stored)
    text, said = with_end_of_text(config.text, tokenizer_folder), config.text.eos_token_id
    config = config.model_copy(update={'text': text})
    wrong = None if text.eos_token_id == said else said
    return Checkpoint(folder, config, layout, tensors, adapter, tokenizer_folder, wrong)


def with_end_of_text(text: TextConfig, tokenizer_folder: Path) -> TextConfig:
    """
    Return the settings with the tokenizer's end of text, where it has one.

    Checkpoints of 2024 say 2, Phi's class default, where they mean <|endoftext|>.
    """
    end = end_of_text(tokenizer_folder)
    return text if end is None else text.model_copy(update={'eos_token_id': end})


def _find_base(folder: Path, base: Path | None, adapter: Adapter | None, extra: bool) -> Path:
    """Return the folder of the base of an adapter, or of what is saved apart from the rest."""
    base = base or adapter_base(folder)
    if base is None and not (adapter or extra):
        raise ModelError(f'{folder} holds no weights: it needs one of {", ".join(WEIGHT_FILES)}')
    if base is None:
        what = 'an adapter' if adapter else 'a projector'
        raise ModelError(
            f'{folder} holds only {what}; put it together with the folder of its base model by '
            '`llava-phi convert --base`'
        )
    return base


def _extra_tensors(folder: Path) -> dict[str, Stored]:
    """Return what is saved apart from the rest."""
    tensors = list_tensors(folder / name for name in EXTRA_FILES if (folder / name).is_file())
    return {name.removeprefix(PEFT_PREFIX): stored for name, stored in tensors.items()}


def tower_tensors(folder: Path) -> dict[str, Stored]:
    """
    Return the vision tower's tensors of a CLIP or SigLIP, beside which may be its text tower.

    Raises ModelError if there is no tower, or a file is damaged.
    """
    tensors = list_weights(folder)
    first = [name for name in tensors if name.endswith(PATCH_EMBEDDING)]
    if len(first) != 1:
        raise ModelError(f'{folder} is no CLIP or SigLIP: it has no tensor {PATCH_EMBEDDING}')
    prefix = first[0].removesuffix(PATCH_EMBEDDING)
    parts = tuple(f'{prefix}{part}' for part in ('embeddings.', 'encoder.', 'pre_', 'post_'))
    return {name: stored for name, stored in tensors.items() if name.startswith(parts)}


def _published_config(
    folder: Path, vision_tower: Path | None, shapes: dict[str, tuple[int, ...]]
) -> ModelConfig:
    path = folder / CONFIG_FILE
    settings = read_settings(path, ModelError)
    tower = None
    if vision_tower is not None:
        tower = read_settings(vision_tower / CONFIG_FILE, ModelError)
    elif 'vision_config' not in settings and 'text_config' not in settings:
        tower = _clip_by_its_tensors(shapes, path)
    config = from_published(settings, tower, str(path))
    where, pictures = read_picture_settings(folder)
    fit = fit_of_pictures(pictures, config.vision, str(where))
    if 'text_config' not in settings:
        fit = config.fit
    if not pictures and vision_tower is not None:
        where, pictures = read_picture_settings(vision_tower)
    vision = with_colours(config.vision, pictures, str(where))
    return config.model_copy(update={'vision': vision, 'fit': fit})


def _clip_by_its_tensors(shapes: dict[str, tuple[int, ...]], path: Path) -> Settings:
    """Return CLIP's settings for LLaVA-1.5's folders, which only say whose CLIP it was."""
    if CLASS_EMBEDDING not in shapes:
        raise ModelError(f'{path} does not describe the SigLIP; give its folder, too')
    width, _, patch, _ = shapes['embeddings.patch_embedding.weight']
    layers = [name for name in shapes if name.endswith('.layer_norm1.weight')]
    places = shapes['embeddings.position_embedding.weight'][0] - 1
    return {
        'hidden_size': width,
        'intermediate_size': shapes['encoder.layers.0.mlp.fc1.weight'][0],
        'num_hidden_layers': len(layers),
        'num_attention_heads': max(1, width // CLIP_HEAD),
        'patch_size': patch,
        'image_size': math.isqrt(places) * patch,
    }
