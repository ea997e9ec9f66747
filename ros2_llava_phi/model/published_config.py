"""
config.json as other projects write it, turned into this project's settings and back.

Three forms: transformers' LLaVA (`text_config` beside `vision_config`), the original LLaVA-Phi
(Phi's settings at the top, CLIP's in `vision_config.vision_tower`), and LLaVA-1.5's (Phi's at the
top, CLIP in a folder of its own). What a file leaves out has the default of the class that wrote
it.
"""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError, model_validator

from .config import ModelConfig, ModelError, TextConfig, VisionConfig, first_problem
from .image import MEAN, STD

Settings = dict[str, Any]


class _Rope(BaseModel):
    rope_type: Literal['default'] = 'default'
    type: Literal['default'] = 'default'  # the name of the above, once
    rope_theta: float | None = None
    partial_rotary_factor: float | None = None


class _Phi(BaseModel):
    """PhiConfig, with its defaults."""

    model_type: Annotated[str, Field(pattern='phi')] = 'phi'
    vocab_size: int = 51200
    hidden_size: int = 2048
    intermediate_size: int = 8192
    num_hidden_layers: int = 24
    num_attention_heads: Annotated[int, Field(ge=1)] = 32
    num_key_value_heads: int | None = None
    hidden_act: Literal['gelu_new'] = 'gelu_new'
    max_position_embeddings: int = 2048
    layer_norm_eps: float = 1e-5
    partial_rotary_factor: float = 0.5
    rope_theta: float = 10000.0
    rope_scaling: None = None
    rope_parameters: _Rope | None = None
    qk_layernorm: Literal[False] = False
    tie_word_embeddings: Literal[False] = False
    eos_token_id: int | Annotated[list[int], Field(min_length=1)] | None = None

    @model_validator(mode='after')
    def _check(self) -> '_Phi':
        if self.num_key_value_heads not in (None, self.num_attention_heads):
            raise ValueError(
                f'num_key_value_heads is {self.num_key_value_heads}; LLaVA-Phi has as many as '
                f'heads, {self.num_attention_heads}'
            )
        return self


class _Clip(BaseModel):
    """CLIPVisionConfig, with its defaults."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    image_size: int = 224
    patch_size: int = 32
    hidden_act: Literal['quick_gelu'] = 'quick_gelu'
    layer_norm_eps: float = 1e-5
    mm_vision_select_layer: Literal[-2] = -2
    mm_vision_select_feature: Literal['patch'] = 'patch'


class _Pictures(BaseModel):
    """The settings of a CLIP image processor, of which this project's are one choice."""

    do_resize: Literal[True] = True
    do_center_crop: Literal[True] = True
    do_rescale: Literal[True] = True
    do_normalize: Literal[True] = True
    do_pad: bool | None = None
    resample: Literal[3] = 3
    size: int | dict[str, int | None] | None = None
    crop_size: int | dict[str, int | None] | None = None
    image_mean: list[float] = MEAN.tolist()
    image_std: list[float] = STD.tolist()

    @model_validator(mode='after')
    def _check(self) -> '_Pictures':
        for name, wanted in (('image_mean', MEAN), ('image_std', STD)):
            if not np.allclose(getattr(self, name), wanted, atol=1e-3):
                raise ValueError(f"{name} is {getattr(self, name)}, which is not CLIP's")
        if isinstance(self.size, dict) and not (self.size.get('shortest_edge') or self.do_pad):
            raise ValueError('size stretches pictures; LLaVA pads or crops')
        return self

    def sides(self) -> set[int]:
        """Return all sides of pictures that the settings name, in pixels."""
        sizes = [size for size in (self.size, self.crop_size) if size is not None]
        named = [size.values() if isinstance(size, dict) else (size,) for size in sizes]
        return {side for sides in named for side in sides if side is not None}


class _Answers(BaseModel):
    """What this project alone knows of a model."""

    abstain_text: str | None = None
    temperature: float = 1.0


class _Llava(BaseModel):
    """What LLaVA adds, under the names of transformers and under its own."""

    vision_feature_layer: Literal[-2] = -2
    vision_feature_select_strategy: Literal['default'] = 'default'
    projector_hidden_act: Literal['gelu'] = 'gelu'
    multimodal_projector_bias: Literal[True] = True
    mm_vision_select_layer: Literal[-2] = -2
    mm_vision_select_feature: Literal['patch'] = 'patch'
    mm_projector_type: Literal['mlp2x_gelu'] = 'mlp2x_gelu'
    mm_use_im_start_end: Literal[False] = False
    image_aspect_ratio: Literal['pad', 'square'] | None = None
    llava_phi: _Answers = _Answers()


# LlavaConfig's tower where it names none of its own.
_CLIP_L_336 = {
    'hidden_size': 1024,
    'intermediate_size': 4096,
    'num_hidden_layers': 24,
    'num_attention_heads': 16,
    'image_size': 336,
    'patch_size': 14,
}


def from_published(settings: Settings, clip: Settings | None, where: str) -> ModelConfig:
    """
    Return the settings of a model that another project wrote.

    clip: the config.json of a CLIP folder, for layouts that leave the tower to one.
    where: the file, for errors.

    Raises ModelError that names the field if this network cannot be what the file describes.
    """
    try:
        return _from_published(settings, clip)
    except ValidationError as error:
        raise ModelError(f'{where}: {first_problem(error)}') from error


def pads_pictures(settings: Settings, side: int, where: str) -> bool:
    """
    Return whether a CLIP image processor pads to a square; it crops unless told to.

    settings: as in preprocessor_config.json; {} if nothing says how pictures are prepared.
    side: of the picture that the tower takes, in pixels. where: the file, for errors.

    Raises ModelError if pictures are prepared in a way that is neither LLaVA's nor CLIP's.
    """
    try:
        pictures = _Pictures.model_validate(settings)
    except ValidationError as error:
        raise ModelError(f'{where}: {first_problem(error)}') from error
    if others := pictures.sides() - {side}:
        raise ModelError(f'{where}: a size is {min(others)}, but the tower takes {side} pixels')
    return bool(pictures.do_pad)


def phi_config(settings: Settings, where: str) -> TextConfig:
    """Return a Phi's settings, as PhiConfig names them; raises ModelError as from_published."""
    try:
        return _phi_config(settings)
    except ValidationError as error:
        raise ModelError(f'{where}: {first_problem(error)}') from error


def clip_config(settings: Settings, where: str) -> VisionConfig:
    """Return the settings of a CLIP's vision tower; raises ModelError as from_published."""
    try:
        return _clip_config(settings.get('vision_config', settings))
    except ValidationError as error:
        raise ModelError(f'{where}: {first_problem(error)}') from error


def _from_published(settings: Settings, clip: Settings | None) -> ModelConfig:
    llava = _Llava.model_validate(settings)
    return ModelConfig(
        vision=_clip_config(_tower_settings(settings, clip)),
        text=_phi_config(settings.get('text_config', settings)),
        fit='pad' if llava.image_aspect_ratio == 'pad' else 'crop',
        abstain_text=llava.llava_phi.abstain_text,
        temperature=llava.llava_phi.temperature,
    )


def _phi_config(settings: Settings) -> TextConfig:
    phi = _Phi.model_validate(settings)
    rope = phi.rope_parameters or _Rope()
    share = rope.partial_rotary_factor or phi.partial_rotary_factor
    eos = phi.eos_token_id[0] if isinstance(phi.eos_token_id, list) else phi.eos_token_id
    return TextConfig(
        vocab_size=phi.vocab_size,
        hidden_size=phi.hidden_size,
        intermediate_size=phi.intermediate_size,
        layers=phi.num_hidden_layers,
        heads=phi.num_attention_heads,
        rotary_dim=int(share * (phi.hidden_size // phi.num_attention_heads)),
        rope_theta=rope.rope_theta or phi.rope_theta,
        layer_norm_eps=phi.layer_norm_eps,
        context_length=phi.max_position_embeddings,
        eos_token_id=TextConfig().eos_token_id if eos is None else eos,
    )


def _clip_config(settings: Settings) -> VisionConfig:
    tower = _Clip.model_validate(settings)
    return VisionConfig(
        image_size=tower.image_size,
        patch_size=tower.patch_size,
        hidden_size=tower.hidden_size,
        intermediate_size=tower.intermediate_size,
        layers=tower.num_hidden_layers,
        heads=tower.num_attention_heads,
        layer_norm_eps=tower.layer_norm_eps,
    )


def _tower_settings(settings: Settings, clip: Settings | None) -> Settings:
    if clip is not None:
        return clip.get('vision_config', clip)
    tower = settings.get('vision_config')
    if not isinstance(tower, dict):
        return _CLIP_L_336
    nested = tower.get('vision_tower')
    return nested if isinstance(nested, dict) else tower


def to_original(config: ModelConfig) -> Settings:
    """Return config.json of the original LLaVA-Phi for a model."""
    return {
        'architectures': ['LlavaPhiForCausalLM'],
        'model_type': 'llava_phi',
        **_phi_settings(config),
        'image_aspect_ratio': 'pad' if config.fit == 'pad' else 'square',
        'vision_config': {
            'model_type': 'llava_phi_clip',
            'vision_tower': {
                'model_type': 'llava_phi_clip_vision_model',
                'mm_vision_select_feature': 'patch',
                'mm_vision_select_layer': -2,
                **_clip_settings(config),
            },
            'mm_projector': {
                'mm_projector_type': 'mlp2x_gelu',
                'mm_hidden_size': config.vision.hidden_size,
                'hidden_size': config.text.hidden_size,
            },
        },
    }


def to_hf(config: ModelConfig, image_token: int, pad_token: int) -> Settings:
    """Return config.json of transformers' LlavaForConditionalGeneration for a model."""
    return {
        'architectures': ['LlavaForConditionalGeneration'],
        'model_type': 'llava',
        'image_token_index': image_token,
        'image_token_id': image_token,
        'image_seq_length': config.vision.image_tokens,
        'pad_token_id': pad_token,
        'projector_hidden_act': 'gelu',
        'vision_feature_layer': -2,
        'vision_feature_select_strategy': 'default',
        'tie_word_embeddings': False,
        'text_config': {'model_type': 'phi', **_phi_settings(config)},
        'vision_config': {'model_type': 'clip_vision_model', **_clip_settings(config)},
    }


def _phi_settings(config: ModelConfig) -> Settings:
    text = config.text
    share = text.rotary_dim / text.head_dim
    return {
        'vocab_size': text.vocab_size,
        'hidden_size': text.hidden_size,
        'intermediate_size': text.intermediate_size,
        'num_hidden_layers': text.layers,
        'num_attention_heads': text.heads,
        'num_key_value_heads': text.heads,
        'hidden_act': 'gelu_new',
        'max_position_embeddings': text.context_length,
        'layer_norm_eps': text.layer_norm_eps,
        # The first two for transformers before 5, the last for later ones.
        'partial_rotary_factor': share,
        'rope_theta': text.rope_theta,
        'rope_parameters': {
            'rope_type': 'default',
            'rope_theta': text.rope_theta,
            'partial_rotary_factor': share,
        },
        'qk_layernorm': False,
        'tie_word_embeddings': False,
        'bos_token_id': text.eos_token_id,
        'eos_token_id': text.eos_token_id,
    }


def _clip_settings(config: ModelConfig) -> Settings:
    vision = config.vision
    return {
        'hidden_size': vision.hidden_size,
        'intermediate_size': vision.intermediate_size,
        'num_hidden_layers': vision.layers,
        'num_attention_heads': vision.heads,
        'image_size': vision.image_size,
        'patch_size': vision.patch_size,
        'hidden_act': 'quick_gelu',
        'layer_norm_eps': vision.layer_norm_eps,
    }
