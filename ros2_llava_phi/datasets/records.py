"""
Files of records, as data sets and benchmarks come in them: JSON, JSON lines, CSV.

Damage to a file is a DataError that names the place. What is wrong with one record is a
RecordError that stands in the record's place, so that who reads may pass it over or refuse it.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from json import JSONDecoder
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StrictStr, ValidationError

from ros2_llava_phi.assistant.question import is_unicode
from ros2_llava_phi.errors import DataError
from ros2_llava_phi.files.settings import problems, shown

GZIP = b'\x1f\x8b'
BEGINNING = 1 << 20  # characters, enough for any record
CHUNK = 1 << 20  # characters that are read at once of a file that may not fit into memory
# What stands around the objects of a JSON list.
BLANK = '[ \\t\\n\\r]*'  # of JSON, which has fewer than Unicode
BEFORE_FIRST = re.compile(rf'{BLANK}\[{BLANK}(?={{)')
BEFORE_NEXT = re.compile(rf'{BLANK},{BLANK}(?={{)')
END, EMPTY = re.compile(rf'{BLANK}\]{BLANK}'), re.compile(rf'{BLANK}\[{BLANK}\]{BLANK}')
TOO_MANY_CELLS = 'the record: it has more cells than names; put text with commas into quotes'

# A long text is the checks' business, and a picture is long: neither is a damage to the file.
csv.field_size_limit(2**30)


class Record(BaseModel):
    """A record's fields as its format has them; others are passed over, types are not bent."""

    model_config = ConfigDict(strict=True, frozen=True)


class RecordError(ValueError):
    """A record that cannot be used: the reason with its field, and the detail."""

    def __init__(self, reason: str, detail: str = '') -> None:
        super().__init__(f'{reason} ({detail})' if detail else reason)
        self.reason = reason
        self.detail = detail


Content = TypeVar('Content')
Read = TypeVar('Read')
# Records, each with its place in the file: '[0]', 'line 1', or an id.
Records = Iterator[tuple[str, Read | RecordError]]


def checked_text(text: str) -> str:
    """Return a text; raises ValueError if it holds half of a surrogate pair."""
    if not is_unicode(text):
        raise ValueError('it is no Unicode text: half of a surrogate pair')
    return text


def checked_path(path: str) -> str:
    """Return a path within the folder of the files; raises ValueError if it leads out of it."""
    if '\0' in path:
        raise ValueError(f'{path!r} holds a NUL character, which no path has')
    parts = PurePosixPath(path)
    if parts.is_absolute() or '..' in parts.parts:
        raise ValueError(f'{path!r} leads out of the folder; a path within it must stand there')
    return path


Text = Annotated[StrictStr, AfterValidator(checked_text)]
PathWithin = Annotated[Text, AfterValidator(checked_path)]


def read_text(path: Path) -> str:
    """Return a file's text; raises DataError if it is missing or no UTF-8."""
    try:
        return path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        if error.object.startswith(GZIP):
            raise DataError(f'{path} is compressed by gzip; unpack it first') from error
        raise DataError(f'{path}: byte {error.start} is no UTF-8; save it as UTF-8') from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; raises DataError if it is missing or damaged."""
    return _parse(read_text(path), str(path))


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield what the lines of a file of JSON lines hold, with their numbers; raises DataError."""
    # By line feeds alone: other separators may stand within a text.
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if line.strip():
            yield number, _parse(line, f'{path}, line {number}')


def json_records(path: Path) -> Records[Any]:
    """
    Yield the records of a JSON list, or of JSON lines if the name ends in .jsonl.

    Each comes with its place: '[0]', or 'line 1'. Raises DataError if the file is missing, is
    damaged, or holds no list.
    """
    if path.suffix == '.jsonl':
        yield from ((f'line {number}', record) for number, record in json_lines(path))
        return
    text = read_text(path)
    first, _, second = text[:BEGINNING].lstrip().partition('\n')
    if first.startswith('{') and first.rstrip().endswith('}') and second.lstrip().startswith('{'):
        raise DataError(f'{path} holds an object a line; name it .jsonl')
    yield from list_records(_parse(text, str(path)), str(path))


def list_records(content: Any, where: str) -> Records[Any]:
    """Yield the entries of a list, each with its place; raises DataError if it is no list."""
    if not isinstance(content, list):
        raise DataError(f'{where} holds {kind_of(content)}; it must hold a list of records')
    for index, record in enumerate(content):
        yield f'[{index}]', record


def objects_in(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """
    Yield the objects of a JSON list one by one, numbered from 1, however large the file is.

    No more of it is held than two pieces of a million characters; an object must fit into one.
    Raises DataError if the file is missing or damaged, or holds anything but a list of objects.
    """
    decoder, text, done, number = JSONDecoder(), '', 0, 0
    try:
        with path.open(encoding='utf-8-sig') as file:
            while chunk := file.read(CHUNK):
                text, done = text[done:] + chunk, 0
                while before := (BEFORE_NEXT if number else BEFORE_FIRST).match(text, done):
                    try:
                        record, done = decoder.raw_decode(text, before.end())
                    except (ValueError, RecursionError):
                        break  # it goes on in the next piece
                    number += 1
                    yield number, record
                if (END if number else EMPTY).fullmatch(text, done):
                    text, done = ']' if number else '[]', 0  # What comes now must be blank.
                elif len(text) - done > CHUNK:
                    break
    except UnicodeDecodeError as error:
        raise DataError(f'{path} is no UTF-8; save it as UTF-8') from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    rest = text[done:]
    if not (END if number else EMPTY).fullmatch(rest):
        place = f'behind record {number}' if number else 'at its beginning'
        found = f'{rest.strip()[:60]!r} stands there' if rest.strip() else 'it ends there'
        raise DataError(f'{path} is no whole list of JSON objects {place}: {found}; copy it anew')


def csv_records(path: Path, columns: tuple[str, ...]) -> Records[dict[str, str]]:
    """
    Yield the rows of a CSV file that has a line of column names, each with its place: 'line 2'.

    Comma or semicolon (as spreadsheets save it) may part the columns. Empty rows are passed over;
    in place of a row with more cells than names stands a RecordError.

    Raises DataError if the file is missing or damaged, lacks one of `columns`, or has two of one
    name.
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
        if twice := next((name for name in names if name and names.count(name) > 1), ''):
            raise DataError(f'{path}, line 1: there are two columns {twice!r}; keep one of them')
        for row in reader:
            place = f'line {reader.line_num}'
            if None in row:
                yield place, RecordError(TOO_MANY_CELLS, delimiter.join(row[None]))
            elif any(row.values()):
                yield place, row
    except csv.Error as error:
        raise DataError(f'{path}, line {reader.line_num}: {error}') from error


def converted(
    records: Iterable[tuple[str, Content | RecordError]],
    convert: Callable[[str, Content], Read],
) -> Records[Read]:
    """
    Yield what `convert` makes of each record, or what is wrong with it.

    convert: takes a place and a record; it may raise RecordError or pydantic's ValidationError.
    """
    for place, record in records:
        try:
            yield place, record if isinstance(record, RecordError) else convert(place, record)
        except RecordError as error:
            yield place, error
        except ValidationError as error:
            yield place, _first_fault(error)


def kind_of(content: Any) -> str:
    """Return what JSON calls a value, with its article."""
    names = {dict: 'an object', list: 'a list', str: 'a text', bool: 'true or false'}
    return 'null' if content is None else names.get(type(content), 'a number')


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f'{where}: no JSON at line {error.lineno}, column {error.colno}: {error.msg}'
        ) from error
    except RecursionError as error:
        raise DataError(f'{where} is nested too deep; no JSON of records is') from error
    except ValueError as error:
        # A number of thousands of digits; the rest of the sentence is for programmers.
        reason = str(error).partition(';')[0]
        raise DataError(f'{where} holds no number that can be read: {reason}') from error


def _first_fault(error: ValidationError) -> RecordError:
    first = problems(error)[0]
    names = [str(part) for part in first['loc'] if not isinstance(part, int)]
    whole = '.'.join(str(part) for part in first['loc'])
    if first['type'] == 'model_type':
        return RecordError(f'{".".join(names) or "the record"}: it must be an object', whole)
    if isinstance(first['input'], str | int | float):
        whole += f' is {shown(first["input"])!r}'
    return RecordError(f'{".".join(names)}: {first["msg"]}', whole)


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = (isinstance(error, OSError) and error.strerror) or error
    return DataError(f'{path} cannot be read: {reason}')
