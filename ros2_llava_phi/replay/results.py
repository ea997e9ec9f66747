"""The folder of a run: run.json says which run it is, results.jsonl what came of it so far."""

import hashlib
import os
import platform
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ros2_llava_phi import __version__
from ros2_llava_phi.assistant.answer import ModelIdentity
from ros2_llava_phi.errors import ResultsError
from ros2_llava_phi.files import run_folder
from ros2_llava_phi.files.json_lines import read_lines
from ros2_llava_phi.files.settings import read_json

from .asking import Asking
from .questions import QuestionsFile
from .record import Key, Record

RUN_FILE, RESULTS_FILE = 'run.json', 'results.jsonl'


class Run(BaseModel):
    """
    What a run is: of these, everything must be the same for it to go on.

    recordings: by name, the sizes of their files in bytes.
    questions: a hash of what is asked, with what is true.
    way: 'offline', or 'live at' a rate.
    """

    model_config = ConfigDict(frozen=True, extra='forbid')

    recordings: dict[str, dict[str, int]]
    questions: str
    model: ModelIdentity
    way: str
    blank: bool


class Environment(BaseModel):
    """On what machine, and with which version, a run was made."""

    model_config = ConfigDict(frozen=True)

    version: str
    python: str
    system: str
    processor: str
    cores: int


def describe_run(askings: Sequence[Asking], model: ModelIdentity, way: str, blank: bool) -> Run:
    """Return what tells a run from others; all of its recordings are asked the same."""
    recordings = [each.recording for each in askings]
    return Run(
        recordings={each.name: _sizes(each.path) for each in recordings},
        questions=_hash(askings[0].file),
        model=model,
        way=way,
        blank=blank,
    )


def open_run(folder: Path, run: Run, besides: Collection[str] = ()) -> None:
    """
    Make a run's folder, or go on with it.

    besides: names of what may be there already.

    Raises ResultsError if the folder holds something else.
    """
    run_folder.open_run(folder / RUN_FILE, run, _difference, ResultsError, besides)


def read_run(folder: Path) -> Run:
    """Read a run's run.json; raises ResultsError if it is none."""
    return read_json(folder / RUN_FILE, Run, ResultsError)


def read_results(path: Path) -> list[Record]:
    """Return the records of a file; raises ResultsError for a line that is none, or is twice."""
    records: dict[Key, Record] = {}
    sentence = '{where} is no result: {wrong}'
    for where, record in read_lines(path, TypeAdapter(Record), ResultsError, sentence):
        if records.setdefault(record.key, record) is not record:
            raise ResultsError(f'{where} is about what an earlier line is; remove it')
    return list(records.values())


def environment() -> Environment:
    """Describe the machine and the installation."""
    return Environment(
        version=__version__,
        python=platform.python_version(),
        system=f'{platform.system()} {platform.release()}',
        processor=_processor(),
        cores=os.cpu_count() or 1,
    )


def _sizes(path: Path) -> dict[str, int]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    kept = [each for each in files if {'.mcap', '.db3'} & set(each.suffixes)]
    return {each.name: each.stat().st_size for each in kept}


def _hash(questions: QuestionsFile) -> str:
    digest = hashlib.sha256(
        questions.model_dump_json(exclude={'ground_truth'}).encode(errors='surrogatepass')
    )
    if questions.ground_truth is not None and questions.ground_truth.is_file():
        digest.update(questions.ground_truth.read_bytes())
    return digest.hexdigest()[:16]


def _difference(field: str, old: Any, new: Any) -> str:
    if field == 'recordings':
        return f'of {", ".join(old)}' if set(old) != set(new) else 'its recordings have changed'
    if field == 'questions':
        return 'its questions or their ground truth were others'
    if field == 'model':
        return f'by {old} ({old.engine} {old.precision})'
    if field == 'blank':
        return f'{"with" if old else "without"} --blank'
    return f'it was {old}, not {new}'


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()
