"""Transformers in bf16, called step by step: without generate(), which costs it time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import DynamicCache, LlavaForConditionalGeneration, PreTrainedConfig

from ros2_llava_phi.engine.engine import Floats
from ros2_llava_phi.model.checkpoint import open_checkpoint

from .contender import read_table


class Cache:
    """Transformers' own cache, of which the end can be cut off."""

    capacity = 2048

    def __init__(self, config: PreTrainedConfig) -> None:
        """Begin with no tokens."""
        self.own = DynamicCache(config=config)

    @property
    def length(self) -> int:
        """Return how many tokens it holds."""
        return int(self.own.get_seq_length())

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self.own.crop(length - self.length)


class TransformersEngine:
    """Engine on transformers."""

    name, precision, device = 'transformers', 'bf16', 'cpu'

    def __init__(self, checkpoint: Path) -> None:
        """Load a checkpoint."""
        self.config = open_checkpoint(checkpoint).config
        self._table = read_table(checkpoint)
        self._model = LlavaForConditionalGeneration.from_pretrained(
            checkpoint, dtype=torch.bfloat16
        ).eval()

    @torch.inference_mode()
    def encode(self, pixels: Floats) -> Floats:
        """See Engine."""
        picture = torch.from_numpy(pixels)[None].bfloat16()
        output = self._model.get_image_features(pixel_values=picture, return_dict=True)
        embeddings: Floats = output.pooler_output[0].float().numpy()
        return embeddings

    def embed(self, tokens: Sequence[int]) -> Floats:
        """See Engine."""
        return self._table[list(tokens)].astype(np.float32)

    def new_cache(self) -> Cache:
        """See Engine."""
        return Cache(self._model.config.get_text_config())

    @torch.inference_mode()
    def prefill(self, embeddings: Floats, cache: Cache) -> Floats:
        """See Engine."""
        output = self._model(
            inputs_embeds=torch.from_numpy(embeddings)[None].bfloat16(),
            past_key_values=cache.own,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Floats = output.logits[0, -1].float().numpy()
        return logits

    def decode(self, token: int, cache: Cache) -> Floats:
        """See Engine."""
        return self.prefill(self.embed([token]), cache)


def write(checkpoint: Path, out: Path, precision: str) -> None:
    """See Library: the checkpoint is in transformers' layout already."""


def load(checkpoint: Path, folder: Path, precision: str) -> TransformersEngine:
    """See Library."""
    return TransformersEngine(checkpoint)


def streamed(checkpoint: Path, folder: Path, precision: str) -> int:
    """See Library."""
    found = open_checkpoint(checkpoint)
    place = found.layout.name_of
    shapes = {name: stored.shape for name, stored in found.tensors.items()}
    text, head = place('decoder.layers.0.fc1.weight'), place('decoder.lm_head.weight')
    before = text.partition('layers.')[0] + 'layers.'
    read = [shape for name, shape in shapes.items() if name.startswith(before) or name == head]
    return sum(2 * int(np.prod(shape)) for shape in read)
