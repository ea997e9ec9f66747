"""What every benchmark consists of: questions, predictions and scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ros2_llava_phi.errors import DataError
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.files.settings import first_problem

# LLaVA-1.5's format for options (Liu et al., arXiv 2310.03744), on a line behind the question.
OPTION_LETTER = "Answer with the option's letter from the given choices directly."
# The most tokens that LLaVA-1.5 lets a model write, to short questions and to all others.
SHORT, LONG = 128, 1024
SCORES_FILE = 'scores.json'


@dataclass(frozen=True)
class Item:
    """
    One question about one picture.

    id: tells it from all others of the benchmark.
    prompt: the whole request, which stands behind the picture.
    picture: a picture file, or a picture file's bytes in base64.
    """

    id: str
    prompt: str
    picture: Path | str
    max_tokens: int = SHORT


class Metric(BaseModel):
    """
    One figure, exactly as the official scorer computes it.

    digits: behind the point where the official scorer prints it; None prints all of them.
    """

    model_config = ConfigDict(frozen=True, extra='forbid')

    name: str
    value: float
    digits: int | None = None

    def __str__(self) -> str:
        """Return the figure as the official scorer prints it."""
        return str(self.value) if self.digits is None else f'{self.value:.{self.digits}f}'


class Scores(BaseModel):
    """
    What a benchmark gives.

    headline: the figure that papers report, on their scale; None where there is no local score.
    notes: sentences without which the figures could be misunderstood.
    """

    model_config = ConfigDict(frozen=True, extra='forbid')

    metrics: tuple[Metric, ...] = ()
    headline: Metric | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """
    A benchmark: functions that raise DataError where a file is not as published.

    read: the questions, from the folder with the official files.
    write: predictions in the official format, from that folder, the answers by the items' id and
    the folder to write to; returns what was written, for `score`.
    score: the official figures, from that folder and a file (or folder) of predictions.
    judge: writes beside the scores what a judge needs more than the predictions; from that folder,
    the predictions and the folder to write to.
    """

    name: str
    title: str
    read: Callable[[Path], list[Item]]
    write: Callable[[Path, Mapping[str, str], Path], Path]
    score: Callable[[Path, Path], Scores]
    judge: Callable[[Path, Path, Path], None] | None = None


class ScoresFile(Scores):
    """Scores, and of what; model is the file's name where only predictions were scored."""

    benchmark: str
    model: str


def write_scores(folder: Path, benchmark: str, model: str, scores: Scores) -> None:
    """Write scores.json; raises DataError."""
    file = ScoresFile(benchmark=benchmark, model=model, **scores.model_dump())
    write_atomically(folder / SCORES_FILE, file.model_dump_json(indent=2) + '\n', DataError)


def read_scores(folder: Path) -> ScoresFile:
    """Read the scores.json in a folder; raises DataError if it cannot be."""
    path = folder / SCORES_FILE
    if not path.is_file():
        raise DataError(f'{folder} holds no {SCORES_FILE}; run a benchmark into it first')
    try:
        return ScoresFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f'{path} is no file of scores: {first_problem(error)}') from None
