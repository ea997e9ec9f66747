"""
MMBench (Liu et al. 2023): https://github.com/open-compass/MMBench.

The folder holds mmbench_dev_20230712.tsv, or another of its TSV files. Where that has answers, the
score is the one of VLMEvalKit with exact matching: of answers that name no option, which GPT would
be asked about, none counts.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, StrictInt, StrictStr, TypeAdapter

from ros2_llava_phi.errors import DataError, counted
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.requirements import what_is_missing
from ros2_llava_phi.scoring.option_matching import matched_option

from .benchmark import LONG, OPTION_LETTER, Benchmark, Item, Metric, Scores
from .official_files import by_id, check_same_ids, find_file, read_official_lines

LETTERS = 'ABCD'
COLUMNS = ('index', 'question', 'image', 'A', 'B')
# What LLaVA-1.5 leaves out of a submission, and where it puts the predictions.
LEFT_OUT = ('hint', 'category', 'source', 'image', 'comment', 'l2-category')
PREDICTION, PLACE = 'prediction', 6
# Rotations of a question have its index plus a multiple of this.
ROTATION = 1_000_000
# What pandas, with which the official tools read these files, takes for an empty cell.
_EMPTY = (
    '#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|'
    'nan|null'
)
EMPTY = frozenset(_EMPTY.split('|'))
# Pictures are longer; what is shorter names the question with the picture.
LONGEST_INDEX = 64
ABBREVIATIONS = {
    'coarse_perception': 'CP',
    'finegrained_perception (instance-level)': 'FP-S',
    'finegrained_perception (cross-instance)': 'FP-C',
    'logic_reasoning': 'LR',
    'relation_reasoning': 'RR',
    'attribute_reasoning': 'AR',
}


@dataclass(frozen=True)
class _Row:
    """A row of the TSV file: its cells by column, without the empty ones."""

    index: int
    cells: Mapping[str, str]

    @property
    def options(self) -> dict[str, str]:
        """Return the options by letter, up to the first that is empty."""
        given: dict[str, str] = {}
        for letter in LETTERS:
            option = self.cells.get(letter)
            if option is None or option.lower() in ('nan', 'none'):
                break
            given[letter] = option
        return given


class _Prediction(BaseModel):
    question_id: StrictInt
    text: StrictStr


def read(data: Path) -> list[Item]:
    """Return every question of the TSV file, rotations included, in one pass each."""
    path, _, rows = _table(data)
    pictures = {each.index: each.cells['image'] for each in rows}
    items = []
    for each in rows:
        picture = each.cells['image']
        if len(picture) <= LONGEST_INDEX:
            if not picture.isdecimal() or int(picture) not in pictures:
                raise DataError(f'{path}, index {each.index}: image {picture!r} is no picture')
            picture = pictures[int(picture)]
        hint = each.cells.get('hint', 'none')
        lines = [] if hint.lower() in ('nan', 'none') else [hint]
        lines += [each.cells['question'], *(f'{key}. {of}' for key, of in each.options.items())]
        items.append(Item(str(each.index), '\n'.join([*lines, OPTION_LETTER]), picture, LONG))
    return items


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write the workbook that the evaluation server takes."""
    _, columns, rows = _table(data)
    kept = [name for name in columns if name not in LEFT_OUT]
    kept.insert(PLACE, PREDICTION)
    lines = [
        [
            each.index
            if name == 'index'
            else answers[str(each.index)]
            if name == PREDICTION
            else each.cells.get(name)
            for name in kept
        ]
        for each in rows
    ]
    path = out / 'predictions.xlsx'
    write_workbook(path, kept, lines)
    return path


def score(data: Path, predictions: Path) -> Scores:
    """
    Return the share of questions answered rightly under every rotation, 0..1, and by ability.

    predictions: the workbook, or LLaVA's file of answers (.jsonl).
    """
    path, columns, rows = _table(data)
    if 'answer' not in columns:
        note = f'{path.name} has no answers; upload the predictions to the evaluation server'
        return Scores(notes=(note,))
    answers = _answers(predictions)
    check_same_ids(answers, (each.index for each in rows), predictions)
    matched = {each.index: matched_option(answers[each.index], _options(each)) for each in rows}
    right = {each.index: matched[each.index] == each.cells.get('answer', '') for each in rows}
    groups: dict[int, list[bool]] = defaultdict(list)
    for each in rows:
        groups[each.index % ROTATION].append(right[each.index])
    hits: dict[str, list[bool]] = defaultdict(list)
    for each in rows:
        if each.index >= ROTATION:
            continue
        hit = all(groups[each.index])
        hits['Overall'].append(hit)
        for column in ('l2-category', 'category'):
            if (ability := each.cells.get(column)) is not None:
                hits[f'{column} {ABBREVIATIONS.get(ability, ability)}'].append(hit)
    metrics = {name: Metric(name=name, value=sum(of) / len(of)) for name, of in hits.items()}
    overall = Metric(name='Overall', value=100 * metrics['Overall'].value, digits=1)
    unmatched = sum(option is None for option in matched.values())
    notes = [f'scored on {path.name} by exact matching; published figures let GPT match, too']
    if unmatched:
        of = counted(len(rows), 'answer')
        notes.append(f'{unmatched} of {of} without the name of an option; GPT would be asked')
    return Scores(metrics=tuple(metrics.values()), headline=overall, notes=tuple(notes))


def _table(data: Path) -> tuple[Path, list[str], list[_Row]]:
    path = find_file(data, 'mmbench*.tsv', '*.tsv')
    try:
        with path.open(encoding='utf-8', newline='') as file:
            reader = csv.DictReader(file, delimiter='\t')
            columns = list(reader.fieldnames or ())
            cells = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f'{path} is no TSV file in UTF-8: {error}') from None
    if missing := [name for name in COLUMNS if name not in columns]:
        raise DataError(f'{path} has no column {missing[0]!r}')
    rows = [_row(path, number, each) for number, each in enumerate(cells, 1)]
    if not any(each.index < ROTATION for each in rows):
        raise DataError(f'{path} holds no question with an index below {ROTATION}')
    by_id(rows, (each.index for each in rows), path)
    return path, columns, rows


def _row(path: Path, number: int, cells: Mapping[str | None, str | None]) -> _Row:
    kept = {key: text for key, text in cells.items() if key and text and text not in EMPTY}
    where = f'{path}, record {number}'
    if None in cells or None in cells.values():
        raise DataError(f'{where} has not as many fields as there are columns')
    for name in ('index', 'question', 'image'):
        if name not in kept:
            raise DataError(f'{where}, field {name!r} is empty')
    if not kept['index'].isdecimal() or len(kept['index']) > LONGEST_INDEX:
        raise DataError(
            f"{where}, field 'index': {kept['index'][:LONGEST_INDEX]!r} is no whole number"
        )
    return _Row(int(kept['index']), kept)


def _options(row: _Row) -> dict[str, str]:
    return {key: text for key, text in row.cells.items() if len(key) == 1 and 'A' <= key <= 'Z'}


def _answers(predictions: Path) -> dict[int, str]:
    if predictions.suffix == '.jsonl':
        records = read_official_lines(predictions, TypeAdapter(_Prediction))
        found = by_id(records, (each.question_id for each in records), predictions)
        return {key: each.text for key, each in found.items()}
    answers: dict[int, str] = {}
    for number, row in enumerate(read_workbook(predictions, ('index', PREDICTION)), 1):
        where = f'{predictions}, record {number}'
        if not isinstance(row['index'], int):
            raise DataError(f"{where}, field 'index': {row['index']!r} is no whole number")
        if row['index'] in answers:
            raise DataError(f'{where}: {row["index"]} stands there twice')
        text = '' if row[PREDICTION] is None else str(row[PREDICTION])
        # The official tool reads an empty cell as the word nan.
        answers[row['index']] = 'nan' if not text or text in EMPTY else text
    return answers


def write_workbook(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a sheet with names above its columns; raises DataError without openpyxl."""
    try:
        from openpyxl import Workbook
    except ImportError as error:
        raise DataError(f"MMBench's workbooks: {what_is_missing(error) or error}") from error
    book = Workbook(write_only=True)
    sheet = book.create_sheet('Sheet1')
    sheet.append(list(columns))
    for row in rows:
        sheet.append([_storable(cell) for cell in row])
    file = io.BytesIO()
    book.save(file)
    write_atomically(path, file.getvalue(), DataError)


def read_workbook(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """
    Return the rows of the first sheet by the names of its columns.

    Raises DataError if it is no workbook or lacks one of these columns.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise DataError(f"MMBench's workbooks: {what_is_missing(error) or error}") from error
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


MMBENCH = Benchmark('mmbench', 'MMBench', read, write, score)
