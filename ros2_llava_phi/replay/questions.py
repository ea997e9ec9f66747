"""The questions file: what is asked about a recording, of which camera, when, and what is true."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ros2_llava_phi.assistant.answer import YES_NO
from ros2_llava_phi.assistant.question import KIND_NAMES, Kind, KindName, Question, parse_kind
from ros2_llava_phi.bags.message_fields import parse_field_path
from ros2_llava_phi.errors import QuestionError, described
from ros2_llava_phi.files.settings import Number, StrictSettings
from ros2_llava_phi.scoring.correctness import closed_answers, is_possible, spelled

EXPECTED = {
    Kind.YES_NO: 'use yes or no, or `cannot tell`',
    Kind.CHOICE: 'use one of its choices, or `cannot tell`',
    Kind.NUMBER: 'use a number, or `cannot tell`',
}

# How else a truth about yes and no is written.
OTHER_YES_NO = {'true': YES_NO[0], 'y': YES_NO[0], 'false': YES_NO[1], 'n': YES_NO[1]}
CLOCK_TIME = re.compile(r'(?:(\d+):)?(\d+):([0-5]\d(?:\.\d+)?)')


def as_answer(value: Any) -> Any:
    """Return a value, as Python or a message has it, as an answer's text."""
    if isinstance(value, bool):
        return YES_NO[0] if value else YES_NO[1]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f'{value:.12g}'
    return value


def _as_list(value: Any) -> Any:
    return [] if value is None else value if isinstance(value, list | tuple) else [value]


def _as_parts(value: Any) -> Any:
    """Return a list, also of what stands in one text with commas or `|` between."""
    if isinstance(value, str):
        return [part.strip() for part in value.split('|' if '|' in value else ',')]
    return _as_list(value)


def _as_seconds(value: Any) -> Any:
    """Return a time, also one as the report writes it: 1:30, 0:02.5, 1:00:00."""
    match = CLOCK_TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3])


def _as_question(value: Any) -> Any:
    """Return a question alone as one with fields; with choices, it is a choice."""
    if isinstance(value, str):
        return {'question': value}
    if isinstance(value, dict) and value.get('choices') and not value.get('kind'):
        return {**value, 'kind': KIND_NAMES[Kind.CHOICE]}
    return value


def _as_truths(value: Any) -> Any:
    """Return truths as a list; what has no fields is an answer, or several acceptable ones."""
    truths = _as_list(value)
    if truths and all(map(_is_bare, truths)):
        return [{'answers': truths}]
    return [{'answers': each} if _is_bare(each) else each for each in truths]


def _is_bare(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _as_kind(value: Any) -> Any:
    try:
        return parse_kind(value)
    except QuestionError as error:
        raise ValueError(f'it must be one of {", ".join(KIND_NAMES.values())}') from error


def _check_span(from_s: float, to_s: float | None) -> None:
    if to_s is not None and to_s <= from_s:
        raise ValueError(f'to_s ({to_s:g}) must be more than from_s ({from_s:g})')


def _checked_path(path: str) -> str:
    parse_field_path(path)
    return path


Time = Annotated[Number, BeforeValidator(_as_seconds, json_schema_input_type=float | str)]
Seconds = Annotated[Time, Field(ge=0)]
Duration = Annotated[Time, Field(gt=0)]
Answer = Annotated[str, BeforeValidator(as_answer, json_schema_input_type=str | float | bool)]
Answers = Annotated[
    tuple[Annotated[Answer, Field(min_length=1)], ...],
    BeforeValidator(_as_list, json_schema_input_type=str | float | bool | list[str]),
    Field(min_length=1),
]
KindOfFile = Annotated[Kind, BeforeValidator(_as_kind, json_schema_input_type=KindName)]


class _Fields(StrictSettings):
    """Fields of which an empty one is left out, as an empty cell is."""

    @model_validator(mode='before')
    @classmethod
    def _without_empty(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        return {name: value for name, value in content.items() if value is not None}


class When(_Fields):
    """
    Of which frames of its camera a question is asked: of every frame, unless a field says less.

    Seconds count from the start of the recording, by the time of recording.
    """

    every_s: Duration | None = Field(
        default=None,
        description='The first frame of every so many seconds.',
        examples=['0.5'],
    )
    at_s: Annotated[
        tuple[Seconds, ...],
        BeforeValidator(_as_parts, json_schema_input_type=float | str | list[float | str]),
        Field(min_length=1),
    ] = Field(
        default=(),
        description='The first frame at or after each of these times.',
        examples=['5, or [5, 1:30] for several'],
    )
    at_stamps_ns: Annotated[
        tuple[int, ...],
        BeforeValidator(_as_parts, json_schema_input_type=int | list[int]),
        Field(min_length=1),
    ] = Field(
        default=(),
        description='The frames with these very stamps in their headers.',
        examples=['[1700000000500000000]'],
    )
    from_s: Seconds = Field(
        default=0.0, description='No frame before this time.', examples=['10, or 1:30']
    )
    to_s: Seconds | None = Field(
        default=None, description='No frame from this time on.', examples=['60, or 1:30']
    )
    on_change: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        default=None,
        description='Frames in which this share of the picture has changed since the last; '
        '0.1 is a start.',
        examples=['0.1'],
    )

    @model_validator(mode='after')
    def _fits(self) -> 'When':
        ways = ('every_s', 'at_s', 'at_stamps_ns', 'on_change')
        given = [name for name in ways if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f'{" and ".join(given)} cannot be together; choose one of them')
        _check_span(self.from_s, self.to_s)
        return self


class Truth(_Fields):
    """
    What is true of some frames: of one stamp, of a span, or of all if nothing says of which.

    Of several, the first that covers a frame counts.
    """

    answers: Answers = Field(
        description='One answer, or a list of acceptable ones. Ten or more are taken for those '
        "of so many people, and scored by VQA's rule. `cannot tell` is the answer of a model "
        'that rightly abstains.',
        examples=['yes, or [red, crimson] where either is right'],
    )
    stamp_ns: int | None = Field(
        default=None,
        description="The stamp in the frame's header.",
        examples=['1700000000500000000'],
    )
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


class Labels(_Fields):
    """What is true, from a topic of the recording: the message nearest to the frame in time."""

    topic: str = Field(
        description='Any topic whose message type the recording carries.',
        examples=['/detections'],
    )
    field: Annotated[str, AfterValidator(_checked_path)] = Field(
        description='Path to the field: `data`, `status.level`, `objects[0].label`; `objects[#]` '
        'is how many there are, `objects[*].label` all of them, each acceptable.',
        examples=['data, or objects[0].label'],
    )
    within_s: Duration = Field(
        default=0.5, description='No label that is further from the frame.', examples=['0.5']
    )
    values: dict[Answer, Answer] = Field(
        default={},
        description='The answers that values stand for; any other value is left unscored.',
        examples=['{0: clear, 2: rain}'],
    )


class AskedQuestion(_Fields):
    """One question, and the frames that it is asked about."""

    question: str = Field(description='In plain language.', examples=['Is there a car?'])
    kind: KindOfFile = Field(
        default=Kind.FREE_TEXT,
        description='text, yes_no, choice or number; with choices it is a choice.',
    )
    choices: Annotated[
        tuple[Answer, ...], BeforeValidator(_as_parts, json_schema_input_type=str | list[str])
    ] = Field(default=(), description='For the kind choice.', examples=['[clear, rain, fog]'])
    max_tokens: Annotated[int, Field(ge=1)] = Field(
        default=64, description='Of a free text.', examples=['64']
    )
    camera: str = Field(
        default='',
        description='A name out of `cameras`, a topic, or the first part of one; needed where '
        'the recording has several.',
        examples=['front, or /front/image'],
    )
    when: When = Field(default=When(), examples=['{every_s: 2}'])
    truth: Annotated[
        tuple[Truth, ...],
        BeforeValidator(_as_truths, json_schema_input_type=str | list[str] | list[Truth]),
    ] = Field(default=(), examples=['yes, or [{to_s: 5, answers: yes}, {answers: no}]'])
    labels: Labels | None = Field(
        default=None, examples=["{topic: /detections, field: 'objects[0].label'}"]
    )

    @model_validator(mode='after')
    def _can_be_asked(self) -> 'AskedQuestion':
        self.to_question()
        if self.truth and self.labels:
            raise ValueError('truth and labels cannot be together; choose one of them')
        question = self._with_truths_spelled()
        truths = [each.answers for each in question.truth]
        values = question.labels.values.values() if question.labels else ()
        for answers in (*truths, *((each,) for each in values)):
            if not any(map(question.can_be, answers)):
                raise ValueError(
                    f'truth {described(answers[0])} can never be the answer: {EXPECTED[self.kind]}'
                )
        return question

    def can_be(self, answer: str) -> bool:
        """Return whether the question can be answered so."""
        return is_possible(answer, self.kind, self.choices)

    def spelled(self, answer: str) -> str:
        """Return an answer in the very words that the question allows, or as it stands."""
        if self.kind == Kind.YES_NO:
            answer = OTHER_YES_NO.get(answer.casefold(), answer)
        return spelled(answer, closed_answers(self.kind, self.choices))

    def _with_truths_spelled(self) -> 'AskedQuestion':
        changes: dict[str, Any] = {
            'truth': tuple(
                each.model_copy(update={'answers': tuple(map(self.spelled, each.answers))})
                for each in self.truth
            )
        }
        if self.labels is not None:
            values = {value: self.spelled(each) for value, each in self.labels.values.items()}
            changes['labels'] = self.labels.model_copy(update={'values': values})
        return self.model_copy(update=changes)

    def to_question(self) -> Question:
        """Return the question for the assistant; raises QuestionError if it cannot be asked."""
        return Question(self.question, self.kind, self.choices, self.max_tokens)


class QuestionsFile(StrictSettings):
    """Questions about recordings."""

    cameras: Annotated[dict[str, str], BeforeValidator(lambda given: given or {})] = Field(
        default={},
        description='Short names of the topics with pictures.',
        examples=['{front: /front/image}'],
    )
    ground_truth: Path | None = Field(
        default=None,
        description='A JSON file with what is true of each frame, by camera, stamp and question; '
        "relative to this file, or a packaged one. A question's own truth comes first.",
        examples=['truth.json'],
    )
    significant_bits: Annotated[int, Field(ge=8, le=16)] = Field(
        default=16,
        description='Bits that the values of 16-bit pictures have: 12 where white is 4095.',
        examples=['12'],
    )
    questions: Annotated[
        tuple[
            Annotated[
                AskedQuestion,
                BeforeValidator(_as_question, json_schema_input_type=str | AskedQuestion),
            ],
            ...,
        ],
        BeforeValidator(_as_list),
        Field(min_length=1),
    ] = Field(examples=['`- Is there a car?`'])
