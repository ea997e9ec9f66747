"""Benchmark files as published: found, read and checked."""

import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, StrictStr, TypeAdapter, ValidationError

from ros2_llava_phi.errors import DataError

Record = TypeVar('Record')


def checked_text(text: str) -> str:
    """Return a text; raises ValueError if it holds half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f'{text[:60]!r} is no Unicode text') from None
    return text


def checked_path(path: str) -> str:
    """Return a path within the folder of the files; raises ValueError if it leads out of it."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or '..' in parts.parts:
        raise ValueError(f'{path!r} leads out of the folder; a path within it must stand there')
    return path


Text = Annotated[StrictStr, AfterValidator(checked_text)]
PathWithin = Annotated[Text, AfterValidator(checked_path)]


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


def make_folder(folder: Path) -> None:
    """Make the folder to write to, if it is not there; raises DataError if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f'{folder} is, or lies in, a file; name a folder to write to') from None


def read_json(path: Path, shape: TypeAdapter[Record]) -> Record:
    """Read a JSON file of that shape; raises DataError."""
    return _checked(_parsed(_text(path), str(path)), shape, str(path))


def read_json_lines(path: Path, shape: TypeAdapter[Record]) -> list[Record]:
    """Read a file with one JSON record a line, at least one; raises DataError."""
    records = []
    # By line feeds alone: other separators may stand within a text.
    for number, line in enumerate(_text(path).split('\n'), 1):
        if not line.strip():
            continue
        where = f'{path}, line {number}'
        records.append(_checked(_parsed(line, where), shape, where))
    if not records:
        raise DataError(f'{path} is empty; a JSON record must stand in every line')
    return records


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file as the official tools do."""
    path.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def write_json_lines(path: Path, records: Iterable[Any]) -> None:
    """Write one JSON record a line."""
    lines = (json.dumps(record) + '\n' for record in records)
    path.write_text(''.join(lines), encoding='utf-8')


def read_lines(path: Path) -> list[str]:
    """Return a text file's lines with their ends, as `open(path).readlines()` does."""
    return re.findall(r'[^\n]*\n|[^\n]+', _text(path))


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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8')
    except FileNotFoundError:
        raise DataError(f'there is no file {path}') from None
    except OSError as error:
        raise DataError(f'{path} cannot be read: {error.strerror}') from None
    except UnicodeDecodeError as error:
        raise DataError(f'{path} is no text in UTF-8: {error}') from None


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f'{where} is no JSON: {error}') from None
    except RecursionError:
        raise DataError(f'{where} is nested too deep; no official file is') from None
    except ValueError as error:
        # A number of thousands of digits; the rest of the sentence is for programmers.
        reason = str(error).partition(';')[0]
        raise DataError(f'{where} holds no number of an official file: {reason}') from None


def _checked(content: Any, shape: TypeAdapter[Record], where: str) -> Record:
    try:
        return shape.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ''.join(f', {_place(part)}' for part in first['loc'])
        wrong = first['msg'].removeprefix('Value error, ')
        raise DataError(f'{where}{place}: {wrong}') from None


def _place(part: int | str) -> str:
    return f'record {part + 1}' if isinstance(part, int) else f'field {part!r}'
