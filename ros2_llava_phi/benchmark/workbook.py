"""Workbooks (.xlsx) with one sheet, as MMBench takes them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ros2_llava_phi.errors import DataError

MISSING = "openpyxl is missing: MMBench's workbooks need `pip install '.[benchmark]'`"


def write_workbook(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a sheet with names above its columns; raises DataError without openpyxl."""
    try:
        from openpyxl import Workbook
    except ModuleNotFoundError as error:
        raise DataError(MISSING) from error
    book = Workbook(write_only=True)
    sheet = book.create_sheet('Sheet1')
    sheet.append(list(columns))
    for row in rows:
        sheet.append([_storable(cell) for cell in row])
    book.save(path)


def read_workbook(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """
    Return the rows of the first sheet by the names of its columns.

    Raises DataError if it is no workbook or lacks one of these columns.
    """
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError as error:
        raise DataError(MISSING) from error
    if not path.is_file():
        raise DataError(f'there is no file {path}')
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        names, *rows = book.worksheets[0].iter_rows(values_only=True)
    except Exception as error:
        # What the library raises depends on which byte is wrong.
        raise DataError(f'{path} is no workbook with a row of names: {error}') from None
    for name in columns:
        if name not in names:
            raise DataError(f'{path} has no column {name!r}')
    filled = (row for row in rows if any(cell is not None for cell in row))
    return [dict(zip(map(str, names), row, strict=False)) for row in filled]


def _storable(cell: Any) -> Any:
    """Return a cell without the control characters that a workbook cannot hold."""
    if not isinstance(cell, str):
        return cell
    return ''.join(letter for letter in cell if letter >= ' ' or letter in '\t\n\r')
