"""Ask a model about held-out scenes, as a robot would, and count what it gets right."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from ros2_llava_phi.assistant.answer import CANNOT_TELL, Answer
from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.scoring.calibration import (
    expected_calibration_error,
    fit_temperature,
    reliability,
)

from .scene_shards import question_of
from .scenes import (
    DOMAINS,
    Example,
    blank_questions,
    blank_view,
    questions,
    sample_view,
)

VALIDATION_SEED = 800_001
HELD_OUT_SEED = 900_001
QUESTIONS_PER_SCENE = 12
CLOSED = (Kind.YES_NO, Kind.CHOICE)


@dataclass(frozen=True)
class Asked:
    """One question about one held-out picture, the answer, and that to a blank picture."""

    example: Example
    answer: Answer
    blank_answer: Answer

    @property
    def right(self) -> bool:
        """Return whether the answer is the true one."""
        return said(self.answer) == self.example.answer

    @property
    def right_when_blank(self) -> bool:
        """Return whether the likeliest answer without seeing anything happens to be true."""
        return self.blank_answer.likeliest == self.example.answer


class Score(BaseModel):
    """How many questions of a group were asked and answered truly, shares 0..1."""

    questions: int
    accuracy: float
    accuracy_when_blank: float
    chance: float


class Scores(BaseModel):
    """
    Held-out scores: by kind of question, by topic, and on frames that show nothing.

    calibration_error: expected calibration error of yes/no questions and choices, 0..1.
    """

    scenes: int
    kinds: dict[str, Score]
    topics: dict[str, Score]
    blank_frames: int
    abstained_on_blank: float
    abstained_on_scenes: float
    calibration_error: float


def said(answer: Answer) -> str:
    """Return an answer as the generator words its truth."""
    return CANNOT_TELL if answer.abstained else answer.text


def evaluate(assistant: Assistant, scenes: int, split: str = 'heldout') -> Scores:
    """
    Ask about `scenes` held-out scenes, and about a tenth as many frames that show nothing.

    split: 'heldout' for wordings that the training never used, 'train' for those it did.
    """
    asked: list[Asked] = []
    for index in tqdm(range(scenes), 'held-out scenes', unit='scene'):
        asked.extend(_ask_about(assistant, HELD_OUT_SEED, index, split))
    blank = max(1, scenes // 10)
    on_blank = [
        answer
        for index in tqdm(range(blank), 'blank frames', unit='frame')
        for answer in _ask_about_blank(assistant, index, split)
    ]
    return Scores(
        scenes=scenes,
        kinds=_by(asked, lambda one: one.example.kind),
        topics=_by(asked, lambda one: f'{one.example.topic} ({one.example.kind})'),
        blank_frames=blank,
        abstained_on_blank=float(np.mean([answer.abstained for answer in on_blank])),
        abstained_on_scenes=float(np.mean([one.answer.abstained for one in asked])),
        calibration_error=_calibration_error(asked),
    )


def calibrate(assistant: Assistant, scenes: int) -> float:
    """Return the temperature for a model whose own is 1, fitted on `scenes` validation scenes."""
    probabilities, truth = [], []
    for index in tqdm(range(scenes), 'calibration scenes', unit='scene'):
        for one in _ask_about(assistant, VALIDATION_SEED, index, 'train'):
            if one.example.answer in one.answer.allowed:
                probabilities.append(one.answer.probabilities)
                truth.append(one.answer.allowed.index(one.example.answer))
    return fit_temperature(probabilities, truth)


def _ask_about(assistant: Assistant, seed: int, index: int, split: str) -> Iterable[Asked]:
    rng = np.random.default_rng([seed, index])
    scene, rendering = sample_view(rng, DOMAINS[index % len(DOMAINS)])
    view = assistant.look(Frame(rendering.image))
    blank = assistant.look(Frame(_blank(rendering.image.shape)))
    for example in questions(scene, rng, split, QUESTIONS_PER_SCENE):
        if example.topic == 'describe':
            continue
        question = question_of(example)
        yield Asked(example, assistant.ask(view, question), assistant.ask(blank, question))


def _ask_about_blank(assistant: Assistant, index: int, split: str) -> Iterable[Answer]:
    rng = np.random.default_rng([HELD_OUT_SEED + 1, index])
    view = assistant.look(Frame(blank_view(rng)))
    for example in blank_questions(rng, split, QUESTIONS_PER_SCENE):
        yield assistant.ask(view, question_of(example))


def _blank(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a picture of nothing that the check before the model lets through: a soft fade."""
    fade = np.linspace(110, 134, shape[1]).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(fade[None, :, None], shape))


def _by(asked: Iterable[Asked], group_of: Callable[[Asked], str]) -> dict[str, Score]:
    groups: dict[str, list[Asked]] = {}
    for one in asked:
        groups.setdefault(group_of(one), []).append(one)
    return {name: _score(groups[name]) for name in sorted(groups)}


def _calibration_error(asked: Iterable[Asked]) -> float:
    closed = [one for one in asked if one.answer.question.kind in CLOSED]
    bins = reliability([one.answer.confidence for one in closed], [one.right for one in closed])
    return expected_calibration_error(bins) or 0.0


def _score(group: Sequence[Asked]) -> Score:
    return Score(
        questions=len(group),
        accuracy=float(np.mean([one.right for one in group])),
        accuracy_when_blank=float(np.mean([one.right_when_blank for one in group])),
        chance=float(np.mean([_chance(one.example) for one in group])),
    )


def _chance(example: Example) -> float:
    """Return the share that a blind guess among the allowed answers gets right."""
    if example.kind == 'yes_no':
        return 0.5
    return 1 / len(example.choices) if example.choices else 0.0


def print_scores(scores: Scores, console: Console) -> None:
    """Print a table of the scores."""
    table = Table(title=f'{scores.scenes} held-out scenes')
    for heading in ('', 'questions', 'accuracy', 'blank picture', 'chance'):
        table.add_column(heading, justify='left' if not heading else 'right')
    for name, score in (scores.kinds | scores.topics).items():
        shares = (score.accuracy, score.accuracy_when_blank, score.chance)
        table.add_row(name, str(score.questions), *(f'{share:.1%}' for share in shares))
    console.print(table)
    console.print(
        f'abstained on {scores.abstained_on_blank:.1%} of questions about blank frames, '
        f'on {scores.abstained_on_scenes:.1%} of those about scenes; '
        f'calibration error {scores.calibration_error:.3f}'
    )


def main(
    model: str,
    scenes: int = 400,
    split: str = 'heldout',
    engine: str = 'auto',
    out: Path | None = None,
) -> None:
    """Evaluate a model on held-out scenes; write the scores as JSON if a file is given."""
    scores = evaluate(load(model, engine), scenes, split)
    print_scores(scores, Console())
    if out is not None:
        out.write_text(scores.model_dump_json(indent=2))


if __name__ == '__main__':
    typer.run(main)
