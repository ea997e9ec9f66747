"""What of the network learns: parts in full, by adapters, or not at all."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ros2_llava_phi.model.config import ModelConfig, write_config
from ros2_llava_phi.model.lora import PEFT_PREFIX, WEIGHT_FILES
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.tensor_files import writing
from ros2_llava_phi.model.weights import named_in

from .recipe import AdamW, How, Lora, Recipe
from .start import Origin

EXTRA_FILE = 'mm_projector.safetensors'
ADAPTER = re.compile(r'(.*)\.lora_([AB])\.default\.weight')
HALF = {'bf16': torch.bfloat16, 'fp16': torch.float16}


def set_learning(network: LlavaPhi, recipe: Recipe) -> None:
    """
    Freeze, free, or put adapters on each part of a network, as a recipe says.

    What learns is in fp32. Frozen linear layers are in the precision that they multiply in.
    """
    network.requires_grad_(False)
    adapted = []
    for name, part in recipe.learns.parts():
        module = getattr(network, name)
        module.requires_grad_(part.how == How.FULL)
        if part.how == How.LORA:
            adapted.append(name)
    if adapted:
        _add_adapters(network, recipe.lora, adapted, recipe.seed)
    # LLaVA reads the tower before them: they would never get a gradient.
    network.vision_tower.layers[-1].requires_grad_(False)
    network.vision_tower.post_layernorm.requires_grad_(False)
    for module in network.modules():
        frozen = isinstance(module, nn.Linear) and not module.weight.requires_grad
        # FSDP shards only what is of one precision.
        if frozen and recipe.precision in HALF and not recipe.fsdp:
            module.to(HALF[recipe.precision])


def _add_adapters(network: LlavaPhi, lora: Lora, parts: list[str], seed: int) -> None:
    from peft import inject_adapter_in_model

    frozen_or_not = {name: p.requires_grad for name, p in network.named_parameters()}
    torch.manual_seed(seed)
    inject_adapter_in_model(_peft_config(lora, parts, network.config), network)
    for name, parameter in network.named_parameters():
        # PEFT freezes all else, the parts that learn in full included.
        if not ADAPTER.fullmatch(name):
            parameter.requires_grad_(frozen_or_not[name.replace('.base_layer.', '.')])


def _peft_config(lora: Lora, parts: list[str], config: ModelConfig) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=rf'({"|".join(parts)})\.layers\.\d+\.({"|".join(lora.targets)})',
        exclude_modules=rf'vision_tower\.layers\.{config.vision.layers - 1}\..*',
        bias='none',
    )


def optimizer_of(network: LlavaPhi, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW over all that learns; each group has its part's peak rate as `peak`."""
    settings: AdamW = recipe.optimizer
    groups = []
    for name, part in recipe.learns.parts():
        learned = [p for p in getattr(network, name).parameters() if p.requires_grad]
        for decays in (True, False):
            parameters = [p for p in learned if (p.ndim > 1) == decays]
            decay = settings.weight_decay if decays else 0.0
            if parameters:
                groups.append(
                    {
                        'params': parameters,
                        'peak': part.learning_rate,
                        'weight_decay': decay,
                        'part': name,
                    }
                )
    return torch.optim.AdamW(groups, lr=0.0, betas=settings.betas, eps=settings.eps)


def split_adapters(learned: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights learned in full by their names in the network, and PEFT's adapters."""
    full, adapters = {}, {}
    for name, tensor in learned.items():
        if match := ADAPTER.fullmatch(name):
            adapters[f'{match[1]}.lora_{match[2]}.weight'] = tensor
        else:
            full[name.replace('.base_layer.', '.')] = tensor
    return full, adapters


def merge(network: LlavaPhi, learned: dict[str, Tensor], lora: Lora) -> None:
    """
    Put what was learned into a network without adapters; each weight keeps its precision.

    A weight W with an adapter becomes W + alpha / r * B A, computed in fp32. All other tensors
    stay as they are, bit for bit.
    """
    full, adapters = split_adapters(learned)
    weights = dict(network.named_parameters())
    with torch.no_grad():
        for name, tensor in full.items():
            weights[name].copy_(tensor)
        for name, down in adapters.items():
            if '.lora_A.' not in name:
                continue
            weight = weights[name.replace('.lora_A.', '.')]
            up = adapters[name.replace('.lora_A.', '.lora_B.')]
            weight.copy_(weight.float() + lora.alpha / lora.r * (up.float() @ down.float()))


def save_adapter(
    folder: Path, learned: dict[str, Tensor], recipe: Recipe, base: Origin, config: ModelConfig
) -> None:
    """
    Write the adapter as PEFT does, for those who keep one base with many adapters.

    What learned in full goes beside it, by the base's names, as do the settings of the result:
    pooling and temperature may differ from the base's.
    """
    full, adapters = split_adapters(learned)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [name for name, part in recipe.learns.parts() if part.how == How.LORA]
    write_config(config, folder)
    peft = _peft_config(recipe.lora, parts, base.config)
    peft.base_model_name_or_path = str(base.folder)
    peft.inference_mode = True
    peft.save_pretrained(str(folder))
    named = {f'{PEFT_PREFIX}{name}': tensor.contiguous() for name, tensor in adapters.items()}
    with writing(folder):
        save_file(named, folder / WEIGHT_FILES[0])
        if full:
            save_file(dict(named_in(base.layout, full, config.text.heads)), folder / EXTRA_FILE)
