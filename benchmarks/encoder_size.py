"""
What the vision encoder's size is worth, which LLaVA-Phi's paper leaves open, on generated scenes.

    python benchmarks/encoder_size.py [--work build/encoder_size]

Three encoders, which differ as CLIP's B/32, B/16 and L/14 do, learn for the same number of steps
what patches show. Each is then joined to llava-phi-tiny's decoder by a recipe in which only the
line `start.clip` differs, and the three models are asked about held-out scenes. Writes
docs/encoder_size.md and its plot.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray
from performance import markdown
from pydantic import BaseModel
from rich.console import Console
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.load import find_model, load_assistant
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.model.checkpoint import load_network
from ros2_llava_phi.model.config import CONFIG_FILE, Settings, VisionConfig
from ros2_llava_phi.model.layout import OWN, Layout
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.published_config import to_hf
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE, load_tokenizer
from ros2_llava_phi.training.evaluate import HELD_OUT_SEED
from ros2_llava_phi.training.loop import run_stage
from ros2_llava_phi.training.recipe import read_recipe
from ros2_llava_phi.training.run import train
from ros2_llava_phi.training.scene_files import Sort, write_scenes
from ros2_llava_phi.training.scene_shards import SceneShards, batch_rows, make_shards, question_of
from ros2_llava_phi.training.scenes import ATTRIBUTES, DOMAINS, Example, questions, sample_view
from ros2_llava_phi.training.tiny import TOWER, Pupil, initialise
from ros2_llava_phi.training.tower import patch_loss, rare_weights

MODEL = 'llava-phi-tiny'
DOCS = Path(__file__).resolve().parent.parent / 'docs'
SEED = 51
RATE = 1e-3
PICTURES, QUESTIONS_PER_PICTURE = 8, 12  # of a step
LEAST_ASKED = 25  # questions, for a topic to be shown
LOOKS = 50  # that are timed

SMALL = {'hidden_size': 128, 'intermediate_size': 512, 'layers': 4, 'heads': 2}
LARGE = {'hidden_size': 192, 'intermediate_size': 768, 'layers': 5, 'heads': 3}
ENCODERS = {
    'S/36': VisionConfig(image_size=144, patch_size=36, **SMALL),
    'S/18': VisionConfig(image_size=144, patch_size=18, **SMALL),
    'L/12': VisionConfig(image_size=144, patch_size=12, **LARGE),
}
Marks = dict[str, list[bool]]
Exam = list[tuple[NDArray[np.uint8], list[Example]]]

# Where transformers' CLIPVisionModel and PhiForCausalLM have their tensors.
PARTS = Layout('vision_model.', OWN.projector, 'model.', 'lm_head.')


@dataclass(frozen=True)
class Scale:
    """
    How much is done for each encoder.

    scenes: that it learns from, in both trainings. tower_steps: of the encoder alone. steps: of
    projector and decoder. held_out: scenes that are asked about.
    """

    scenes: int
    tower_steps: int
    steps: int
    held_out: int


class Measured(BaseModel):
    """
    What came of an encoder.

    parameters: of the encoder. milliseconds: to encode a picture. right, misled: by topic, which
    questions were answered truly, and which of them with the picture of another scene.
    """

    name: str
    encoder: VisionConfig
    parameters: int
    milliseconds: float
    right: Marks
    misled: Marks


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
    """Draw a network's weights, and train its tower as the first stage of `make tiny` does."""
    torch.manual_seed(SEED)
    initialise(network)
    vision, halves = network.config.vision, -(-scale.scenes // 2)
    paths = make_shards(
        work / 'scenes', scale.scenes, SEED, vision.image_size, vision.grid, tokenizer, halves
    )
    shards = SceneShards(paths, torch.device('cpu'))
    pupil = Pupil(network, len(ATTRIBUTES))
    weights = rare_weights(shards.targets(np.arange(len(shards))))

    def loss(rows: NDArray[np.int64]) -> Tensor:
        features = pupil.vision_tower(shards.pixels(rows))
        return patch_loss(pupil.head(features), shards.targets(rows), weights)

    size = min(TOWER.batch_size, scale.scenes)
    stage = replace(TOWER, steps=scale.tower_steps, batch_size=size)
    run_stage(stage, pupil, partial(batch_rows, len(shards), size, SEED), loss, work)


def recipe_of(clip: Path, phi: Path, data: Path, steps: int, out: Path) -> dict[str, Any]:
    """Return the recipe by which projector and decoder learn."""
    part = {'how': 'full', 'learning_rate': RATE}
    return {
        'start': {'clip': str(clip), 'phi': str(phi)},
        'stage': 'instruct',
        'learns': {'projector': part, 'decoder': part},
        'data': [{'name': 'scenes', 'path': str(data)}],
        'validation': 0.0,
        'batch_size': PICTURES * QUESTIONS_PER_PICTURE,
        'questions_per_picture': QUESTIONS_PER_PICTURE,
        'steps': steps,
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


def time_encoder(network: LlavaPhi) -> float:
    """Return the milliseconds to encode a picture, projector included: the median of many."""
    engine, side = TorchEngine(network), network.config.vision.image_size
    noise = np.random.default_rng(SEED).standard_normal((3, side, side)).astype(np.float32)
    seconds = []
    for _ in range(LOOKS):
        start = time.perf_counter()
        engine.encode(noise)
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds)


def measure(name: str, folder: Path, exam: Exam) -> Measured:
    """Time a model's encoder, and ask the model, with the right pictures and with others."""
    network = load_network(folder)
    assistant = load_assistant(str(folder), 'torch')
    return Measured(
        name=name,
        encoder=network.config.vision,
        parameters=sum(each.numel() for each in network.vision_tower.parameters()),
        milliseconds=time_encoder(network),
        right=ask(assistant, exam),
        misled=ask(assistant, with_others_pictures(exam)),
    )


def compare(scale: Scale, work: Path) -> list[Measured]:
    """Train with each encoder, and measure; what an earlier call finished is kept."""
    work = work.resolve()
    start = load_network(find_model(MODEL))
    tokenizer = load_tokenizer(find_model(MODEL), start.config.text.vocab_size)
    phi = work / 'phi'
    write_phi(start, tokenizer, phi)
    data = write_scenes(work / 'data', scale.scenes, Sort.KNOWN, SEED, 'train')
    exam, measured = draw_exam(scale.held_out), []
    for name, vision in ENCODERS.items():
        folder = work / name.replace('/', '_')
        network = LlavaPhi(start.config.model_copy(update={'vision': vision}))
        learn_to_see(network, tokenizer, scale, folder)
        write_clip(network, folder / 'clip')
        recipe = folder / 'recipe.yaml'
        settings = recipe_of(folder / 'clip', phi, data, scale.steps, folder / 'model')
        recipe.write_text(yaml.safe_dump(settings, sort_keys=False))
        train(read_recipe(recipe), Console())
        measured.append(measure(name, folder / 'model', exam))
    return measured


def share(marks: Marks, topic: str | None = None) -> float:
    """Return the share of true answers in %, of a topic or of all."""
    some = [mark for name, each in marks.items() if topic in (None, name) for mark in each]
    return 100 * sum(some) / len(some)


def topics_of(measured: Sequence[Measured], least: int) -> list[str]:
    """Return the topics of at least so many questions, those asked most in front."""
    asked = {topic: len(marks) for topic, marks in measured[0].right.items()}
    return sorted((each for each in asked if asked[each] >= least), key=lambda each: -asked[each])


def encoder_rows(measured: Sequence[Measured]) -> list[dict[str, str]]:
    """Return the table of the encoders."""
    return [
        {
            'Encoder': each.name,
            'Width x layers': f'{each.encoder.hidden_size} x {each.encoder.layers}',
            'Parameters': f'{each.parameters / 1e6:.2f} M',
            'Tokens a picture': str(each.encoder.patches),
            'Encode [ms]': f'{each.milliseconds:.1f}',
            'Right': f'{share(each.right):.1f}%',
            "Right with another scene's picture": f'{share(each.misled):.1f}%',
        }
        for each in measured
    ]


def topic_rows(measured: Sequence[Measured], least: int) -> list[dict[str, str]]:
    """Return the table of the topics of at least so many questions."""
    return [
        {
            'Topic': topic,
            'Questions': str(len(measured[0].right[topic])),
            **{each.name: f'{share(each.right, topic):.0f}%' for each in measured},
        }
        for topic in topics_of(measured, least)
    ]


def plot(measured: Sequence[Measured], least: int, file: Path) -> None:
    """Draw what share is right, over the time to encode and by topic."""
    topics = topics_of(measured, least)[::-1]
    figure = Figure(figsize=(10, 2 + 0.25 * len(topics)), layout='constrained')
    whole, by_topic = figure.subplots(1, 2)
    for each, marker in zip(measured, 'osD', strict=True):
        whole.plot(each.milliseconds, share(each.right), marker, label=each.name)
        shares = [share(each.right, topic) for topic in topics]
        by_topic.plot(shares, topics, marker, label=each.name, alpha=0.8)
    whole.set(xlabel='to encode a picture [ms]', ylabel='all questions: right [%]')
    whole.margins(0.2)
    whole.legend()
    by_topic.set(xlabel='by topic: right [%]')
    by_topic.grid(axis='y', alpha=0.3)
    for axis in (whole, by_topic):
        axis.spines[['top', 'right']].set_visible(False)
    with rc_context({'svg.hashsalt': 'llava_phi'}):
        figure.savefig(file, metadata={'Date': None})


def chance(asked: int) -> int:
    """Return by how many points two shares of so many questions may differ by chance, at 95%."""
    return math.ceil(196 * math.sqrt(2 * 0.25 / asked))


def write_report(measured: Sequence[Measured], scale: Scale, minutes: float, folder: Path) -> None:
    """Write encoder_size.md and its plot into a folder."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    asked = sum(len(marks) for marks in measured[0].right.values())
    text = templates.get_template('encoder_size.md.j2').render(
        scale=scale,
        minutes=minutes,
        threads=torch.get_num_threads(),
        batch_size=min(TOWER.batch_size, scale.scenes),
        pictures=PICTURES,
        asked=asked,
        least=LEAST_ASKED,
        noise=chance(asked),
        topic_noise=chance(LEAST_ASKED),
        encoders=markdown(encoder_rows(measured)),
        topics=markdown(topic_rows(measured, LEAST_ASKED)),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'encoder_size.md').write_text(text)
    plot(measured, LEAST_ASKED, folder / 'encoder_size.svg')


def main(
    work: Annotated[Path, typer.Option(help='Folder for data and runs.')] = Path(
        'build/encoder_size'
    ),
    docs: Annotated[Path, typer.Option(help='Folder of the report.')] = DOCS,
    scenes: Annotated[int, typer.Option(help='Scenes to learn from.')] = 800,
    tower_steps: Annotated[int, typer.Option(help='Steps of each encoder alone.')] = 120,
    steps: Annotated[int, typer.Option(help='Steps of projector and decoder.')] = 150,
    held_out: Annotated[int, typer.Option(help='Scenes to ask about.')] = 80,
) -> None:
    """Compare three encoders, and write the report; 12 minutes on two cores."""
    scale = Scale(scenes, tower_steps, steps, held_out)
    start = time.perf_counter()
    measured = compare(scale, work)
    minutes = (time.perf_counter() - start) / 60
    write_report(measured, scale, minutes, docs)
    content = {'minutes': minutes, 'measured': [each.model_dump() for each in measured]}
    (work / 'encoder_size.json').write_text(json.dumps(content, indent=2) + '\n')
    Console().print(docs / 'encoder_size.md')


if __name__ == '__main__':
    typer.run(main)
