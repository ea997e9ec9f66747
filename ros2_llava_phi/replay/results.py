"""results.jsonl: grows record by record, and outlives a kill and a full disk."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ros2_llava_phi.errors import ResultsError
from ros2_llava_phi.files.json_lines import JsonLines, whole_lines
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


class ResultsFile(JsonLines):
    """The results of a run, on disk as soon as they are there."""

    def __init__(self, path: Path) -> None:
        """
        Go on behind the last whole line; `records` are those that are there already.

        Raises ResultsError if they cannot be read, or while another process adds to them.
        """
        super().__init__(path, ResultsError)
        try:
            self.records = read_results(path)
        except ResultsError:
            self.close()
            raise

    def add(self, records: Sequence[Record]) -> None:
        """Write records, all or none; raises ResultsError if the disk does not take them."""
        self.append([record.model_dump_json() for record in records])
        self.records += records

    def __enter__(self) -> 'ResultsFile':
        """Return the file."""
        return self
