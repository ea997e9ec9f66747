"""A folder with TensorRT's plans: what they were built of and for, and whether they are whole."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.hashing import files_hash
from ros2_llava_phi.files.settings import read_json
from ros2_llava_phi.model.config import CONFIG_FILE
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE

from .exported import EMBEDDINGS, Manifest
from .golden import GOLDEN

PLAN_MANIFEST = 'plans.json'
VISION_PLAN, DECODER_PLAN = 'vision.plan', 'decoder.plan'
FILES = {VISION_PLAN, DECODER_PLAN, EMBEDDINGS, GOLDEN, TOKENIZER_FILE, CONFIG_FILE}


class PlanManifest(BaseModel):
    """
    What plans say of themselves.

    export: the manifest of the graphs that they were built of.
    library: TensorRT's module and version. gpu: what they were built for.
    native: whether the decoder is built of TensorRT's own layers for attention and cache.
    files: SHA-256 of every other file of the folder, by name.
    """

    model_config = ConfigDict(frozen=True, extra='forbid')

    format: Literal[1] = 1
    export: Manifest
    library: str
    gpu: str
    native: bool
    files: dict[str, str]

    @field_validator('files')
    @classmethod
    def _all_are_listed(cls, files: dict[str, str]) -> dict[str, str]:
        if set(files) != FILES:
            different = ', '.join(sorted(FILES ^ set(files)))
            raise ValueError(f'it must list {len(FILES)} files; different: {different}')
        return files


def write_plan_manifest(
    folder: Path, export: Manifest, library: str, gpu: str, native: bool
) -> None:
    """Write the manifest of a folder of plans that is whole but for it."""
    manifest = PlanManifest(
        export=export,
        library=library,
        gpu=gpu,
        native=native,
        files={name: files_hash([folder / name]) for name in sorted(FILES)},
    )
    (folder / PLAN_MANIFEST).write_text(manifest.model_dump_json(indent=2) + '\n')


def holds_plans(folder: Path) -> bool:
    """Return whether a folder holds plans."""
    return (folder / PLAN_MANIFEST).is_file()


def read_plan_manifest(folder: Path) -> PlanManifest:
    """Read the manifest of a folder of plans; raises ModelError naming file and field."""
    return read_json(folder / PLAN_MANIFEST, PlanManifest, ModelError)


def mismatch(manifest: PlanManifest, library: str, gpu: str) -> str:
    """Return why plans cannot run with a TensorRT (library_name) on a GPU (gpu_name), or ''."""
    if manifest.library != library:
        return f'holds plans of {manifest.library}, but {library} is installed'
    if manifest.gpu != gpu and manifest.gpu != gpu.split()[-1]:
        return f'holds plans for {manifest.gpu}, but the GPU is {gpu}'
    return ''
