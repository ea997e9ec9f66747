"""Read a questions file, YAML or CSV; what is wrong with one is said with question and field."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ros2_llava_phi.datasets.records import csv_records
from ros2_llava_phi.errors import DataError, FileError, QuestionsFileError
from ros2_llava_phi.files.packaged import or_packaged
from ros2_llava_phi.files.settings import problems, shown
from ros2_llava_phi.files.yaml_file import read_yaml

from .questions import AskedQuestion, Labels, QuestionsFile, Truth, When

# The columns of a CSV file, and where each belongs in a question; `|` parts several values, and a
# comma choices, too.
COLUMNS = {
    'question': ('question',),
    'kind': ('kind',),
    'choices': ('choices',),
    'camera': ('camera',),
    'max_tokens': ('max_tokens',),
    'every_s': ('when', 'every_s'),
    'at_s': ('when', 'at_s'),
    'at_stamps_ns': ('when', 'at_stamps_ns'),
    'from_s': ('when', 'from_s'),
    'to_s': ('when', 'to_s'),
    'on_change': ('when', 'on_change'),
    'answers': ('truth', 'answers'),
    'labels_topic': ('labels', 'topic'),
    'labels_field': ('labels', 'field'),
}
LISTS = ('at_s', 'at_stamps_ns', 'answers')


EXAMPLES: dict[str | int, str] = {
    name: str(field.examples[0])
    for part in (When, Truth, Labels, AskedQuestion, QuestionsFile)
    for name, field in part.model_fields.items()
    if field.examples
}


def read_questions(path: Path) -> QuestionsFile:
    """Read a questions file; raises QuestionsFileError that names file, question and field."""
    if path.suffix.lower() == '.csv':
        return _checked(path, {'questions': _csv_questions(path)})
    try:
        content = read_yaml(path, as_written=True)
    except FileError as error:
        raise QuestionsFileError(str(error)) from error
    if isinstance(content, list):
        content = {'questions': content}
    if not isinstance(content, dict):
        raise QuestionsFileError(
            f'{path} holds no questions; write them as a list, such as `- Is there a car?`'
        )
    return _checked(path, content)


def _checked(path: Path, content: dict[str, Any]) -> QuestionsFile:
    try:
        file = QuestionsFile.model_validate(content)
    except ValidationError as error:
        raise QuestionsFileError(f'{path}: {_problem(error)}') from error
    if file.ground_truth is not None:
        try:
            given = file.ground_truth.expanduser()
            beside = path.resolve().parent / given
        except RuntimeError as error:
            raise QuestionsFileError(
                f'{path}: field ground_truth: nobody has the home in {file.ground_truth}; '
                "give a path from this file's folder, or a whole one"
            ) from error
        return file.model_copy(update={'ground_truth': or_packaged(beside, given)})
    return file


def _problem(error: ValidationError) -> str:
    """Return which question and field is wrong, and why; questions count from 1."""
    first = problems(error)[0]
    place = list(first['loc'])
    example = next((EXAMPLES[part] for part in reversed(place) if part in EXAMPLES), '')
    where = ''
    if place[:1] == ['questions'] and len(place) > 1:
        where = f'question {int(place[1]) + 1}, '
        place = place[2:]
    field = '.'.join(str(part) for part in place)
    where += f'field {field}: ' if field else 'as a whole: '
    wrong = first['msg']
    if example and first['type'] != 'value_error':
        wrong += f', such as {example}'
    given = first['input']
    if first['type'] in ('missing', 'too_short'):
        return where + wrong
    if given is None:
        return f'{where}{wrong} (it is empty)'
    whole = isinstance(given, dict | list) and (not field or not given)
    return where + wrong + ('' if whole else f' (it is {shown(given)!r})')


def _csv_questions(path: Path) -> list[dict[str, Any]]:
    try:
        rows = list(csv_records(path, ('question',)))
    except DataError as error:
        raise QuestionsFileError(str(error)) from error
    if not rows:
        raise QuestionsFileError(f'{path} holds no question; write one a line')
    questions = []
    for place, row in rows:
        if not isinstance(row, dict):
            raise QuestionsFileError(f'{path}, {place}: {row.reason}')
        if unknown := [name for name in row if name not in COLUMNS]:
            raise QuestionsFileError(
                f'{path}, line 1: there is no column {unknown[0]!r}; columns: {", ".join(COLUMNS)}'
            )
        questions.append(_nested(row))
    return questions


def _nested(row: dict[str, str]) -> dict[str, Any]:
    """Return a row as a question has it; empty cells leave their field out."""
    question: dict[str, Any] = {}
    for column, (*outer, name) in COLUMNS.items():
        cell = row.get(column, '').strip()
        if not cell:
            continue
        value: Any = [part.strip() for part in cell.split('|')] if column in LISTS else cell
        inside = question.setdefault(outer[0], {}) if outer else question
        inside[name] = value
    if 'truth' in question:
        question['truth'] = [question['truth']]
    return question
