"""Scores: a benchmark's figures, and the file that holds them."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ros2_llava_phi.errors import DataError
from ros2_llava_phi.files.settings import first_problem

SCORES_FILE = 'scores.json'


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


class ScoresFile(Scores):
    """Scores, and of what; model is the file's name where only predictions were scored."""

    benchmark: str
    model: str


def write_scores(folder: Path, benchmark: str, model: str, scores: Scores) -> None:
    """Write scores.json."""
    file = ScoresFile(benchmark=benchmark, model=model, **scores.model_dump())
    (folder / SCORES_FILE).write_text(file.model_dump_json(indent=2) + '\n', encoding='utf-8')


def read_scores(folder: Path) -> ScoresFile:
    """Read the scores.json in a folder; raises DataError if it cannot be."""
    path = folder / SCORES_FILE
    if not path.is_file():
        raise DataError(f'{folder} holds no {SCORES_FILE}; run a benchmark into it first')
    try:
        return ScoresFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f'{path} is no file of scores: {first_problem(error)}') from None
