"""results.jsonl: grows record by record, and outlives a kill and a full disk."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from ..json_lines import cut_off_half_line, whole_lines
from ..model.config import first_problem
from .record import Record

RESULTS_FILE = 'results.jsonl'


class ResultsError(ValueError):
    """Results that cannot be read or written; the text says why."""


def read_results(path: Path) -> list[Record]:
    """Return the records of a file; raises ResultsError for a line that is none."""
    try:
        lines = whole_lines(path)
    except OSError as error:
        raise ResultsError(f'{path} cannot be read: {error.strerror}') from error
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(Record.model_validate_json(line))
        except ValidationError as error:
            raise ResultsError(
                f'{path}, line {number} is no result: {first_problem(error)}'
            ) from error
    return records


class ResultsFile:
    """The results of a run, on disk as soon as they are there."""

    def __init__(self, path: Path) -> None:
        """Go on behind the last whole line; `records` are those that are there already."""
        self._path = path
        cut_off_half_line(path)
        self.records = read_results(path) if path.exists() else []
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def add(self, records: Sequence[Record]) -> None:
        """Write records, all or none; raises ResultsError if the disk does not take them."""
        lines = b''.join(record.model_dump_json().encode() + b'\n' for record in records)
        end = os.fstat(self._file).st_size
        try:
            while lines:
                lines = lines[os.write(self._file, lines) :]
        except OSError as error:
            os.ftruncate(self._file, end)
            raise ResultsError(
                f'{self._path} cannot be written: {error.strerror}; its {len(self.records)} '
                'results are kept, and the same command goes on from there'
            ) from error
        self.records += records

    def __enter__(self) -> 'ResultsFile':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)
