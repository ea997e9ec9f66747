"""
What the vision encoder's size is worth, which LLaVA-Phi's paper leaves open, on generated scenes.

    python benchmarks/encoder_size.py [--work build/encoder_size]

Three encoders, which differ as CLIP's B/32, B/16 and L/14 do, learn for the same number of steps
what patches show. Each is then joined to llava-phi-tiny's decoder by a recipe in which only the
line `start.clip` differs, and the three models are asked about held-out scenes. Writes
docs/encoder_size.md and its plot.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from encoder_report import Marks, Measured, Scale, write_report
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.load import find_model, load
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.files.settings import Settings
from ros2_llava_phi.model.checkpoint import load_network
from ros2_llava_phi.model.config import CONFIG_FILE, VisionConfig
from ros2_llava_phi.model.layout import OWN, Layout
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.published_config import to_hf
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE, load_tokenizer
from ros2_llava_phi.training.recipe import read_recipe
from ros2_llava_phi.training.run import train
from tiny.evaluate import HELD_OUT_SEED
from tiny.loop import run_phase
from tiny.losses import patch_loss, rare_weights
from tiny.make import TOWER
from tiny.network import Pupil, initialise
from tiny.scene_files import Sort, write_scenes
from tiny.scene_shards import SceneShards, batch_rows, make_shards, question_of
from tiny.scenes import ATTRIBUTES, DOMAINS, Example, questions, sample_view

MODEL = 'llava-phi-tiny'
DOCS = Path(__file__).resolve().parent.parent / 'docs'
SEED = 51
RATE = 1e-3
QUESTIONS_PER_PICTURE = 12
LOOKS = 50  # that are timed

SMALL: dict[str, Any] = {'hidden_size': 128, 'intermediate_size': 512, 'layers': 4, 'heads': 2}
LARGE: dict[str, Any] = {'hidden_size': 192, 'intermediate_size': 768, 'layers': 5, 'heads': 3}
ENCODERS = {
    'S/36': VisionConfig(image_size=144, patch_size=36, **SMALL),
    'S/18': VisionConfig(image_size=144, patch_size=18, **SMALL),
    'L/12': VisionConfig(image_size=144, patch_size=12, **LARGE),
}
Exam = list[tuple[NDArray[np.uint8], list[Example]]]

# Where transformers' CLIPVisionModel and PhiForCausalLM have their tensors.
PARTS = Layout('vision_model.', OWN.projector, 'model.', 'lm_head.')


def write_clip(network: LlavaPhi, folder: Path) -> None:
    """Write a network's vision tower as transformers writes a CLIPVisionModel."""
    _write_part(network, 'vision_tower.', to_hf(network.config, 0, 0)['vision_config'], folder)


def write_phi(network: LlavaPhi, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a network's decoder as transformers writes a PhiForCausalLM, with its tokenizer."""
    _write_part(network, 'decoder.', to_hf(network.config, 0, 0)['text_config'], folder)
    tokenizer.save(str(folder / TOKENIZER_FILE))


def _write_part(network: LlavaPhi, part: str, settings: Settings, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(json.dumps(settings, indent=2) + '\n')
    state = network.state_dict().items()
    tensors = {PARTS.name_of(name): tensor for name, tensor in state if name.startswith(part)}
    save_file(tensors, folder / 'model.safetensors', {'format': 'pt'})


def learn_to_see(network: LlavaPhi, tokenizer: Tokenizer, scale: Scale, work: Path) -> None:
    """Draw a network's weights, and train its tower as the first phase of `make tiny` does."""
    torch.manual_seed(SEED)
    initialise(network)
    halves = -(-scale.scenes // 2)
    paths = make_shards(work / 'scenes', scale.scenes, SEED, network.config, tokenizer, halves)
    shards = SceneShards(paths, torch.device('cpu'))
    pupil = Pupil(network, len(ATTRIBUTES))
    weights = rare_weights(shards.targets(np.arange(len(shards))))

    def loss(rows: NDArray[np.int64]) -> Tensor:
        features = pupil.vision_tower(shards.pixels(rows))
        return patch_loss(pupil.head(features), shards.targets(rows), weights)

    phase = replace(TOWER, steps=scale.tower_steps, batch_size=scale.tower_pictures)
    batches = partial(batch_rows, len(shards), phase.batch_size, SEED)
    run_phase(phase, pupil, batches, loss, work)


def recipe_of(clip: Path, phi: Path, data: Path, scale: Scale, out: Path) -> dict[str, Any]:
    """Return the recipe by which projector and decoder learn."""
    part = {'how': 'full', 'learning_rate': RATE}
    return {
        'start': {'clip': str(clip), 'phi': str(phi)},
        'stage': 'instruct',
        'learns': {'projector': part, 'decoder': part},
        'data': [{'name': 'scenes', 'path': str(data)}],
        'validation': 0.0,
        'batch_size': scale.pictures * QUESTIONS_PER_PICTURE,
        'questions_per_picture': QUESTIONS_PER_PICTURE,
        'steps': scale.steps,
        'out': str(out),
    }


def draw_exam(scenes: int) -> Exam:
    """Return held-out pictures, and the questions about each in wordings that no training used."""
    exam = []
    for index in range(scenes):
        rng = np.random.default_rng([HELD_OUT_SEED, index])
        scene, rendering = sample_view(rng, DOMAINS[index % len(DOMAINS)])
        found = questions(scene, rng, 'heldout', QUESTIONS_PER_PICTURE)
        exam.append((rendering.image, [each for each in found if each.topic != 'describe']))
    return exam


def with_others_pictures(exam: Exam) -> Exam:
    """Return the questions, each about the picture of another scene of its kind."""
    ahead = len(DOMAINS)
    pictures = [picture for picture, _ in exam]
    asked = [examples for _, examples in exam]
    return list(zip(pictures[ahead:] + pictures[:ahead], asked, strict=True))


def ask(assistant: Assistant, exam: Exam) -> Marks:
    """Return, by topic, which questions a model answers truly."""
    right: Marks = {}
    for picture, examples in tqdm(exam, 'held-out scenes', mininterval=5):
        view = assistant.look(Frame(picture))
        for example in examples:
            answer = assistant.ask(view, question_of(example))
            right.setdefault(example.topic, []).append(answer.text == example.answer)
    return right


def time_encoders(networks: Sequence[LlavaPhi]) -> list[float]:
    """Return each one's milliseconds to encode a picture, projector included; they take turns."""
    engines = [TorchEngine(network) for network in networks]
    seconds: list[list[float]] = [[] for _ in engines]
    for _ in range(LOOKS):
        for engine, times in zip(engines, seconds, strict=True):
            pixels = np.zeros((3, *[engine.config.vision.image_size] * 2), np.float32)
            start = time.perf_counter()
            engine.encode(pixels)
            times.append(time.perf_counter() - start)
    return [1000 * median(times) for times in seconds]


def measure(folders: dict[str, Path], exam: Exam) -> list[Measured]:
    """Time the models' encoders, and ask each model, with the right pictures and with others."""
    networks = [load_network(folder) for folder in folders.values()]
    assistants = [load(str(folder), 'torch') for folder in folders.values()]
    return [
        Measured(
            name=name,
            encoder=network.config.vision,
            parameters=sum(each.numel() for each in network.vision_tower.parameters()),
            milliseconds=milliseconds,
            right=ask(assistant, exam),
            misled=ask(assistant, with_others_pictures(exam)),
        )
        for name, network, assistant, milliseconds in zip(
            folders, networks, assistants, time_encoders(networks), strict=True
        )
    ]


def compare(scale: Scale, work: Path) -> list[Measured]:
    """Train with each encoder, and measure; what an earlier call finished is kept."""
    work = work.resolve()
    exam = draw_exam(scale.held_out)
    start = load_network(find_model(MODEL))
    tokenizer = load_tokenizer(find_model(MODEL), start.config.text.vocab_size)
    phi = work / 'phi'
    write_phi(start, tokenizer, phi)
    data = write_scenes(work / 'data', scale.scenes, Sort.KNOWN, SEED, 'train')
    models = {}
    for name, vision in ENCODERS.items():
        folder = work / name.replace('/', '_')
        network = LlavaPhi(start.config.model_copy(update={'vision': vision}))
        learn_to_see(network, tokenizer, scale, folder)
        write_clip(network, folder / 'clip')
        recipe = folder / 'recipe.yaml'
        settings = recipe_of(folder / 'clip', phi, data, scale, folder / 'model')
        recipe.write_text(json.dumps(settings, indent=2))
        train(read_recipe(recipe), Console())
        models[name] = folder / 'model'
    return measure(models, exam)


def main(
    work: Annotated[Path, typer.Option(help='Folder for data and runs.')] = Path(
        'build/encoder_size'
    ),
    docs: Annotated[Path, typer.Option(help='Folder of the report.')] = DOCS,
    scenes: Annotated[int, typer.Option(help='Scenes to learn from.')] = 800,
    tower_steps: Annotated[int, typer.Option(help='Steps of each encoder alone.')] = 120,
    steps: Annotated[int, typer.Option(help='Steps of projector and decoder.')] = 150,
    held_out: Annotated[int, typer.Option(help='Scenes to ask about.')] = 300,
) -> None:
    """Compare three encoders, and write the report: a quarter of an hour on two cores."""
    scale = Scale(scenes, tower_steps, steps, held_out)
    measured = compare(scale, work)
    figures = [each.model_dump() for each in measured]
    (work / 'encoder_size.json').write_text(json.dumps(figures, indent=2) + '\n')
    write_report(measured, scale, docs)
    Console().print(docs / 'encoder_size.md')


if __name__ == '__main__':
    typer.run(main)
