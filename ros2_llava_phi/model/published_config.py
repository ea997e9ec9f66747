"""
config.json as other projects write it, turned into this project's settings and back.

Three forms: transformers' LLaVA (`text_config` beside `vision_config`), the original LLaVA-Phi
(Phi's settings at the top, CLIP's in `vision_config.vision_tower`), and LLaVA-1.5's (Phi's at the
top, CLIP in a folder of its own). Phi, CLIP and SigLIP have folders of their own, too. What a file
leaves out has the default of the class that wrote it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.settings import Settings

from .config import Activation, ModelConfig, TextConfig, VisionConfig, errors_that_name

HALF = (0.5, 0.5, 0.5)  # SigLIP's mean and deviation of all colours
ACTIVATIONS: dict[str, Activation] = {
    'quick_gelu': 'quick_gelu',
    'gelu': 'gelu',
    'gelu_pytorch_tanh': 'gelu_tanh',
}


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

    model_type: Annotated[str, Field(pattern='clip')] = 'clip_vision_model'
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    image_size: int = 224
    patch_size: int = 32
    hidden_act: Literal['quick_gelu', 'gelu', 'gelu_pytorch_tanh'] = 'quick_gelu'
    layer_norm_eps: float = 1e-5
    mm_vision_select_layer: Literal[-2] = -2
    mm_vision_select_feature: Literal['patch'] = 'patch'


class _Siglip(_Clip):
    """SiglipVisionConfig, with its defaults."""

    model_type: Literal['siglip', 'siglip_vision_model'] = 'siglip_vision_model'
    patch_size: int = 16
    hidden_act: Literal['quick_gelu', 'gelu', 'gelu_pytorch_tanh'] = 'gelu_pytorch_tanh'
    layer_norm_eps: float = 1e-6


class _Answers(BaseModel):
    """What this project alone knows of a model."""

    abstain_text: str | None = None
    temperature: float = 1.0


class _Llava(BaseModel):
    """What LLaVA adds, under the names of transformers and under its own."""

    vision_feature_layer: Literal[-2] = -2
    vision_feature_select_strategy: Literal['default', 'full'] = 'default'
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


def from_published(settings: Settings, tower: Settings | None, where: str) -> ModelConfig:
    """
    Return the settings of a model that another project wrote.

    tower: the config.json of a CLIP's or a SigLIP's folder, for layouts that leave the tower to
    one. where: the file, for errors.

    Raises ModelError that names the field if this network cannot be what the file describes.
    """
    vision = encoder_config(_tower_settings(settings) if tower is None else tower, where)
    text = phi_config(settings.get('text_config', settings), where)
    with errors_that_name(where):
        llava = _Llava.model_validate(settings)
        # CLIP's class token is left out; SigLIP has none, and its first patch is a patch.
        wanted = 'full' if vision.kind == 'siglip' else 'default'
        if 'text_config' in settings and llava.vision_feature_select_strategy != wanted:
            raise ValueError(
                f'vision_feature_select_strategy is {llava.vision_feature_select_strategy!r}; '
                f'with {vision.kind} it is {wanted!r}'
            )
        return ModelConfig(
            vision=vision,
            text=text,
            fit='pad' if llava.image_aspect_ratio == 'pad' else 'crop',
            abstain_text=llava.llava_phi.abstain_text,
            temperature=llava.llava_phi.temperature,
        )


def phi_config(settings: Settings, where: str) -> TextConfig:
    """Return a Phi's settings, as PhiConfig names them; raises ModelError as from_published."""
    with errors_that_name(where):
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


def encoder_config(settings: Settings, where: str) -> VisionConfig:
    """
    Return the settings of a CLIP's or a SigLIP's vision tower.

    settings: as CLIPVisionConfig and SiglipVisionConfig name them, or those of both towers. Raises
    ModelError as from_published.
    """
    if isinstance(within := settings.get('vision_config'), dict):
        settings = {'model_type': settings.get('model_type', 'clip'), **within}
    siglip = str(settings.get('model_type', '')).startswith('siglip')
    with errors_that_name(where):
        tower = (_Siglip if siglip else _Clip).model_validate(settings)
        config = VisionConfig(
            image_size=tower.image_size,
            patch_size=tower.patch_size,
            hidden_size=tower.hidden_size,
            intermediate_size=tower.intermediate_size,
            layers=tower.num_hidden_layers,
            heads=tower.num_attention_heads,
            layer_norm_eps=tower.layer_norm_eps,
            kind='siglip' if siglip else 'clip',
            activation=ACTIVATIONS[tower.hidden_act],
        )
    return config.model_copy(update={'mean': HALF, 'std': HALF}) if siglip else config


def _tower_settings(settings: Settings) -> Settings:
    """Return the vision tower's settings out of a whole model's."""
    within = settings.get('vision_config')
    if not isinstance(within, dict):
        return _CLIP_L_336
    nested = within.get('vision_tower')
    return nested if isinstance(nested, dict) else within


def to_original(config: ModelConfig) -> Settings:
    """Return config.json of the original LLaVA-Phi for a model; ModelError if it had no such."""
    _refuse_pooling(config)
    if config.vision.kind != 'clip':
        raise ModelError('the original LLaVA-Phi has no SigLIP; use the layout hf or own')
    if config.fit == 'stretch':
        raise ModelError('the original LLaVA-Phi stretches no picture; use the layout hf or own')
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
                **_tower_settings_of(config),
            },
            'mm_projector': {
                'mm_projector_type': 'mlp2x_gelu',
                'mm_hidden_size': config.vision.hidden_size,
                'hidden_size': config.text.hidden_size,
            },
        },
    }


def to_hf(config: ModelConfig, image_token: int, pad_token: int) -> Settings:
    """
    Return config.json of transformers' LlavaForConditionalGeneration for a model.

    Raises ModelError if that class can not be what the model is.
    """
    _refuse_pooling(config)
    siglip = config.vision.kind == 'siglip'
    kind: Settings = {'model_type': 'clip_vision_model'}
    if siglip:
        kind = {'model_type': 'siglip_vision_model', 'vision_use_head': False}
    return {
        'architectures': ['LlavaForConditionalGeneration'],
        'model_type': 'llava',
        'image_token_index': image_token,
        'image_token_id': image_token,
        'image_seq_length': config.image_tokens,
        'pad_token_id': pad_token,
        'projector_hidden_act': 'gelu',
        'vision_feature_layer': -2,
        'vision_feature_select_strategy': 'full' if siglip else 'default',
        'tie_word_embeddings': False,
        'text_config': {'model_type': 'phi', **_phi_settings(config)},
        'vision_config': {**kind, **_tower_settings_of(config)},
    }


def _refuse_pooling(config: ModelConfig) -> None:
    if config.pool != 1:
        raise ModelError(
            f'no other project averages {config.pool} x {config.pool} patches to a token; use the '
            'layout own'
        )


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


def _tower_settings_of(config: ModelConfig) -> Settings:
    vision = config.vision
    return {
        'hidden_size': vision.hidden_size,
        'intermediate_size': vision.intermediate_size,
        'num_hidden_layers': vision.layers,
        'num_attention_heads': vision.heads,
        'image_size': vision.image_size,
        'patch_size': vision.patch_size,
        'hidden_act': next(key for key, ours in ACTIVATIONS.items() if ours == vision.activation),
        'layer_norm_eps': vision.layer_norm_eps,
    }
