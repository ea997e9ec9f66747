"""
The training set of the small model: generated scenes, rendered once and kept as shards on disk.

Scene i is drawn with a random generator seeded by (seed, i), so that any part can be made again
and nothing depends on how many processes made it.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tqdm import tqdm

from ros2_llava_phi.assistant.answer import CANNOT_TELL
from ros2_llava_phi.assistant.question import Question, parse_kind, request_text
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.model.config import ModelConfig, VisionConfig
from ros2_llava_phi.model.image import preprocess
from ros2_llava_phi.model.prompt import BEFORE_PICTURE, Mark, after_picture, answer_text
from ros2_llava_phi.training.labels import LabelledTokens, Spoken, label_spoken

from .scenes import (
    DOMAINS,
    Example,
    blank_questions,
    blank_targets,
    blank_view,
    caption,
    patch_targets,
    questions,
    sample_view,
)

QUESTIONS_PER_SCENE = 24
BLANK_SHARE = 0.05
MEAN = np.array(VisionConfig().mean, np.float32)
STD = np.array(VisionConfig().std, np.float32)


@dataclass(frozen=True)
class Drawn:
    """One scene as a person would see it: picture, patch targets, caption, questions."""

    picture: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    caption: str
    examples: list[Example]


def draw(seed: int, index: int, split: str, grid: int) -> Drawn:
    """Draw scene `index`; its questions and caption are worded as in 'train' or 'heldout'."""
    rng = np.random.default_rng([seed, index])
    if rng.random() < BLANK_SHARE:
        picture = blank_view(rng)
        examples = blank_questions(rng, split, QUESTIONS_PER_SCENE)
        return Drawn(picture, blank_targets(grid), CANNOT_TELL, examples)
    scene, rendering = sample_view(rng, DOMAINS[index % len(DOMAINS)])
    return Drawn(
        rendering.image,
        patch_targets(scene, rendering, grid),
        caption(scene, rng, split),
        questions(scene, rng, split, QUESTIONS_PER_SCENE),
    )


def question_of(example: Example) -> Question:
    """Return a generated question in the form in which the assistant is asked."""
    return Question(example.question, parse_kind(example.kind), example.choices)


def label_scene(
    request: str, answer: str, tokenizer: Tokenizer, config: ModelConfig
) -> LabelledTokens:
    """Label the answer to a request about a picture, or a caption, to which none leads."""
    spoken = [
        Spoken(BEFORE_PICTURE),
        Spoken(Mark.PICTURE),
        Spoken(after_picture(request) if request else '\n'),
        Spoken(answer_text(answer), learned=True),
        Spoken(Mark.END, learned=True),
    ]
    return label_spoken(spoken, tokenizer, config)


class SceneShards:
    """A training set in memory: pictures, patch targets, captions and questions."""

    def __init__(self, paths: Sequence[Path], device: torch.device) -> None:
        """Read shards; all of them are kept in memory. Tensors are handed out on the device."""
        self._device = device
        shards = [np.load(path, allow_pickle=False) for path in paths]
        self._pictures = np.concatenate([shard['pictures'] for shard in shards])
        self._targets = np.concatenate([shard['targets'] for shard in shards])
        self._tokens = [shard['tokens'] for shard in shards]
        self._texts = np.concatenate(
            [_with_shard(shard['texts'], number) for number, shard in enumerate(shards)]
        )
        self._mean = torch.from_numpy(MEAN[:, None, None]).to(device)
        self._std = torch.from_numpy(STD[:, None, None]).to(device)

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self._pictures)

    def pixels(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return normalised pictures, float32 [rows, 3, side, side]."""
        pictures = torch.from_numpy(self._pictures[rows]).to(self._device)
        return (pictures.float() / 255 - self._mean) / self._std

    def targets(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return what the patches show, float32 [rows, patches, attributes]."""
        return torch.from_numpy(self._targets[rows]).to(self._device).float()

    def caption(self, row: int) -> LabelledTokens:
        """Return a scene's caption."""
        return self._labelled(row, 0)

    def questions(self, row: int, count: int, rng: np.random.Generator) -> list[LabelledTokens]:
        """Return `count` of a scene's questions, drawn at random."""
        present = int((self._texts[row, 1:, 2] > 0).sum())
        drawn = rng.permutation(present)[:count] + 1
        return [self._labelled(row, int(number)) for number in drawn]

    def _labelled(self, row: int, number: int) -> LabelledTokens:
        shard, start, length, answer = self._texts[row, number].tolist()
        tokens = self._tokens[shard][start : start + length]
        return LabelledTokens(tokens, np.arange(length) >= answer, self._targets.shape[1])


def make_shards(
    folder: Path,
    scenes: int,
    seed: int,
    config: ModelConfig,
    tokenizer: Tokenizer,
    scenes_per_shard: int,
) -> list[Path]:
    """Draw `scenes` scenes for a model into shards below a folder; those there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f'{n:04}.npz' for n in range(-(-scenes // scenes_per_shard))]
    missing = [path for path in paths if not path.exists()]
    make = partial(
        _make_shard,
        scenes=scenes_per_shard,
        seed=seed,
        config=config,
        tokenizer_json=tokenizer.to_str(),
    )
    # A forked child would hang on a lock that a thread of its parent held.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn')) as pool:
        progress = tqdm(pool.map(make, missing), 'scenes', len(missing), unit='shard')
        for _ in progress:
            pass
    return paths


def batch_rows(scenes: int, batch_size: int, seed: int, start: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each batch from step `start` on: epochs, each in an order of its own."""
    per_epoch = scenes // batch_size
    step = start
    while True:
        order = np.random.default_rng([seed, step // per_epoch]).permutation(scenes)
        for number in range(step % per_epoch, per_epoch):
            yield order[number * batch_size : (number + 1) * batch_size]
            step += 1


def _make_shard(
    path: Path, scenes: int, seed: int, config: ModelConfig, tokenizer_json: str
) -> None:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.encode_special_tokens = True
    first = int(path.stem) * scenes
    pictures, targets = [], []
    tokens: list[int] = []
    # Where each scene's caption and questions begin, their lengths, and those up to the answer.
    texts = np.zeros((scenes, 1 + QUESTIONS_PER_SCENE, 3), np.int32)
    for row in range(scenes):
        drawn = draw(seed, first + row, 'train', config.vision.grid)
        pixels = preprocess(drawn.picture, config)
        levels = (pixels * STD[:, None, None] + MEAN[:, None, None]) * 255
        pictures.append(levels.round().clip(0, 255).astype(np.uint8))
        targets.append(drawn.targets)
        wanted = [('', drawn.caption)]
        wanted += [(request_text(question_of(e)), e.answer) for e in drawn.examples]
        for number, (request, answer) in enumerate(wanted):
            text = label_scene(request, answer, tokenizer, config)
            length = len(text.tokens)
            texts[row, number] = len(tokens), length, length - text.targets
            tokens.extend(text.tokens.tolist())
    shard = BytesIO()
    np.savez(
        shard,
        pictures=np.stack(pictures),
        targets=np.stack(targets),
        tokens=np.array(tokens, np.int32),
        texts=texts,
    )
    write_atomically(path, shard.getvalue())


def _with_shard(texts: NDArray[np.int32], shard: int) -> NDArray[np.int32]:
    """Put the shard's number in front of start, length and answer."""
    return np.concatenate([np.full((*texts.shape[:2], 1), shard, np.int32), texts], axis=2)
