"""Sizes and settings of one LLaVA-Phi model, as its folder's JSON files hold them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.settings import (
    Number,
    StrictSettings,
    first_problem,
    read_json,
    read_settings,
)

CONFIG_FILE = 'config.json'
ADAPTER_CONFIG = 'adapter_config.json'

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(gt=0, le=1)]
Colour = tuple[Share, Share, Share]  # red, green, blue
Activation = Literal['quick_gelu', 'gelu', 'gelu_tanh']
Fit = Literal['pad', 'crop', 'stretch']
# Words and stops of the template around a picture, which no tokenizer joins.
LEAST_PROMPT = 32


class VisionConfig(StrictSettings):
    """
    The vision transformer of a CLIP (Radford et al. 2021) or of a SigLIP (Zhai et al. 2023).

    The defaults are CLIP's ViT-L/14-336.

    kind: SigLIP's has no class token, no norm before its layers, and a bias behind its patches.
    activation: of its MLPs. OpenAI's CLIPs have quick_gelu, others gelu, SigLIP gelu_tanh.
    mean, std: of the pictures that it learned from: red, green, blue, of full brightness 1.
    """

    image_size: Count = 336
    patch_size: Count = 14
    hidden_size: Count = 1024
    intermediate_size: Count = 4096
    layers: Annotated[int, Field(ge=2)] = 24
    heads: Count = 16
    layer_norm_eps: float = 1e-5
    kind: Literal['clip', 'siglip'] = 'clip'
    activation: Activation = 'quick_gelu'
    mean: Colour = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[Spread, Spread, Spread] = (0.26862954, 0.26130258, 0.27577711)

    @model_validator(mode='after')
    def _check(self) -> 'VisionConfig':
        # SigLIP SO400M takes 384 pixels in patches of 14, and leaves the last 6 out.
        if self.kind == 'clip' and self.image_size % self.patch_size:
            raise ValueError(f'image_size {self.image_size} is no multiple of {self.patch_size}')
        if self.image_size < self.patch_size:
            raise ValueError(f'image_size {self.image_size} is less than a patch')
        if self.hidden_size % self.heads:
            raise ValueError(
                f'hidden_size {self.hidden_size} is no multiple of {self.heads} heads'
            )
        return self

    @property
    def grid(self) -> int:
        """Return the number of patches along one side of the picture."""
        return self.image_size // self.patch_size

    @property
    def patches(self) -> int:
        """Return the number of patches of a picture."""
        return self.grid**2


class TextConfig(StrictSettings):
    """Phi's decoder (Li et al. 2023); the defaults are Phi-2."""

    vocab_size: Count = 51200
    hidden_size: Count = 2560
    intermediate_size: Count = 10240
    layers: Count = 32
    heads: Count = 32
    rotary_dim: Annotated[int, Field(ge=2, multiple_of=2)] = 32
    rope_theta: float = 10000.0
    layer_norm_eps: float = 1e-5
    context_length: Count = 2048
    eos_token_id: Annotated[int, Field(ge=0)] = 50256

    @model_validator(mode='after')
    def _check(self) -> 'TextConfig':
        if self.hidden_size % self.heads:
            raise ValueError(
                f'hidden_size {self.hidden_size} is no multiple of {self.heads} heads'
            )
        if self.rotary_dim > self.head_dim:
            raise ValueError(f'rotary_dim {self.rotary_dim} exceeds the head size {self.head_dim}')
        if self.eos_token_id >= self.vocab_size:
            raise ValueError(f'eos_token_id {self.eos_token_id} is outside the vocabulary')
        return self

    @property
    def head_dim(self) -> int:
        """Return the width of one attention head."""
        return self.hidden_size // self.heads


class ModelConfig(StrictSettings):
    """
    One LLaVA-Phi model; the defaults are the published one's.

    abstain_text: the answer with which this model was trained to say that the picture does not
    tell; None for models that were not.
    temperature: divides the logits of closed answers so that their probabilities are calibrated
    (Guo et al. 2017); fitted on validation data at the end of a training.
    fit: how a picture is made square, as in training: padded, cropped as CLIP does, or stretched
    as SigLIP does.
    pool: how many patches along each side are averaged to one token of a picture.
    """

    vision: VisionConfig = VisionConfig()
    text: TextConfig = TextConfig()
    abstain_text: str | None = None
    temperature: Annotated[Number, Field(ge=0.01, le=100)] = 1.0
    fit: Fit = 'pad'
    pool: Count = 1

    @model_validator(mode='after')
    def _check(self) -> 'ModelConfig':
        grid = self.vision.grid
        if grid % self.pool:
            fitting = ', '.join(str(n) for n in range(1, grid + 1) if grid % n == 0)
            raise ValueError(
                f'pool {self.pool} does not divide the {grid} patches along a side; use {fitting}'
            )
        if self.text.context_length < self.image_tokens + LEAST_PROMPT:
            raise ValueError(
                f'a context_length of {self.text.context_length} has no room for the '
                f'{self.image_tokens} tokens of a picture and the {LEAST_PROMPT} or more of a '
                'prompt'
            )
        return self

    @property
    def image_tokens(self) -> int:
        """Return how many of the decoder's tokens a picture takes."""
        return (self.vision.grid // self.pool) ** 2


def read_config(folder: Path) -> ModelConfig:
    """Read a model folder's config.json; raises ModelError naming the file and the field."""
    return read_json(folder / CONFIG_FILE, ModelConfig, ModelError)


def has_own_config(folder: Path) -> bool:
    """Return whether a folder's config.json is this project's; raises ModelError without one."""
    return {'vision', 'text'} <= read_settings(folder / CONFIG_FILE, ModelError).keys()


def adapter_base(folder: Path) -> Path | None:
    """
    Return the folder of the base that an adapter's folder names; None if none is there.

    Raises ModelError if adapter_config.json is there and cannot be read. Source: PEFT's format.
    """
    path = folder / ADAPTER_CONFIG
    named = (
        read_settings(path, ModelError).get('base_model_name_or_path') if path.is_file() else None
    )
    return Path(named) if isinstance(named, str) and named and Path(named).is_dir() else None


@contextmanager
def errors_that_name(where: str) -> Iterator[None]:
    """Turn what is wrong with settings into ModelError in one line that names their file."""
    try:
        yield
    except ValidationError as error:
        raise ModelError(f'{where}: {first_problem(error)}') from error
    except ValueError as error:
        raise ModelError(f'{where}: {error}') from error


def write_config(config: ModelConfig, folder: Path) -> None:
    """Write config.json into a model folder."""
    (folder / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + '\n')
