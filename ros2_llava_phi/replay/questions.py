"""The questions file: what is asked about a recording, of which camera, when, and what is true."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from ros2_llava_phi.assistant.answer import YES_NO
from ros2_llava_phi.assistant.question import KIND_NAMES, Kind, KindName, Question, parse_kind
from ros2_llava_phi.bags.message_fields import parse_field_path
from ros2_llava_phi.datasets.records import csv_records
from ros2_llava_phi.errors import DataError, FileError, QuestionsFileError
from ros2_llava_phi.files.settings import Number, StrictSettings, problems, shown
from ros2_llava_phi.files.yaml_file import read_yaml
from ros2_llava_phi.scoring.correctness import closed_answers, is_possible, spelled

EXPECTED = {
    Kind.YES_NO: 'use yes or no, or `cannot tell`',
    Kind.CHOICE: 'use one of its choices, or `cannot tell`',
    Kind.NUMBER: 'use a number, or `cannot tell`',
}

# The columns of a CSV file, and where each belongs in a question; `|` parts several values.
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
LISTS = ('choices', 'at_s', 'at_stamps_ns', 'answers')


def as_answer(value: Any) -> Any:
    """Return a value as an answer's text: YAML reads a bare true or 2 as no text."""
    if isinstance(value, bool):
        return YES_NO[0] if value else YES_NO[1]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f'{value:.12g}'
    return value


def _as_answers(value: Any) -> Any:
    several = isinstance(value, list | tuple)
    return tuple(as_answer(each) for each in value) if several else (as_answer(value),)


def _as_kind(value: Any) -> Any:
    if value in KIND_NAMES.values():
        return parse_kind(value)
    raise ValueError(f'it must be one of {", ".join(KIND_NAMES.values())}')


def _check_span(from_s: float, to_s: float | None) -> None:
    if to_s is not None and to_s <= from_s:
        raise ValueError(f'to_s ({to_s:g}) must be more than from_s ({from_s:g})')


def _checked_path(path: str) -> str:
    parse_field_path(path)
    return path


Seconds = Annotated[Number, Field(ge=0)]
Answers = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_answers, json_schema_input_type=str | list[str] | bool | float),
    Field(min_length=1),
]


KindOfFile = Annotated[
    Kind,
    BeforeValidator(_as_kind, json_schema_input_type=KindName),
]


class When(StrictSettings):
    """
    Of which frames of its camera a question is asked: of every frame, unless a field says less.

    Seconds count from the start of the recording, by the time of recording.
    """

    every_s: Annotated[Number, Field(gt=0)] | None = Field(
        default=None, description='The first frame of every so many seconds.'
    )
    at_s: tuple[Seconds, ...] = Field(
        default=(), description='The first frame at or after each of these times.'
    )
    at_stamps_ns: tuple[int, ...] = Field(
        default=(), description='The frames with these very stamps in their headers.'
    )
    from_s: Seconds = Field(default=0.0, description='No frame before this time.')
    to_s: Seconds | None = Field(default=None, description='No frame from this time on.')
    on_change: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        default=None,
        description='Frames in which this share of the picture has changed since the last; '
        '0.1 is a start.',
    )

    @model_validator(mode='after')
    def _fits(self) -> 'When':
        ways = ('every_s', 'at_s', 'at_stamps_ns', 'on_change')
        given = [name for name in ways if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f'{" and ".join(given)} cannot be together; choose one of them')
        _check_span(self.from_s, self.to_s)
        return self


class Truth(StrictSettings):
    """
    What is true of some frames: of one stamp, of a span, or of all if nothing says of which.

    Of several, the first that covers a frame counts.
    """

    answers: Answers = Field(
        description='One answer, or a list of acceptable ones. Ten or more are taken for those '
        "of so many people, and scored by VQA's rule. `cannot tell` is the answer of a model "
        'that rightly abstains.'
    )
    stamp_ns: int | None = Field(default=None, description="The stamp in the frame's header.")
    from_s: Seconds = Field(default=0.0, description='No frame before this time.')
    to_s: Seconds | None = Field(default=None, description='No frame from this time on.')

    @model_validator(mode='after')
    def _fits(self) -> 'Truth':
        _check_span(self.from_s, self.to_s)
        return self

    def covers(self, stamp_ns: int, at_s: float) -> bool:
        """Return whether a frame is one of those."""
        if self.stamp_ns is not None:
            return stamp_ns == self.stamp_ns
        return self.from_s <= at_s and (self.to_s is None or at_s < self.to_s)


class Labels(StrictSettings):
    """What is true, from a topic of the recording: the message nearest to the frame in time."""

    topic: str = Field(description='Any topic whose message type the recording carries.')
    field: Annotated[str, AfterValidator(_checked_path)] = Field(
        description='Path to the field: `data`, `status.level`, `objects[0].label`; `objects[#]` '
        'is how many there are, `objects[*].label` all of them, each acceptable.'
    )
    within_s: Annotated[Number, Field(gt=0)] = Field(
        default=0.5, description='No label that is further from the frame.'
    )
    values: dict[str, Annotated[str, BeforeValidator(as_answer)]] = Field(
        default={},
        description='The answers that values stand for; any other value is left unscored.',
    )


class AskedQuestion(StrictSettings):
    """One question, and the frames that it is asked about."""

    question: str = Field(description='In plain language.')
    kind: KindOfFile = Field(default=Kind.FREE_TEXT, description='text, yes_no, choice or number.')
    choices: tuple[Annotated[str, BeforeValidator(as_answer)], ...] = Field(
        default=(), description='For the kind choice.'
    )
    max_tokens: Annotated[int, Field(ge=1)] = Field(default=64, description='Of a free text.')
    camera: str = Field(
        default='',
        description='A name out of `cameras`, a topic, or the first part of one; needed where '
        'the recording has several.',
    )
    when: When = When()
    truth: tuple[Truth, ...] = ()
    labels: Labels | None = None

    @model_validator(mode='after')
    def _can_be_asked(self) -> 'AskedQuestion':
        self.to_question()
        if self.truth and self.labels:
            raise ValueError('truth and labels cannot be together; choose one of them')
        for truth in self.truth:
            if not any(is_possible(each, self.kind, self.choices) for each in truth.answers):
                raise ValueError(
                    f'truth {truth.answers[0]!r} can never be the answer: {EXPECTED[self.kind]}'
                )
        return self._spelled()

    def _spelled(self) -> 'AskedQuestion':
        """Return the question with truths in the very words of the answers that it allows."""

        def spell(answer: str) -> str:
            return spelled(answer, closed_answers(self.kind, self.choices))

        changes: dict[str, Any] = {
            'truth': tuple(
                each.model_copy(update={'answers': tuple(map(spell, each.answers))})
                for each in self.truth
            )
        }
        if self.labels is not None:
            values = {value: spell(answer) for value, answer in self.labels.values.items()}
            changes['labels'] = self.labels.model_copy(update={'values': values})
        return self.model_copy(update=changes)

    def to_question(self) -> Question:
        """Return the question for the assistant; raises QuestionError if it cannot be asked."""
        return Question(self.question, self.kind, self.choices, self.max_tokens)


class QuestionsFile(StrictSettings):
    """Questions about recordings."""

    cameras: dict[str, str] = Field(
        default={}, description='Short names of the topics with pictures.'
    )
    ground_truth: Path | None = Field(
        default=None,
        description='A JSON file with what is true of each frame, by camera, stamp and question; '
        "relative to this file. A question's own truth comes first.",
    )
    significant_bits: Annotated[int, Field(ge=8, le=16, strict=True)] = Field(
        default=16,
        description='Bits that the values of 16-bit pictures have: 12 where white is 4095.',
    )
    questions: Annotated[tuple[AskedQuestion, ...], Field(min_length=1)]


def read_questions(path: Path) -> QuestionsFile:
    """Read a questions file; raises QuestionsFileError that names file, question and field."""
    if path.suffix.lower() == '.csv':
        return _checked(path, {'questions': _csv_questions(path)})
    try:
        content = read_yaml(path)
    except FileError as error:
        raise QuestionsFileError(str(error)) from error
    if isinstance(content, list):
        content = {'questions': content}
    if not isinstance(content, dict):
        raise QuestionsFileError(
            f'{path} holds no questions; it must have `questions:` and a list'
        )
    return _checked(path, content)


def _checked(path: Path, content: dict[str, Any]) -> QuestionsFile:
    try:
        file = QuestionsFile.model_validate(content)
    except ValidationError as error:
        raise QuestionsFileError(f'{path}: {_problem(error)}') from error
    if file.ground_truth is not None:
        try:
            beside = path.resolve().parent / file.ground_truth.expanduser()
        except RuntimeError as error:
            raise QuestionsFileError(
                f'{path}: field ground_truth: nobody has the home in {file.ground_truth}; '
                "give a path from this file's folder, or a whole one"
            ) from error
        return file.model_copy(update={'ground_truth': beside})
    return file


def _problem(error: ValidationError) -> str:
    """Return which question and field is wrong, and why; questions count from 1."""
    first = problems(error)[0]
    place = list(first['loc'])
    where = ''
    if place[:1] == ['questions'] and len(place) > 1:
        where = f'question {int(place[1]) + 1}, '
        place = place[2:]
    field = '.'.join(str(part) for part in place)
    where += f'field {field}: ' if field else 'as a whole: '
    wrong = first['msg']
    if first['type'] == 'too_short':
        wrong = 'it is empty; one at least must stand there'
    given = first['input']
    now = f' (it is {shown(given)!r})' if isinstance(given, str | int | float) else ''
    return f'{where}{wrong[:1].lower()}{wrong[1:]}{now}'


def _csv_questions(path: Path) -> list[dict[str, Any]]:
    try:
        rows = list(csv_records(path, ('question',)))
    except DataError as error:
        raise QuestionsFileError(str(error)) from error
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
