"""The report of `encoder_size.py`: tables and a plot of what came of each encoder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from performance import markdown
from pydantic import BaseModel

from ros2_llava_phi.files.templates import templates_in
from ros2_llava_phi.model.config import VisionConfig

LEAST_ASKED = 50  # questions, for a topic to be shown

Marks = dict[str, list[bool]]


@dataclass(frozen=True)
class Scale:
    """
    How much is done for each encoder.

    scenes: that it learns from, in both trainings. tower_steps: of the encoder alone, of
    tower_pictures each. steps: of projector and decoder, of `pictures` each, with their questions.
    held_out: scenes that are asked about.
    """

    scenes: int
    tower_steps: int
    steps: int
    held_out: int
    tower_pictures: int = 64
    pictures: int = 8


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


def write_report(measured: Sequence[Measured], scale: Scale, folder: Path) -> None:
    """Write encoder_size.md and its plot into a folder."""
    templates = templates_in(Path(__file__).parent)
    asked = sum(len(marks) for marks in measured[0].right.values())
    text = templates.get_template('encoder_size.md.j2').render(
        scale=scale,
        threads=torch.get_num_threads(),
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
