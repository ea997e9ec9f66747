"""summary.json: what a run comes to."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from .comparison import Comparison
from .confusion import Confusion, confusion_of
from .record import Record
from .run_folder import Environment, Run
from .scores import Scores, score_records

SUMMARY_FILE = 'summary.json'


class RecordingNotes(BaseModel):
    """
    A recording, and what there is to know about it before its figures are believed.

    frames: of each camera, as far as readable.
    notes: sentences: what was lost, clocks that jump, questions that found no frame.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    frames: dict[str, int]
    seconds: float
    notes: tuple[str, ...]


class QuestionScores(BaseModel):
    """
    The scores of one question of the file, all recordings taken together.

    confusion: of yes_no and choice, where one answer alone is acceptable.
    """

    model_config = ConfigDict(frozen=True)

    entry: int
    question: str
    kind: str
    camera: str
    scores: Scores
    confusion: Confusion | None


class Summary(BaseModel):
    """A run, its recordings, and its scores."""

    model_config = ConfigDict(frozen=True)

    run: Run
    environment: Environment
    recordings: list[RecordingNotes]
    scores: Scores
    kinds: dict[str, Scores]
    questions: list[QuestionScores]
    comparison: Comparison | None = None


def summarise(
    run: Run,
    environment: Environment,
    recordings: Sequence[RecordingNotes],
    records: Sequence[Record],
    comparison: Comparison | None = None,
) -> Summary:
    """Score the records of a run."""
    by_kind: dict[str, list[Record]] = {}
    by_entry: dict[int, list[Record]] = {}
    for record in records:
        by_kind.setdefault(record.kind, []).append(record)
        by_entry.setdefault(record.entry, []).append(record)
    return Summary(
        run=run,
        environment=environment,
        recordings=list(recordings),
        scores=score_records(records),
        kinds={kind: score_records(each) for kind, each in by_kind.items()},
        questions=[
            QuestionScores(
                entry=entry,
                question=each[0].question,
                kind=each[0].kind,
                camera=each[0].camera,
                scores=score_records(each),
                confusion=confusion_of(each),
            )
            for entry, each in sorted(by_entry.items())
        ],
        comparison=comparison,
    )
