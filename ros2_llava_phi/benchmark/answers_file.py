"""What a model has answered so far: a file that grows answer by answer, and outlives a kill."""

import os
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

from pydantic import StrictStr, TypeAdapter, ValidationError

from ros2_llava_phi.errors import DataError
from ros2_llava_phi.files.json_lines import open_for_me, whole_lines
from ros2_llava_phi.files.settings import StrictSettings, first_problem

from .files import make_folder, read_json

RUN_FILE = 'run.json'


class Run(StrictSettings):
    """Which answers a folder holds: one model's, as one engine runs it, to one benchmark."""

    benchmark: StrictStr
    model: StrictStr
    engine: StrictStr
    precision: StrictStr
    questions_hash: StrictStr


class Answered(StrictSettings):
    """One answer; fits is false where the question was too long for the model's context."""

    id: StrictStr
    answer: StrictStr
    fits: bool = True


def open_run(folder: Path, run: Run) -> None:
    """Make a run's folder, or go on with it; raises DataError if it holds another run."""
    make_folder(folder)
    path = folder / RUN_FILE
    if not path.exists():
        if any(not each.name.startswith(RUN_FILE) for each in folder.iterdir()):
            raise DataError(f'{folder} is not empty and holds no run; give a new folder')
        # Whole or not at all, however many shards start at once.
        beside = path.with_name(f'{RUN_FILE}.{os.getpid()}')
        beside.write_text(run.model_dump_json(indent=2) + '\n', encoding='utf-8')
        beside.replace(path)
    before = read_json(path, TypeAdapter(Run))
    for field in Run.model_fields:
        if getattr(before, field) != getattr(run, field):
            raise DataError(
                f'{folder} holds a run of another {field.replace("_hash", "")} '
                f'({getattr(before, field)}, not {getattr(run, field)}); give a new folder'
            )


def read_answers(folder: Path, ids: Collection[str]) -> dict[str, Answered]:
    """
    Return the answers of all shards by the items' id; a line cut off by a kill is none.

    ids: of all items.

    Raises DataError for a line that is no answer to one of them, or contradicts another.
    """
    answers: dict[str, Answered] = {}
    for path in sorted(folder.glob('answers*.jsonl')):
        for number, line in enumerate(whole_lines(path), 1):
            where = f'{path}, line {number}'
            try:
                each = Answered.model_validate_json(line)
            except ValidationError as error:
                raise DataError(
                    f'{where} is no answer ({first_problem(error)}); remove it'
                ) from None
            if each.id not in ids:
                raise DataError(f'{where}: there is no question {each.id!r}; remove it')
            if answers.setdefault(each.id, each) != each:
                raise DataError(
                    f'{where}: question {each.id!r} has another answer before; remove one'
                )
    return answers


class AnswersFile:
    """A shard's answers, on disk as soon as they are given."""

    def __init__(self, folder: Path, shard: int, shards: int) -> None:
        """
        Open the shard's file behind its last whole line.

        Raises DataError while another process adds to it.
        """
        name = 'answers.jsonl' if shards == 1 else f'answers-{shard}-of-{shards}.jsonl'
        path = folder / name
        try:
            self._file = os.fdopen(open_for_me(path), 'a', encoding='utf-8')
        except BlockingIOError as error:
            raise DataError(f'another process is writing {path}; wait for its end') from error

    def add(self, answered: Answered) -> None:
        """Write one answer."""
        self._file.write(answered.model_dump_json() + '\n')
        self._file.flush()

    def __enter__(self) -> 'AnswersFile':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
