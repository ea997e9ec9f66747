"""
Files of records, as data sets come in them: JSON, JSON lines and CSV.

Damage to a file is a DataError that names the place; what is wrong with one record is a
RecordError that stands in its place.
"""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ros2_llava_phi.errors import DataError

GZIP = b'\x1f\x8b'
BEGINNING = 1 << 20  # characters, enough for any record
TOO_MANY_CELLS = 'the record: it has more cells than names; put text with commas into quotes'
Records = Iterator[tuple[str, Any]]

# A long text is the checks' business, not a damage to the file.
csv.field_size_limit(2**30)


class Record(BaseModel):
    """A record's fields as its format has them; others are passed over, types are not bent."""

    model_config = ConfigDict(strict=True, frozen=True)


class RecordError(ValueError):
    """A record that is no sample: the reason with its field, and the detail."""

    def __init__(self, reason: str, detail: str = '') -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def read_text(path: Path) -> str:
    """Return a file's text; raises DataError if it is missing or no UTF-8."""
    try:
        return path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        if error.object.startswith(GZIP):
            raise DataError(f'{path} is compressed by gzip; unpack it first') from error
        raise DataError(f'{path}: byte {error.start} is no UTF-8; save it as UTF-8') from error
    except (OSError, ValueError) as error:
        raise DataError(f'{path} cannot be read: {_reason(error)}') from error


def read_json(path: Path, **options: Any) -> Any:
    """Return what a JSON file holds; raises DataError if it is missing or damaged."""
    return _parse(read_text(path), str(path), **options)


def json_records(path: Path) -> Records:
    """
    Yield the records of a JSON list, or of JSON lines if the name ends in .jsonl.

    Each comes with its place: '[0]', or 'line 1'. Raises DataError if the file is missing, is
    damaged, or holds no list.
    """
    if path.suffix == '.jsonl':
        for number, line in enumerate(read_text(path).split('\n'), 1):
            if line.strip():
                yield f'line {number}', _parse(line, f'{path}, line {number}')
        return
    yield from list_records(_read_list(path), path)


def _read_list(path: Path) -> Any:
    text = read_text(path)
    first, _, second = text[:BEGINNING].lstrip().partition('\n')
    if first.startswith('{') and first.rstrip().endswith('}') and second.lstrip().startswith('{'):
        raise DataError(f'{path} holds an object a line; name it .jsonl')
    return _parse(text, str(path))


def list_records(content: Any, path: Path) -> Records:
    """Yield the entries of a list, each with its place; raises DataError if it is no list."""
    if not isinstance(content, list):
        raise DataError(f'{path} holds {kind_of(content)}; it must hold a list of records')
    for index, record in enumerate(content):
        yield f'[{index}]', record


def csv_records(path: Path, columns: tuple[str, ...]) -> Records:
    """
    Yield the rows of a CSV file that has a line of column names, each with its place: 'line 2'.

    Comma or semicolon (as spreadsheets save it) may part the columns. Empty rows are passed over;
    in place of a row with more cells than names stands a RecordError.

    Raises DataError if the file is missing or damaged, or lacks one of `columns`.
    """
    text = read_text(path)
    heading = text.partition('\n')[0]
    delimiter = ';' if heading.count(';') > heading.count(',') else ','
    reader = csv.DictReader(
        io.StringIO(text, newline=''), restval='', strict=True, delimiter=delimiter
    )
    try:
        names = reader.fieldnames or []
        for column in columns:
            if column not in names:
                raise DataError(
                    f'{path}, line 1: there is no column {column!r}; it must have '
                    f'{", ".join(columns)}'
                )
        for row in reader:
            place = f'line {reader.line_num}'
            if None in row:
                yield place, RecordError(TOO_MANY_CELLS, delimiter.join(row[None]))
            elif any(row.values()):
                yield place, row
    except csv.Error as error:
        raise DataError(f'{path}, line {reader.line_num}: {error}') from error


def kind_of(content: Any) -> str:
    """Return what JSON calls a value, with its article."""
    names = {dict: 'an object', list: 'a list', str: 'a text', bool: 'true or false'}
    return 'null' if content is None else names.get(type(content), 'a number')


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, replacing an older one; whatever happens, a whole file is there or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _parse(text: str, where: str, **options: Any) -> Any:
    try:
        return json.loads(text, **options)
    except json.JSONDecodeError as error:
        raise DataError(
            f'{where}: no JSON at line {error.lineno}, column {error.colno}: {error.msg}'
        ) from error
    except (RecursionError, ValueError) as error:
        raise DataError(f'{where}: no JSON that can be read: {error}') from error


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
