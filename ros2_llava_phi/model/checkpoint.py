"""
Read and write a model folder: config.json, model.safetensors, tokenizer.json.

The tensors carry the names of the network's own state dict. safetensors holds numbers and names
only; nothing in it can run (https://github.com/huggingface/safetensors, format section).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .config import ModelError, read_config, write_config
from .network import LlavaPhi

WEIGHTS_FILE = 'model.safetensors'


def load_network(folder: Path) -> LlavaPhi:
    """
    Build the network that a folder describes, with the folder's weights.

    Raises ModelError naming the tensor if one is missing, unexpected or misshapen.
    """
    config = read_config(folder)
    with torch.device('meta'):
        network = LlavaPhi(config)
    network.load_state_dict(
        _read_tensors(folder / WEIGHTS_FILE, network.state_dict()), assign=True
    )
    return network


def save_network(network: LlavaPhi, folder: Path, dtype: torch.dtype) -> None:
    """Write a network's config.json and model.safetensors into a folder, in one precision."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(network.config, folder)
    tensors = {
        name: tensor.detach().to('cpu', dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS_FILE, metadata={'format': 'pt'})


def weights_hash(folder: Path) -> str:
    """Return the SHA-256 of a folder's weights as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with (folder / WEIGHTS_FILE).open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read_tensors(path: Path, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ModelError(f'{path} is missing; a model folder holds its weights there')
    try:
        with safe_open(path, framework='pt') as file:
            names = set(file.keys())
            _check_names(path, names, set(wanted))
            return {name: _checked(path, name, file.get_tensor(name), wanted) for name in names}
    except SafetensorError as error:
        raise ModelError(f'{path} is damaged or no safetensors file: {error}') from error


def _check_names(path: Path, found: set[str], wanted: set[str]) -> None:
    for problem, names in (('is missing', wanted - found), ('is unexpected', found - wanted)):
        if names:
            more = f' (and {len(names) - 1} more)' if len(names) > 1 else ''
            raise ModelError(f'{path}: tensor {min(names)}{more} {problem}')


def _checked(
    path: Path, name: str, tensor: torch.Tensor, wanted: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    if tensor.shape != wanted[name].shape:
        raise ModelError(
            f'{path}: tensor {name} has shape {list(tensor.shape)}, '
            f'but config.json asks for {list(wanted[name].shape)}'
        )
    if not tensor.is_floating_point():
        raise ModelError(
            f'{path}: tensor {name} is {tensor.dtype}; weights are fp32, fp16 or bf16'
        )
    return tensor.float()
