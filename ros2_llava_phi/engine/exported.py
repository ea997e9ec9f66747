"""A model exported for an engine: what its folder holds, and whether it is whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.hashing import files_hash, remembered_hashes
from ros2_llava_phi.files.settings import read_json
from ros2_llava_phi.model.config import (
    CONFIG_FILE,
    TextConfig,
    adapter_base,
    has_own_config,
    read_config,
)
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE

from .engine import Precision
from .golden import GOLDEN

MANIFEST = 'export.json'
VISION, DECODER, EMBEDDINGS = 'vision.onnx', 'decoder.onnx', 'embeddings.npy'
PLAIN_DECODER = 'decoder_plain.onnx'  # for a TensorRT that lacks the layers of the other one
# Tower and decoder once more, for many tokens at once: they multiply integers.
VISION_INTEGERS, PREFILL = 'vision_integers.onnx', 'prefill.onnx'
WEIGHTS = {graph: f'{graph}.data' for graph in (VISION, DECODER, VISION_INTEGERS, PREFILL)}
FILES = {EMBEDDINGS, TOKENIZER_FILE, CONFIG_FILE}
FILES |= {VISION, DECODER, WEIGHTS[VISION], WEIGHTS[DECODER]}
IN_INTEGERS = {VISION_INTEGERS, PREFILL, WEIGHTS[VISION_INTEGERS], WEIGHTS[PREFILL]}
FORMAT = 3  # of the manifest and the graphs; another one is of another version
WITH_INTEGERS = ('int8', 'mixed')  # ONNX Runtime's precisions that have these graphs, too


class Manifest(BaseModel):
    """
    What an exported folder says of itself.

    weights_hash: of the checkpoint that was exported, as ModelIdentity has it.
    engine: which one can read it.
    weight_files: the names of that checkpoint's files, in the order in which they were hashed.
    files: SHA-256 of every other file of the folder, by name.
    """

    model_config = ConfigDict(frozen=True, extra='forbid')

    format: int = FORMAT
    name: str
    weights_hash: str
    weight_files: list[str]
    engine: Literal['onnxruntime', 'tensorrt'] = 'onnxruntime'
    precision: Precision
    files: dict[str, str]

    @field_validator('format')
    @classmethod
    def _is_ours(cls, number: int) -> int:
        if number != FORMAT:
            raise ValueError(f'export again with this version, whose format is {FORMAT}')
        return number

    @field_validator('files')
    @classmethod
    def _all_are_listed(cls, files: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        wanted = files_of(info.data.get('engine', ''), info.data.get('precision', ''))
        if set(files) != wanted:
            different = ', '.join(sorted(wanted ^ set(files)))
            raise ValueError(f'it must list {len(wanted)} files; different: {different}')
        return files


def files_of(engine: str, precision: str) -> set[str]:
    """Return the files that an export for an engine consists of, but for its manifest."""
    if engine == 'tensorrt':
        return FILES | {PLAIN_DECODER, GOLDEN}
    return FILES | IN_INTEGERS if precision in WITH_INTEGERS else FILES


def is_exported(folder: Path) -> bool:
    """Return whether a folder holds an exported model."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an exported folder; raises ModelError naming file and field."""
    return read_json(folder / MANIFEST, Manifest, ModelError)


def check_files(folder: Path, files: dict[str, str], remedy: str, read_all: bool = False) -> None:
    """
    Raise ModelError naming the file if one has not the SHA-256 that its manifest gives it.

    read_all: whether to read those, too, whose hashes are remembered (see hashing.py).
    """
    paths = [folder / name for name in files]
    for path in paths:
        if not path.is_file():
            raise ModelError(f'{path} is missing; {remedy}')
    hashes = remembered_hashes(([path] for path in paths), read_all)
    for path, wanted, known in zip(paths, files.values(), hashes, strict=True):
        # What is remembered may itself be damaged: only what is read condemns a file.
        if known != wanted and files_hash([path]) != wanted:
            raise ModelError(f'{path} is damaged: it is not what was written; {remedy}')


def read_embeddings(path: Path, text: TextConfig) -> NDArray[np.floating[Any]]:
    """Map the decoder's embeddings [vocab, hidden]; raises ModelError if they are not such."""
    try:
        table = np.lib.format.open_memmap(path, mode='r')
    except (ValueError, OSError, EOFError) as error:
        raise ModelError(f'{path} cannot be read: {error}') from error
    if table.dtype not in (np.float16, np.float32):
        raise ModelError(f'{path} holds {table.dtype}; embeddings are fp16 or fp32')
    found, wanted = list(table.shape), [text.vocab_size, text.hidden_size]
    if found != wanted:
        raise ModelError(f'{path} gives {found}, but config.json asks for {wanted}')
    return table


def check_source(export: Path, manifest: Manifest, checkpoint: Path) -> None:
    """
    Raise ModelError if an export is of another model than the checkpoint it lies beside.

    What is not in an adapter's folder is its base's.
    """
    base = adapter_base(checkpoint) or checkpoint
    sources = []
    for name in (Path(name).name for name in manifest.weight_files):
        file = next((at / name for at in (checkpoint, base) if (at / name).is_file()), None)
        if file is None:
            raise ModelError(
                f'{export} cannot be held to the weights that it is of: {name} is not in {base}; '
                f'export anew, use the engine torch, or give {export} itself as the model'
            )
        sources.append(file)
    if remembered_hashes([sources]) != [manifest.weights_hash]:
        raise ModelError(
            f'{export} is not of the weights in {checkpoint}: export them anew, or use the engine '
            'torch'
        )
    # That of other layouts is not in these words.
    settings = checkpoint if (checkpoint / CONFIG_FILE).is_file() else base
    if has_own_config(settings) and read_config(settings) != read_config(export):
        raise ModelError(
            f'{export} was made with another {CONFIG_FILE} than that in {settings}: export it '
            'anew, or use the engine torch'
        )


def write_manifest(
    folder: Path, name: str, weight_files: Sequence[Path], engine: str, precision: str
) -> None:
    """Write the manifest of a folder that is whole but for it."""
    manifest = Manifest.model_validate(
        {
            'name': name,
            'weights_hash': files_hash(weight_files),
            'weight_files': [path.name for path in weight_files],
            'engine': engine,
            'precision': precision,
            'files': {
                name: files_hash([folder / name]) for name in sorted(files_of(engine, precision))
            },
        }
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + '\n')
