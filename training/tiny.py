"""
Make `llava-phi-tiny` from nothing: scenes, tokenizer, four stages of training, scores, model card.

    tower     the vision tower alone predicts what each patch shows
    align     projector and decoder learn to caption; the tower is frozen
    instruct  projector and decoder learn to answer questions; the tower is frozen
    finetune  everything learns to answer questions

LLaVA-Phi starts from a finished CLIP and a finished Phi-2; here both start from random weights,
so the tower gets a stage of its own and the decoder learns along with the projector. Run again
after an interruption, it goes on where it was.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import typer
from rich.console import Console
from tokenizers import Tokenizer
from torch import Tensor, nn

from ros2_llava_phi.assistant.load import load_assistant
from ros2_llava_phi.assistant.request import request_text
from ros2_llava_phi.model.checkpoint import save_network
from ros2_llava_phi.model.config import ModelConfig, TextConfig, VisionConfig, write_config
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.prompt import (
    BEFORE_PICTURE,
    TOKENIZER_FILE,
    after_picture,
    answer_text,
    encode,
)

from .evaluate import calibrate, evaluate, print_scores
from .loop import Stage, run_stage
from .model_card import SCORES_FILE, write_card
from .packing import Batch, Branch, answer_loss, pack
from .scene_shards import SceneShards, batch_rows, draw, make_shards, question_of
from .scenes import ATTRIBUTES, CANNOT_TELL
from .tokenizer import train_tokenizer
from .tower import PatchReader, patch_loss, rare_weights

SEED = 1
TRAINING_SCENES = 23_500
TOKENIZER_SCENES = 1_500
QUESTIONS_PER_PICTURE = 10
CALIBRATION_SCENES = 300
EVALUATION_SCENES = 800

CONFIG = ModelConfig(
    vision=VisionConfig(
        image_size=144, patch_size=12, hidden_size=192, intermediate_size=768, layers=5, heads=3
    ),
    text=TextConfig(
        vocab_size=768,
        hidden_size=192,
        intermediate_size=768,
        layers=5,
        heads=3,
        rotary_dim=32,
        context_length=512,
        eos_token_id=0,
    ),
    abstain_text=CANNOT_TELL,
)

TOWER = Stage('tower', 900, 64, {'vision_tower': 1.5e-3, 'head': 1.5e-3})
ALIGN = Stage('align', 500, 32, {'projector': 1e-3, 'decoder': 1e-3})
INSTRUCT = Stage('instruct', 1500, 32, {'projector': 1e-3, 'decoder': 1e-3})
FINETUNE = Stage('finetune', 500, 32, {'vision_tower': 1e-4, 'projector': 3e-4, 'decoder': 3e-4})


def make_tiny(work: Path, out: Path) -> None:
    """
    Train the model with its work files below `work`, and write the model folder `out`.

    Takes about an hour and a half on two cores.
    """
    torch.manual_seed(SEED)
    tokenizer = _tokenizer(work)
    paths = make_shards(
        work / 'scenes',
        TRAINING_SCENES,
        SEED,
        CONFIG.vision.image_size,
        CONFIG.vision.grid,
        tokenizer,
    )
    shards = SceneShards(paths)
    network = LlavaPhi(CONFIG)
    initialise(network)
    _train_tower(network, shards, work)
    before_picture = encode(tokenizer, BEFORE_PICTURE)

    def loss_of(batch: Batch) -> Tensor:
        return answer_loss(network, before_picture, batch)

    run_stage(ALIGN, network, _batches(shards, ALIGN, _captions(shards)), loss_of, work)
    for stage in (INSTRUCT, FINETUNE):
        run_stage(stage, network, _batches(shards, stage, _questions(shards)), loss_of, work)
    save_network(network, out, torch.float16)
    tokenizer.save(str(out / TOKENIZER_FILE))
    temperature = calibrate(load_assistant(str(out)), CALIBRATION_SCENES)
    write_config(CONFIG.model_copy(update={'temperature': temperature}), out)
    scores = evaluate(load_assistant(str(out)), EVALUATION_SCENES)
    print_scores(scores, Console())
    (out / SCORES_FILE).write_text(scores.model_dump_json(indent=2) + '\n')
    write_card(out, scores)


def initialise(network: nn.Module) -> None:
    """Draw a small network's weights: linear layers and embeddings with the width's deviation."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.7 * module.in_features**-0.5)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)


def _tokenizer(work: Path) -> Tokenizer:
    path = work / TOKENIZER_FILE
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        train_tokenizer(_texts(), CONFIG.text.vocab_size).save(str(path))
    tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _texts() -> Iterator[str]:
    for index in range(TOKENIZER_SCENES):
        drawn = draw(SEED, index, 'train', CONFIG.vision.grid)
        yield answer_text(drawn.caption)
        for example in drawn.examples:
            request = request_text(question_of(example))
            yield after_picture(request) + answer_text(example.answer)


def _train_tower(network: LlavaPhi, shards: SceneShards, work: Path) -> None:
    reader = PatchReader(network.vision_tower, len(ATTRIBUTES))
    weights = rare_weights(shards.targets(np.arange(2000)))

    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in batch_rows(len(shards), TOWER.batch_size, SEED, start):
            yield shards.pixels(rows), shards.targets(rows)

    def loss_of(batch: tuple[Tensor, Tensor]) -> Tensor:
        return patch_loss(reader, *batch, weights)

    run_stage(TOWER, reader, batches, loss_of, work)


Draw = Callable[[int, np.random.Generator], list[Branch]]


def _captions(shards: SceneShards) -> Draw:
    return lambda row, rng: [shards.caption(row)]


def _questions(shards: SceneShards) -> Draw:
    return lambda row, rng: shards.questions(row, QUESTIONS_PER_PICTURE, rng)


def _batches(shards: SceneShards, stage: Stage, asked: Draw) -> Callable[[int], Iterator[Batch]]:
    def batches(start: int) -> Iterator[Batch]:
        rows_of = batch_rows(len(shards), stage.batch_size, SEED, start)
        for step, rows in enumerate(rows_of, start):
            rng = np.random.default_rng([SEED, step])
            yield pack(shards.pixels(rows), [asked(int(row), rng) for row in rows])

    return batches


def main(work: Path = Path('build/tiny'), out: Path = Path('build/tiny/llava-phi-tiny')) -> None:
    """Regenerate the data and train the small model from scratch, or go on where it stopped."""
    make_tiny(work, out)


if __name__ == '__main__':
    typer.run(main)
