"""The model that a training starts from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tokenizers import Tokenizer

from ros2_llava_phi.assistant.load import find_model
from ros2_llava_phi.files.hashing import remembered_hashes
from ros2_llava_phi.model.assemble import assemble
from ros2_llava_phi.model.checkpoint import open_checkpoint
from ros2_llava_phi.model.config import ModelConfig, errors_that_name
from ros2_llava_phi.model.layout import Layout
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE, load_tokenizer

from .recipe import Start


@dataclass(frozen=True)
class Origin:
    """
    A model, opened but not read.

    name: for people. folder: where it is. weights_hash: the SHA-256 of its weights.
    read: builds the network anew, each tensor in the precision that it is stored in.
    """

    name: str
    folder: Path
    config: ModelConfig
    layout: Layout
    tokenizer: Tokenizer
    weights_hash: str
    read: Callable[[], LlavaPhi]


def open_start(start: Start, seed: int) -> Origin:
    """Open a model, or assemble one with a projector drawn by the seed; raises ModelError."""
    if start.clip is not None and start.phi is not None:
        checkpoint = assemble(start.clip, start.phi, seed, start.pool or 1)
        name = f'{start.clip.name} and {start.phi.name}'
    else:
        folder = find_model(start.checkpoint or '')
        checkpoint = open_checkpoint(folder, start.base, start.vision_tower)
        name = folder.name
        if start.pool is not None:
            settings = {**checkpoint.config.model_dump(), 'pool': start.pool}
            with errors_that_name(str(folder)):
                checkpoint = replace(checkpoint, config=ModelConfig.model_validate(settings))
    checkpoint.check()
    (weights_hash,) = remembered_hashes([checkpoint.files])
    return Origin(
        name,
        checkpoint.folder,
        checkpoint.config,
        checkpoint.layout,
        load_tokenizer(checkpoint.tokenizer_folder, checkpoint.config.text.vocab_size),
        weights_hash,
        lambda: checkpoint.read(None),
    )


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write a tokenizer into a model folder."""
    tokenizer.save(str(folder / TOKENIZER_FILE))
