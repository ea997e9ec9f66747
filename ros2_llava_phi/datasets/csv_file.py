"""Read CSV files as spreadsheet programs save them; damage is an error that names the line."""

import csv
import io
from pathlib import Path

from ros2_llava_phi.errors import DataError

from .files import Records, read_text
from .record import RecordError

TOO_MANY_CELLS = 'the record: it has more cells than names; put text with commas into quotes'

# A long text is the checks' business, not a damage to the file.
csv.field_size_limit(2**30)


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
