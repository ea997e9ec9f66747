"""
The tensors of a checkpoint folder by name, read one at a time; no code in a file is ever run.

Weights come as safetensors (https://github.com/huggingface/safetensors) or as PyTorch's `.bin`,
in one file or in shards that `*.index.json` lists.
"""

import json
import pickle
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ros2_llava_phi.errors import InputError, ModelError

SAFETENSORS_FILE = 'model.safetensors'
WEIGHT_FILES = (SAFETENSORS_FILE, 'pytorch_model.bin')
DTYPES = {
    'F64': 'float64',
    'F32': 'float32',
    'F16': 'float16',
    'BF16': 'bfloat16',
    'I64': 'int64',
    'I32': 'int32',
    'I8': 'int8',
    'U8': 'uint8',
}


@contextmanager
def writing(folder: Path, error: type[InputError] = ModelError) -> Iterator[None]:
    """Raise `error` where safetensors cannot write into a folder, as on a full disk."""
    try:
        yield
    except SafetensorError as reason:
        raise error(f'{folder} cannot be written: {reason}') from reason


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its name, the file, its shape and dtype ('float32', 'int8', ...)."""

    name: str
    path: Path
    shape: tuple[int, ...]
    dtype: str


def list_weights(folder: Path) -> dict[str, Stored]:
    """
    Return a folder's main weights by name, without reading them; none if it has no such file.

    Raises ModelError if a file is damaged, or an index names what is not there.
    """
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return list_tensors([folder / name])
        index = folder / f'{name}.index.json'
        if index.is_file():
            return _list_shards(index)
    return {}


def list_tensors(paths: Iterable[Path]) -> dict[str, Stored]:
    """Return the tensors in files by name, without reading them; raises ModelError."""
    found: dict[str, Stored] = {}
    for path in paths:
        for stored in _list_file(path):
            if stored.name in found:
                raise ModelError(
                    f'tensor {stored.name} is both in {found[stored.name].path} and in {path}'
                )
            found[stored.name] = stored
    return found


def read_tensors(wanted: Iterable[Stored]) -> Iterator[tuple[Stored, torch.Tensor]]:
    """
    Yield tensors as they are stored, file by file, with one file open at a time.

    A tensor may lie in the file's mapped memory: copy what is to be kept. Raises ModelError.
    """
    by_file: dict[Path, list[Stored]] = {}
    for stored in wanted:
        by_file.setdefault(stored.path, []).append(stored)
    for path, tensors in by_file.items():
        if path.suffix == '.safetensors':
            try:
                with safe_open(path, framework='pt') as file:
                    for stored in tensors:
                        yield stored, file.get_tensor(stored.name)
            except SafetensorError as error:
                raise ModelError(f'{path} is damaged: {error}') from error
        else:
            content = _load_bin(path)
            for stored in tensors:
                yield stored, content[stored.name]


def _list_shards(index: Path) -> dict[str, Stored]:
    try:
        names = json.loads(index.read_bytes())['weight_map']
        files = sorted(set(names.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f'{index} is no index of weights: it needs a "weight_map"') from error
    for file in files:
        if not isinstance(file, str) or Path(file).name != file:
            raise ModelError(f'{index} names {file!r}, which is no file beside it')
        if not (index.parent / file).is_file():
            raise ModelError(f'{index.parent / file} is missing; {index.name} lists it')
    found = list_tensors([index.parent / file for file in files])
    for name in sorted(set(names) - set(found)):
        raise ModelError(f'tensor {name} is missing: {index.name} lists it in {names[name]}')
    return found


def _list_file(path: Path) -> Iterator[Stored]:
    if path.suffix != '.safetensors':
        for name, tensor in _load_bin(path).items():
            yield Stored(name, path, tuple(tensor.shape), str(tensor.dtype).split('.')[-1])
        return
    try:
        with safe_open(path, framework='pt') as file:
            names = file.keys()
            for name in names:
                part = file.get_slice(name)
                dtype = part.get_dtype()
                yield Stored(name, path, tuple(part.get_shape()), DTYPES.get(dtype, dtype.lower()))
    except (SafetensorError, OSError) as error:
        raise ModelError(f'{path} is damaged or no safetensors file: {error}') from error


def _load_bin(path: Path) -> Mapping[str, torch.Tensor]:
    """Read PyTorch's format; its pickle may build tensors and dicts, and call nothing else."""
    try:
        content: Any = torch.load(
            path, map_location='cpu', weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except Exception as error:  # a damaged pickle may fail in any way
        if isinstance(error, pickle.UnpicklingError):
            raise ModelError(
                f'{path} is damaged, or holds more than tensors, which could run code; '
                'save its tensors as safetensors'
            ) from error
        reason = (str(error).splitlines() or ['it is empty'])[0]
        raise ModelError(f'{path} is damaged or no file of weights: {reason}') from error
    if not isinstance(content, Mapping):
        raise ModelError(f'{path} holds a {type(content).__name__}, not tensors by name')
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ModelError(f'{path}: {name!r} is a {type(value).__name__}, not a tensor')
    return content
