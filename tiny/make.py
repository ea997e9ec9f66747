"""
Make `llava-phi-tiny` from nothing: scenes, tokenizer, three phases of training, scores, card.

    tower     the vision tower alone predicts what each patch shows
    align     projector and decoder learn to caption, and a common space of patches and words
    instruct  everything learns to answer questions, and goes on with what it learned before

LLaVA-Phi starts from a finished CLIP and a finished Phi-2; here both start from random weights,
so the tower gets a phase of its own and the decoder learns along with the projector. Run again
after an interruption, it goes on where it was.
"""

import shutil
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from tokenizers import Tokenizer
from torch import Tensor

from ros2_llava_phi.assistant.load import EXPORT_FOLDER, load
from ros2_llava_phi.assistant.question import request_text
from ros2_llava_phi.engine.export import export
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.model.checkpoint import open_checkpoint
from ros2_llava_phi.model.config import write_config
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.prompt import after_picture, answer_text
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE
from ros2_llava_phi.model.weights import save_network
from ros2_llava_phi.training.batches import pack
from ros2_llava_phi.training.trainee import answer_loss

from .evaluate import calibrate, evaluate, print_scores
from .loop import Phase, run_phase
from .losses import attribute_words, patch_loss, rare_weights, word_loss
from .model_card import SCORES_FILE, write_card
from .network import CONFIG, TOKENS, Pupil, initialise
from .recording import write_recording
from .scene_shards import SceneShards, batch_rows, draw, make_shards, question_of
from .scenes import ATTRIBUTES
from .tokenizer import train_tokenizer

DATA = Path(str(files('ros2_llava_phi'))) / 'data'
Rows = NDArray[np.int64]

SEED = 1
TRAINING_SCENES = 30_000
SCENES_PER_SHARD = 500
TOKENIZER_SCENES = 1_500
QUESTIONS_PER_PICTURE = 10
CALIBRATION_SCENES = 300
EVALUATION_SCENES = 800
MADE = (
    'Trained from random weights, as `make tiny` does it: the tower on what each patch shows,\n'
    'then projector and decoder on captions, then everything on questions.'
)

TOWER = Phase('tower', 700, 64, {'vision_tower': 3e-3, 'head': 3e-3})
ALIGN = Phase('align', 150, 32, {'projector': 3e-3, 'decoder': 3e-3})
INSTRUCT = Phase(
    'instruct',
    2000,
    32,
    {'vision_tower': 1e-3, 'head': 1e-3, 'projector': 3e-3, 'decoder': 3e-3},
)
# Weight in the loss, beside the captions or answers, of what patches show and of its words.
PATCH_WEIGHT = 4.0


def make_tiny(work: Path, out: Path, recording: Path) -> None:
    """
    Train the model with its work files below `work`, and write the model folder `out`.

    The packaged recording goes to the folder `recording`, its ground truth beside it. All of it
    is meant to take under two hours on two cores.
    """
    torch.manual_seed(SEED)
    write_recording(recording, recording.with_name(f'{recording.name}_ground_truth.json'))
    tokenizer = _tokenizer(work)
    paths = make_shards(
        work / 'scenes',
        TRAINING_SCENES,
        SEED,
        CONFIG,
        tokenizer,
        SCENES_PER_SHARD,
    )
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    network = LlavaPhi(CONFIG)
    initialise(network)
    _train(network.to(device), SceneShards(paths, device), tokenizer, work)
    save_network(network, out, torch.float16)
    tokenizer.save(str(out / TOKENIZER_FILE))
    temperature = calibrate(load(str(out), 'torch'), CALIBRATION_SCENES)
    write_config(CONFIG.model_copy(update={'temperature': temperature}), out)
    finish(out, MADE)


def finish(folder: Path, made: str) -> None:
    """Export a trained model beside its checkpoint, evaluate both, and write scores and card."""
    export_folder = folder / EXPORT_FOLDER
    shutil.rmtree(export_folder, ignore_errors=True)
    export(open_checkpoint(folder), export_folder, folder.name, 'int8')
    scores, exported = (
        evaluate(load(str(folder), engine), EVALUATION_SCENES)
        for engine in ('torch', 'onnxruntime')
    )
    print_scores(scores, Console())
    print_scores(exported, Console())
    (folder / SCORES_FILE).write_text(scores.model_dump_json(indent=2) + '\n')
    write_card(folder, made, scores, exported)


def _tokenizer(work: Path) -> Tokenizer:
    path = work / TOKENIZER_FILE
    if not path.exists():
        write_atomically(path, train_tokenizer(_texts(), TOKENS).to_str(pretty=True))
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


def _train(network: LlavaPhi, shards: SceneShards, tokenizer: Tokenizer, work: Path) -> None:
    """Train a network through all phases; their progress and results are kept below `work`."""
    device = next(network.parameters()).device
    pupil = Pupil(network, len(ATTRIBUTES)).to(device)
    words, fits = (tensor.to(device) for tensor in attribute_words(tokenizer))
    weights = rare_weights(shards.targets(np.arange(min(2000, len(shards)))))

    def grounding(picture: Tensor, targets: Tensor) -> Tensor:
        wanted = (targets @ fits).clamp(max=1)
        return PATCH_WEIGHT * word_loss(picture, pupil.decoder.embed_tokens(words), wanted)

    def tower_loss(rows: Rows) -> Tensor:
        features = pupil.vision_tower(shards.pixels(rows))
        return patch_loss(pupil.head(features), shards.targets(rows), weights)

    def caption_loss(rows: Rows) -> Tensor:
        captions = [[shards.caption(row)] for row in rows.tolist()]
        batch = pack(captions, shards.pixels(rows)).to(device)
        picture = network.encode(batch.pixels)
        loss = answer_loss(pupil.decoder, batch, picture) / batch.targets
        return loss + grounding(picture, shards.targets(rows))

    def instruct_loss(rows: Rows) -> Tensor:
        rng = np.random.default_rng([SEED, *rows.tolist()])
        asked = [shards.questions(row, QUESTIONS_PER_PICTURE, rng) for row in rows.tolist()]
        batch = pack(asked, shards.pixels(rows)).to(device)
        features = pupil.vision_tower(batch.pixels)
        picture = pupil.projector(features)
        answers = answer_loss(pupil.decoder, batch, picture) / batch.targets
        targets = shards.targets(rows)
        patches = patch_loss(pupil.head(features), targets, weights)
        return answers + PATCH_WEIGHT * patches + grounding(picture, targets)

    for phase, loss in ((TOWER, tower_loss), (ALIGN, caption_loss), (INSTRUCT, instruct_loss)):
        batches = partial(batch_rows, len(shards), phase.batch_size, SEED)
        run_phase(phase, pupil, batches, loss, work)


def main(
    work: Path = Path('build/tiny'),
    out: Path = DATA / 'llava-phi-tiny',
    recording: Path = DATA / 'drive',
) -> None:
    """Regenerate the data and train the small model from scratch, or go on where it stopped."""
    make_tiny(work, out, recording)


if __name__ == '__main__':
    typer.run(main)
