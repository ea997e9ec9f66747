"""Benchmark files as published: found, checked without mercy, and written."""

import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ros2_llava_phi.datasets.records import RecordError, Records, json_lines, read_json, read_text
from ros2_llava_phi.errors import DataError
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.files.settings import problems, shown

Record = TypeVar('Record')


def find_file(data: Path, *patterns: str) -> Path:
    """
    Return the one file in a folder that matches a pattern; of several patterns the first counts.

    Raises DataError if no file matches, or more than one does.
    """
    check_folder(data)
    for pattern in patterns:
        found = sorted(data.glob(pattern))
        if len(found) > 1:
            names = ', '.join(path.name for path in found)
            raise DataError(f'{data} holds several {pattern}: {names}; leave the one to use')
        if found:
            return found[0]
    raise DataError(f'{data} holds no {" or ".join(patterns)}')


def check_folder(data: Path) -> None:
    """Raise DataError unless that is a folder."""
    if not data.is_dir():
        raise DataError(f'there is no folder {data}; give the one with the official files')


def check_exists(predictions: Path) -> None:
    """Raise DataError unless there is a file, or a folder, of predictions."""
    if not predictions.exists():
        raise DataError(f'there is no file {predictions}')


def read_official(path: Path, shape: TypeAdapter[Record]) -> Record:
    """Read a JSON file of that shape; raises DataError."""
    return _checked(read_json(path), shape, str(path))


def read_official_lines(path: Path, shape: TypeAdapter[Record]) -> list[Record]:
    """Read a file with one JSON record a line, at least one; raises DataError."""
    records = [
        _checked(content, shape, f'{path}, line {number}') for number, content in json_lines(path)
    ]
    if not records:
        raise DataError(f'{path} is empty; a JSON record must stand in every line')
    return records


def every_question(
    path: Path, records: Records[Record], needed: Sequence[str] = ()
) -> dict[str, Record]:
    """
    Return a data set's questions by their places, in their order.

    needed: fields that training can do without, and the benchmark cannot.

    Raises DataError for the first that cannot be used or lacks one, and if there is none.
    """
    questions: dict[str, Record] = {}
    for place, record in records:
        if isinstance(record, RecordError):
            raise DataError(f'{path}, record {place}: {record}')
        if missing := [field for field in needed if getattr(record, field) is None]:
            raise DataError(f'{path}, record {place}, field {missing[0]!r}: it is missing')
        questions[place] = record
    if not questions:
        raise DataError(f'{path} holds no question')
    return questions


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file as the official tools do; raises DataError."""
    write_atomically(path, json.dumps(content, indent=2) + '\n', DataError)


def write_json_lines(path: Path, records: Iterable[Any]) -> None:
    """Write one JSON record a line; raises DataError."""
    write_atomically(path, ''.join(json.dumps(record) + '\n' for record in records), DataError)


def read_lines(path: Path) -> list[str]:
    """Return a text file's lines with their ends, as `open(path).readlines()` does."""
    return re.findall(r'[^\n]*\n|[^\n]+', read_text(path))


def by_id(records: Sequence[Record], ids: Iterable[Any], path: Path) -> dict[Any, Record]:
    """Return records by their ids; raises DataError naming an id that stands twice."""
    found: dict[Hashable, Record] = {}
    for number, (key, record) in enumerate(zip(ids, records, strict=True), 1):
        if key in found:
            raise DataError(f'{path}, record {number}: {key!r} stands there twice')
        found[key] = record
    return found


def check_same_ids(predictions: Mapping[Any, Any], wanted: Iterable[Any], path: Path) -> None:
    """
    Raise DataError unless every question has a prediction, and every prediction a question.

    wanted: the ids of all questions.
    """
    ids = dict.fromkeys(wanted)
    check_known(predictions, ids, path)
    missing = [key for key in ids if key not in predictions]
    if missing:
        raise DataError(
            f'{path} has no prediction for {missing[0]!r} ({len(missing)} of {len(ids)} are '
            'missing); the official scorer takes complete predictions only'
        )


def check_known(predictions: Iterable[Any], wanted: Iterable[Any], path: Path) -> None:
    """Raise DataError if there is a prediction for a question that there is not."""
    known = set(wanted)
    unknown = [key for key in predictions if key not in known]
    if unknown:
        raise DataError(
            f'{path} has a prediction for {unknown[0]!r}, which is no question of the benchmark '
            f'({len(unknown)} such)'
        )


def _checked(content: Any, shape: TypeAdapter[Record], where: str) -> Record:
    try:
        return shape.validate_python(content)
    except ValidationError as error:
        first = problems(error)[0]
        place = ''.join(f', {_place(part)}' for part in first['loc'])
        given = first['input']
        now = '' if isinstance(given, dict | list) else f' (it is {shown(given)!r})'
        raise DataError(f'{where}{place}: {first["msg"]}{now}') from None


def _place(part: int | str) -> str:
    return f'record {part + 1}' if isinstance(part, int) else f'field {part!r}'
