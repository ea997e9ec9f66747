"""
Checkpoints in every published layout, written from their description, without the package's help.

Each starts from transformers' own LlavaForConditionalGeneration with random weights.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import LlavaConfig, LlavaForConditionalGeneration

IMAGE, PAD, END = 90, 91, 88

SIZES: dict[str, dict[str, Any]] = {
    'narrow': {
        'text': {'hidden_size': 40, 'heads': 4, 'layers': 3, 'rotary': 0.4, 'theta': 10000.0},
        'vision': {'hidden_size': 24, 'heads': 1, 'layers': 3, 'image': 28, 'patch': 14},
    },
    'wide': {
        'text': {'hidden_size': 64, 'heads': 2, 'layers': 2, 'rotary': 0.5, 'theta': 500.0},
        'vision': {'hidden_size': 128, 'heads': 2, 'layers': 4, 'image': 32, 'patch': 8},
    },
    'one head': {
        'text': {'hidden_size': 20, 'heads': 1, 'layers': 4, 'rotary': 1.0, 'theta': 10000.0},
        'vision': {'hidden_size': 16, 'heads': 1, 'layers': 2, 'image': 24, 'patch': 12},
    },
}


def clip_settings(size: str) -> dict[str, Any]:
    vision = SIZES[size]['vision']
    return {
        'hidden_size': vision['hidden_size'],
        'intermediate_size': 3 * vision['hidden_size'],
        'num_hidden_layers': vision['layers'],
        'num_attention_heads': vision['heads'],
        'image_size': vision['image'],
        'patch_size': vision['patch'],
    }


def phi_settings(size: str) -> dict[str, Any]:
    text = SIZES[size]['text']
    return {
        'vocab_size': 100,
        'hidden_size': text['hidden_size'],
        'intermediate_size': 2 * text['hidden_size'],
        'num_hidden_layers': text['layers'],
        'num_attention_heads': text['heads'],
        'max_position_embeddings': 96,
    }


def rope_settings(size: str) -> dict[str, float]:
    text = SIZES[size]['text']
    return {'rope_theta': text['theta'], 'partial_rotary_factor': text['rotary']}


def transformers_config(size: str) -> LlavaConfig:
    vision = SIZES[size]['vision']
    return LlavaConfig(
        vision_config={'model_type': 'clip_vision_model', **clip_settings(size)},
        text_config={
            'model_type': 'phi',
            **phi_settings(size),
            'rope_parameters': {'rope_type': 'default', **rope_settings(size)},
            'bos_token_id': END,
            'eos_token_id': END,
            'pad_token_id': PAD,
        },
        image_token_index=IMAGE,
        image_seq_length=(vision['image'] // vision['patch']) ** 2,
    )


def transformers_model(size: str, seed: int = 0) -> Any:
    """Return transformers' model with random weights, and the head bias that it has dropped."""
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(transformers_config(size))
    head = model.lm_head
    model.lm_head = nn.Linear(head.in_features, head.out_features)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.12)
    return model.eval()


def plain_names(model: Any) -> dict[str, Tensor]:
    """Return a model's tensors as `vision.`, `projector.1.`, `text.` and `head.` with the rest."""
    prefixes = {
        r'model\.vision_tower\.(vision_model\.)?': 'vision.',
        r'model\.multi_modal_projector\.linear_': 'projector.',
        r'model\.language_model\.': 'text.',
        r'lm_head\.': 'head.',
    }
    tensors = {}
    for name, tensor in model.state_dict().items():
        for pattern, prefix in prefixes.items():
            name = re.sub(f'^{pattern}', prefix, name)
        tensors[name] = tensor.detach().clone()
    assert {name.split('.')[0] for name in tensors} == {'vision', 'projector', 'text', 'head'}
    return tensors


def named(vision: str, projector: tuple[str, str], text: str, head: str) -> Callable[[str], str]:
    """Return the names of a layout, by what stands before each part."""
    prefixes = {
        'vision.': vision,
        'projector.1.': projector[0],
        'projector.2.': projector[1],
        'text.': text,
        'head.': head,
    }

    def rename(name: str) -> str:
        prefix = next(prefix for prefix in prefixes if name.startswith(prefix))
        return prefixes[prefix] + name.removeprefix(prefix)

    return rename


MM = ('model.mm_projector.0.', 'model.mm_projector.2.')
HF = ('multi_modal_projector.linear_1.', 'multi_modal_projector.linear_2.')
IN_MODEL = tuple(f'model.{name}' for name in HF)
CLIP = 'vision_model.'
LAYOUTS: dict[str, Callable[[str], str]] = {
    'original 4.36': named(f'model.vision_tower.{CLIP}', MM, 'model.', 'lm_head.'),
    'original 4.37': named(f'model.vision_tower.{CLIP}', MM, 'model.', 'lm_head.'),
    'LLaVA-1.5': named(f'model.vision_tower.vision_tower.{CLIP}', MM, 'model.', 'lm_head.'),
    'hf 4.51': named(
        f'vision_tower.{CLIP}', HF, 'language_model.model.', 'language_model.lm_head.'
    ),
    'hf 4.52 in memory': named(
        f'model.vision_tower.{CLIP}',
        (IN_MODEL[0], IN_MODEL[1]),
        'model.language_model.',
        'lm_head.',
    ),
    'hf 5.2': named('vision_tower.', HF, 'language_model.model.', 'language_model.lm_head.'),
    'hf 5.2 in memory': named(
        'model.vision_tower.', (IN_MODEL[0], IN_MODEL[1]), 'model.language_model.', 'lm_head.'
    ),
}


def fuse(tensors: dict[str, Tensor], heads: int) -> dict[str, Tensor]:
    """Put queries, keys and values into one tensor: head 0's q, k, v, then head 1's, ..."""
    fused = {}
    for name, tensor in tensors.items():
        if '.q_proj.' in name and name.startswith('text.'):
            rows = []
            parts = [
                tensors[name.replace('q_proj', which)] for which in ('q_proj', 'k_proj', 'v_proj')
            ]
            size = len(tensor) // heads
            for head in range(heads):
                rows += [part[head * size : (head + 1) * size] for part in parts]
            fused[name.replace('q_proj', 'query_key_value')] = torch.cat(rows)
        elif not (re.search(r'\.[kv]_proj\.', name) and name.startswith('text.')):
            fused[name] = tensor
    return fused


def write_checkpoint(
    folder: Path,
    layout: str,
    size: str,
    model: Any,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write a model's weights and settings as one of LAYOUTS has them."""
    tensors = plain_names(model)
    if layout == 'original 4.36':
        tensors = fuse(tensors, SIZES[size]['text']['heads'])
    rename = LAYOUTS[layout]
    folder.mkdir(parents=True, exist_ok=True)
    stored = {rename(name): tensor.to(dtype).contiguous() for name, tensor in tensors.items()}
    save_file(stored, folder / 'model.safetensors', metadata={'format': 'pt'})
    (folder / 'config.json').write_text(json.dumps(settings(layout, size)))
    return folder


def settings(layout: str, size: str) -> dict[str, Any]:
    """Return config.json as a layout has it, with the trap of 4.36: Phi's default end of text."""
    clip, rope = clip_settings(size), rope_settings(size)
    phi = {**phi_settings(size), 'bos_token_id': 1, 'eos_token_id': 2}
    if not layout.startswith('hf'):
        if layout == 'LLaVA-1.5':
            return {'model_type': 'llava_phi', **phi, **rope, 'mm_vision_tower': 'openai/clip'}
        nested = {'vision_tower': clip, 'mm_projector': {'mm_projector_type': 'mlp2x_gelu'}}
        return {'model_type': 'llava_phi', **phi, **rope, 'vision_config': nested}
    phi |= {'model_type': 'phi', 'eos_token_id': END}
    phi |= rope if '4.5' in layout else {'rope_parameters': {'rope_type': 'default', **rope}}
    return {'model_type': 'llava', 'text_config': phi, 'vision_config': clip}
