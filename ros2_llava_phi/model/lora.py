"""
LoRA adapters as PEFT writes them, merged into the weights that they were trained on.

A weight W of the base becomes W + alpha / r * B A (Hu et al., arXiv 2106.09685).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, Field, ValidationError

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.settings import first_problem

from .config import ADAPTER_CONFIG
from .tensor_files import Stored, list_tensors, read_tensors

WEIGHT_FILES = ('adapter_model.safetensors', 'adapter_model.bin')
PEFT_PREFIX = 'base_model.model.'


class _Settings(BaseModel):
    """The part of adapter_config.json that decides what an adapter does."""

    peft_type: Literal['LORA']
    r: Annotated[int, Field(ge=1)]
    lora_alpha: float
    use_rslora: bool = False
    use_dora: Literal[False] = False
    fan_in_fan_out: Literal[False] = False
    bias: Literal['none'] = 'none'
    rank_pattern: dict[str, int] | None = None
    alpha_pattern: dict[str, float] | None = None


@dataclass(frozen=True)
class Adapter:
    """
    What is added to which of the base's tensors.

    file: holds the adapter. scale: alpha / r.
    pairs: A [r, in] and B [out, r] by the name of the tensor that they are added to.
    """

    file: Path
    scale: float
    pairs: dict[str, tuple[Stored, Stored]]

    def merged(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """Return one of the base's tensors, in fp32 if the adapter adds to it."""
        if name not in self.pairs:
            return weight
        down, up = (tensor.float() for _, tensor in read_tensors(self.pairs[name]))
        return weight.float() + self.scale * (up @ down)


def read_adapter(folder: Path) -> Adapter | None:
    """Return a folder's adapter, None if it has none; raises ModelError that names the field."""
    path = folder / ADAPTER_CONFIG
    if not path.is_file():
        return None
    try:
        settings = _Settings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ModelError(f'{path}: {first_problem(error)}') from error
    if settings.rank_pattern or settings.alpha_pattern:
        raise ModelError(f'{path}: ranks or alphas that differ by layer are not read')
    files = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not files:
        raise ModelError(f'{folder / WEIGHT_FILES[0]} is missing; {ADAPTER_CONFIG} describes it')
    root = settings.r**0.5 if settings.use_rslora else settings.r
    return Adapter(files[0], settings.lora_alpha / root, _pairs(files[0], settings.r))


def _pairs(path: Path, rank: int) -> dict[str, tuple[Stored, Stored]]:
    tensors = list_tensors([path])
    pairs = {}
    for name, down in tensors.items():
        match = re.fullmatch(r'(.*)\.lora_([AB])(\.\w+)?\.weight', name)
        if match is None:
            raise ModelError(f'{path}: tensor {name} is no part of a LoRA adapter')
        if match[2] == 'B':
            continue
        up = tensors.get(name.replace('.lora_A.', '.lora_B.'))
        if up is None:
            raise ModelError(f'{path}: tensor {name} has no lora_B beside it')
        if len(down.shape) != 2 or down.shape[0] != rank or up.shape[1:] != (rank,):
            raise ModelError(
                f'{path}: {name} {list(down.shape)} and its lora_B {list(up.shape)} are not of '
                f'rank {rank}'
            )
        pairs[f'{match[1].removeprefix(PEFT_PREFIX)}.weight'] = (down, up)
    return pairs
