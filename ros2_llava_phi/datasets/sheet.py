"""
The questions sheet: a CSV file that `llava-phi extract` writes and people fill in.

A row for each frame and question, with the columns

    frame      the picture, relative to the sheet's folder
    scene      frames of one scene stay together when data are split
    camera     the camera's topic
    stamp      seconds since 1970
    question   in plain words
    kind       text, yes_no, choice or number; empty is text
    choices    of a choice: the allowed answers, with | between them, and no comma in them
    answer     to fill in; yes or no, one of the choices, a whole number, or any text

A closed question can also be answered with `cannot tell`.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from ros2_llava_phi.assistant.answer import CANNOT_TELL, YES_NO
from ros2_llava_phi.assistant.question import KIND_NAMES, Kind, Question, parse_kind, request_text
from ros2_llava_phi.errors import DataError, QuestionError
from ros2_llava_phi.model.prompt import PICTURE_TEXT, turn

from .dialogue import Dialogue, Sample, samples
from .records import RecordError, Records, csv_records, read_text

NEEDED = ('frame', 'question', 'answer')
BETWEEN_CHOICES = '|'
LONGEST_NUMBER = 9  # digits


@dataclass(frozen=True)
class Row:
    """A row of the sheet, its columns in their order; all of them text."""

    frame: str
    scene: str
    camera: str
    stamp: str
    question: str = ''
    kind: str = ''
    choices: str = ''
    answer: str = ''


def write_sheet(path: Path, rows: Iterable[Row]) -> None:
    """Write a sheet that spreadsheet programs take for UTF-8."""
    text = io.StringIO(newline='')
    writer = csv.writer(text)
    writer.writerow(field.name for field in fields(Row))
    writer.writerows(astuple(row) for row in rows)
    path.write_bytes(text.getvalue().encode('utf-8-sig'))


def read_sheet(path: Path, pictures: Path) -> Iterator[Sample]:
    """
    Read a sheet that was filled in; a row is a conversation.

    Questions are put as the assistant puts them to the model: a closed one says which form the
    answer has. A row whose answer is still empty is dropped, as is one whose answer is not of its
    kind. scene: the row's, else its frame. kind: the row's, else free_text.

    Raises DataError if the file is missing, damaged, or lacks a column.
    """

    def convert(place: str, row: dict[str, str]) -> Dialogue:
        question = _question(row)
        answer = _answer(question, row['answer'].strip())
        if not row['frame']:
            raise RecordError('frame: it is empty')
        return Dialogue(
            source=path.stem,
            record=place,
            scene=row.get('scene') or row['frame'],
            pictures=(pictures / row['frame'],),
            turns=(turn(f'{PICTURE_TEXT}\n{request_text(question)}', answer),),
            kind=question.kind.name.lower(),
        )

    return samples(path.stem, csv_records(path, NEEDED), convert)


def read_questions(path: Path) -> list[tuple[str, str, str]]:
    """
    Read questions to put into a sheet: one a line, or a CSV file if the name ends in .csv.

    Returns question, kind and choices of each. The CSV file has the columns question, and kind
    and choices if there are any. Raises DataError for a bad one, or if there are none.
    """
    asked: Records[dict[str, str]]
    if path.suffix.lower() == '.csv':
        asked = csv_records(path, ('question',))
    else:
        lines = enumerate(read_text(path).splitlines(), 1)
        asked = ((f'line {number}', {'question': line}) for number, line in lines if line.strip())
    found = []
    for place, row in asked:
        try:
            if isinstance(row, RecordError):
                raise row
            _question(row)
        except RecordError as error:
            raise DataError(f'{path}, {place}: {error}') from error
        found.append((row['question'].strip(), row.get('kind', ''), row.get('choices', '')))
    if not found:
        raise DataError(f'{path} holds no question; write one a line')
    return found


def _question(row: dict[str, str]) -> Question:
    name = row.get('kind', '').strip() or KIND_NAMES[Kind.FREE_TEXT]
    try:
        kind = parse_kind(name)
    except QuestionError:
        known = ', '.join(KIND_NAMES.values())
        raise RecordError(f'kind: it must be one of {known}', name) from None
    choices = [each.strip() for each in row.get('choices', '').split(BETWEEN_CHOICES)]
    for choice in choices:
        if ',' in choice:  # which stands between them when they are asked for
            raise RecordError('choices: no comma may stand in one', choice)
    text = row['question'].strip()
    if PICTURE_TEXT in text:
        raise RecordError(f'question: {PICTURE_TEXT} must not stand in it', text)
    try:
        return Question(text, kind, tuple(filter(None, choices)))
    except QuestionError as error:
        raise RecordError('question: it cannot be asked', str(error)) from error


def _answer(question: Question, answer: str) -> str:
    """Return an answer as the model is to say it."""
    allowed = {
        Kind.YES_NO: YES_NO,
        Kind.CHOICE: question.choices,
        Kind.NUMBER: (answer,) if answer.isdecimal() and len(answer) <= LONGEST_NUMBER else (),
    }.get(question.kind)
    if not answer or allowed is None:
        return answer
    for each in (*allowed, CANNOT_TELL):
        if answer.casefold() == each.casefold():
            return each
    raise RecordError(f'answer: it is no answer to a {question.kind.name.lower()}', answer)
