"""A model exported for ONNX Runtime: what its folder holds, and whether it is whole."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ros2_llava_phi.model.config import ModelError, first_problem

MANIFEST = 'export.json'
VISION, DECODER, EMBEDDINGS = 'vision.onnx', 'decoder.onnx', 'embeddings.npy'


class Manifest(BaseModel):
    """
    What an exported folder says of itself.

    weights_hash: of the checkpoint that was exported, as ModelIdentity has it.
    files: SHA-256 of every other file, by name.
    """

    model_config = ConfigDict(frozen=True, extra='forbid')

    format: Literal[1] = 1
    name: str
    weights_hash: str
    precision: Literal['fp32', 'int8', 'int4']
    files: dict[str, str]


def is_exported(folder: Path) -> bool:
    """Return whether a folder holds an exported model."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest, and check every file against it; raises ModelError naming the file."""
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f'{path} cannot be read: {error.strerror}') from error
    except ValidationError as error:
        raise ModelError(f'{path}: {first_problem(error)}') from error
    for name, wanted in manifest.files.items():
        file = folder / name
        if Path(name).name != name or not file.is_file():
            raise ModelError(f'{path} names the file {name!r}, which is not there; export again')
        if file_hash(file) != wanted:
            raise ModelError(f'{file} is damaged: it is not what was exported; export again')
    return manifest


def write_manifest(folder: Path, name: str, weights_hash: str, precision: str) -> None:
    """Write the manifest of the files that are in a folder, whole as it is."""
    manifest = Manifest.model_validate(
        {
            'name': name,
            'weights_hash': weights_hash,
            'precision': precision,
            'files': {path.name: file_hash(path) for path in sorted(folder.iterdir())},
        }
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + '\n')


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
