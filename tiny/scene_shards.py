"""
The training set of the small model: generated scenes, rendered once and kept as shards on disk.

Scene i is drawn with a random generator seeded by (seed, i), so that any part can be made again
and nothing depends on how many processes made it.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tqdm import tqdm

from ros2_llava_phi.assistant.answer import CANNOT_TELL
from ros2_llava_phi.assistant.question import Question, kind_named, request_text
from ros2_llava_phi.model.config import ModelConfig, VisionConfig
from ros2_llava_phi.model.image import preprocess
from ros2_llava_phi.model.prompt import after_picture, answer_text
from ros2_llava_phi.model.tokenizer import encode
from ros2_llava_phi.training.packing import Branch

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
from .tokenizer import end_token

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
    return Question(example.question, kind_named(example.kind), example.choices)


def branch_of(tokenizer: Tokenizer, request: str, answer: str) -> Branch:
    """Return the tokens of a request, and of the answer that the model should give."""
    asked = encode(tokenizer, after_picture(request)) if request else encode(tokenizer, '\n')
    return Branch(
        [*asked, *encode(tokenizer, answer_text(answer)), end_token(tokenizer)], len(asked)
    )


class SceneShards:
    """A training set in memory: pictures, patch targets, captions and questions."""

    def __init__(self, paths: Sequence[Path], device: torch.device) -> None:
        """Read shards; all of them are kept in memory. Tensors are handed out on the device."""
        self._device = device
        shards = [np.load(path, allow_pickle=False) for path in paths]
        self._pictures = np.concatenate([shard['pictures'] for shard in shards])
        self._targets = np.concatenate([shard['targets'] for shard in shards])
        self._tokens = [shard['tokens'] for shard in shards]
        self._branches = np.concatenate(
            [_with_shard(shard['branches'], number) for number, shard in enumerate(shards)]
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

    def caption(self, row: int) -> Branch:
        """Return a scene's caption."""
        return self._branch(row, 0)

    def questions(self, row: int, count: int, rng: np.random.Generator) -> list[Branch]:
        """Return `count` of a scene's questions, drawn at random."""
        present = int((self._branches[row, 1:, 2] > 0).sum())
        drawn = rng.permutation(present)[:count] + 1
        return [self._branch(row, int(number)) for number in drawn]

    def _branch(self, row: int, number: int) -> Branch:
        shard, start, length, answer = self._branches[row, number].tolist()
        return Branch(self._tokens[shard][start : start + length].tolist(), answer)


def make_shards(
    folder: Path,
    scenes: int,
    seed: int,
    side: int,
    grid: int,
    tokenizer: Tokenizer,
    scenes_per_shard: int,
) -> list[Path]:
    """
    Draw `scenes` scenes into shards below a folder; those that are there are kept.

    side: of the square picture in pixels, cut into grid x grid patches.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f'{n:04}.npz' for n in range(-(-scenes // scenes_per_shard))]
    missing = [path for path in paths if not path.exists()]
    make = partial(
        _make_shard,
        scenes=scenes_per_shard,
        seed=seed,
        side=side,
        grid=grid,
        tokenizer_json=tokenizer.to_str(),
    )
    with ProcessPoolExecutor() as pool:
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
    path: Path, scenes: int, seed: int, side: int, grid: int, tokenizer_json: str
) -> None:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.encode_special_tokens = True
    config = ModelConfig(vision=VisionConfig(image_size=side, patch_size=side // grid))
    first = int(path.stem) * scenes
    pictures, targets = [], []
    tokens: list[int] = []
    branches = np.zeros((scenes, 1 + QUESTIONS_PER_SCENE, 3), np.int32)
    for row in range(scenes):
        drawn = draw(seed, first + row, 'train', grid)
        pixels = preprocess(drawn.picture, config)
        levels = (pixels * STD[:, None, None] + MEAN[:, None, None]) * 255
        pictures.append(levels.round().clip(0, 255).astype(np.uint8))
        targets.append(drawn.targets)
        wanted = [('', drawn.caption)]
        wanted += [(request_text(question_of(e)), e.answer) for e in drawn.examples]
        for number, (request, answer) in enumerate(wanted):
            branch = branch_of(tokenizer, request, answer)
            branches[row, number] = len(tokens), len(branch.tokens), branch.answer
            tokens.extend(branch.tokens)
    partial_path = path.with_suffix('.partial.npz')
    np.savez(
        partial_path,
        pictures=np.stack(pictures),
        targets=np.stack(targets),
        tokens=np.array(tokens, np.int32),
        branches=branches,
    )
    partial_path.replace(path)


def _with_shard(branches: NDArray[np.int32], shard: int) -> NDArray[np.int32]:
    """Put the shard's number in front of start, length and answer."""
    return np.concatenate([np.full((*branches.shape[:2], 1), shard, np.int32), branches], axis=2)
