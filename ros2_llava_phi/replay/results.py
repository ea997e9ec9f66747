"""results.jsonl: grows record by record, and outlives a kill and a full disk."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from ros2_llava_phi.errors import ResultsError
from ros2_llava_phi.files.json_lines import open_for_me, whole_lines
from ros2_llava_phi.files.settings import first_problem

from .record import Key, Record

RESULTS_FILE = 'results.jsonl'


def read_results(path: Path) -> list[Record]:
    """Return the records of a file; raises ResultsError for a line that is none, or is twice."""
    try:
        lines = whole_lines(path)
    except OSError as error:
        raise ResultsError(f'{path} cannot be read: {error.strerror}') from error
    records: dict[Key, Record] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = Record.model_validate_json(line)
        except ValidationError as error:
            raise ResultsError(
                f'{path}, line {number} is no result: {first_problem(error)}'
            ) from error
        if records.setdefault(record.key, record) is not record:
            raise ResultsError(
                f'{path}, line {number} is about what an earlier line is; remove it'
            )
    return list(records.values())


class ResultsFile:
    """The results of a run, on disk as soon as they are there."""

    def __init__(self, path: Path) -> None:
        """
        Go on behind the last whole line; `records` are those that are there already.

        Raises ResultsError if they cannot be read, or while another process adds to them.
        """
        self._path = path
        try:
            self._file = open_for_me(path)
        except BlockingIOError as error:
            raise ResultsError(f'another process is writing {path}; wait for its end') from error
        except OSError as error:
            raise ResultsError(f'{path} cannot be written: {error.strerror}') from error
        try:
            self.records = read_results(path)
        except ResultsError:
            os.close(self._file)
            raise

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
