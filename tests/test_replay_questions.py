"""Questions files: what they say is asked when, and what is wrong with one is said in a line."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from helpers import WRONG, assert_one_sentence, places, spoiled

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.errors import QuestionsFileError
from ros2_llava_phi.replay.questions import AskedQuestion, QuestionsFile, When
from ros2_llava_phi.replay.read_questions import COLUMNS, read_questions

EXAMPLES = sorted((Path(__file__).parents[1] / 'config' / 'questions').iterdir())


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.name)
def test_the_examples_can_be_read(path: Path) -> None:
    file = read_questions(path)
    assert file.questions
    assert file.ground_truth is None or file.ground_truth.is_file()


def test_yaml(tmp_path: Path) -> None:
    path = tmp_path / 'q.yaml'
    path.write_text(
        """
        cameras: {front: /front/image}
        questions:
          - question: Is it red?
            kind: yes_no
            camera: front
            when: {every_s: 2, from_s: 1}
            truth:
              - {to_s: 4, answers: yes}
              - {stamp_ns: 1700000000000000000, answers: [no, 2]}
          - {question: Which, kind: choice, choices: [1, two], when: {at_s: [1, 2.5]}}
        """
    )
    first, second = read_questions(path).questions
    assert (first.kind, first.when) == (Kind.YES_NO, When(every_s=2, from_s=1))
    assert [each.answers for each in first.truth] == [('Yes',), ('No', '2')]
    assert first.truth[0].covers(0, 3.9) and not first.truth[0].covers(0, 4.0)
    assert first.truth[1].covers(1700000000000000000, 99)
    assert second.choices == ('1', 'two') and second.when.at_s == (1, 2.5)


@pytest.mark.parametrize(
    ('text', 'fields'),
    [
        ('- Is it', {}),
        ('questions: Is it', {}),
        ('questions: {question: Is it}', {}),
        ('cameras:\nquestions:\n- {question: Is it, kind: , truth: , when: }', {}),
        ('[{question: Is it, when: {at_s: 5}}]', {'when': {'at_s': [5]}}),
        ('- question: Is it\n  when: {at_s: "5, 1:30"}', {'when': {'at_s': [5, 90]}}),
        (
            '[{question: Is it, choices: "a, b"}]',
            {'kind': 'choice', 'choices': ['a', 'b']},
        ),
        (
            '- question: Is it\n  kind: Choice\n  choices: on | off',
            {'kind': 'choice', 'choices': ['on', 'off']},
        ),
        *(
            (
                f'[{{question: Is it, kind: yes_no, truth: {truth}}}]',
                {'kind': 'yes_no', 'truth': [{'answers': ['Yes']}]},
            )
            for truth in ('yes', 'true', 'y', '[yes]', '{answers: yes}', '[{answers: [true]}]')
        ),
        (
            '[{question: Is it, kind: yes_no, truth: [yes, no]}]',
            {'kind': 'yes_no', 'truth': [{'answers': ['Yes', 'No']}]},
        ),
        (
            '[{question: Is it, kind: yes_no, truth: [{to_s: 0:05, answers: yes}, no]}]',
            {'kind': 'yes_no', 'truth': [{'to_s': 5, 'answers': ['Yes']}, {'answers': ['No']}]},
        ),
        (
            '[{question: Is it, labels: {topic: /a, field: b, values: {0: clear}}}]',
            {'labels': {'topic': '/a', 'field': 'b', 'values': {'0': 'clear'}}},
        ),
    ],
)
def test_what_is_obvious_is_accepted(tmp_path: Path, text: str, fields: dict[str, object]) -> None:
    path = tmp_path / 'q.yaml'
    path.write_text(text)
    whole = {'question': 'Is it', **fields}
    assert read_questions(path).questions == (AskedQuestion.model_validate(whole),)


def test_what_is_written_stays_text(tmp_path: Path) -> None:
    """YAML 1.1 has booleans, numbers and dates for these; nobody who writes them means them."""
    words = ('on', 'off', 'yes', 'No', 'y', 'true', '007', '1.10', '1_000', '12:30', '2026-01-02')
    path = tmp_path / 'q.yaml'
    path.write_text(
        f'- {{question: on, choices: [{", ".join(words)}], truth: off, camera: 007}}\n'
        f'- question: Is it lit\n'
        f'  labels: {{topic: on, field: off, values: {{on: 1.10, 007: off}}}}\n'
        f'- {{question: What, truth: [{", ".join(words)}]}}\n'
    )
    first, second, third = read_questions(path).questions
    assert (first.question, first.choices, first.camera) == ('on', words, '007')
    assert first.truth[0].answers == ('off',) and third.truth[0].answers == words
    assert second.labels is not None
    assert second.labels.values == {'on': '1.10', '007': 'off'}


# Every field, each with something good in it.
WHOLE = {
    'cameras': {'front': '/front/image'},
    'ground_truth': 'truth.json',
    'significant_bits': 12,
    'questions': [
        {
            'question': 'Which?',
            'kind': 'choice',
            'choices': ['sun', 'rain'],
            'camera': 'front',
            'max_tokens': 5,
            'when': {'every_s': 2, 'from_s': 1, 'to_s': 9},
            'truth': [{'answers': ['sun'], 'stamp_ns': 5, 'from_s': 1, 'to_s': 9}],
        },
        {
            'question': 'What?',
            'when': {'at_s': [1, 2]},
            'labels': {'topic': '/a', 'field': 'b', 'within_s': 1, 'values': {'0': 'sun'}},
        },
        {'question': 'Who?', 'when': {'at_stamps_ns': [5]}},
        {'question': 'Where?', 'when': {'on_change': 0.5}},
    ],
}


@pytest.mark.parametrize('place', list(places(WHOLE)), ids=lambda place: '.'.join(map(str, place)))
def test_whatever_stands_in_a_field_is_understood_or_explained(
    tmp_path: Path, place: tuple[Any, ...]
) -> None:
    path = tmp_path / 'q.yaml'
    named = [each for each in place if isinstance(each, str)][-1].rstrip('s')
    for file in spoiled(WHOLE, place):
        path.write_text(json.dumps(file))
        try:
            read_questions(path)
        except QuestionsFileError as error:
            text = assert_one_sentence(error, path)
            if 'no YAML' in text:  # such as a character that may stand in no file
                continue
            entry = place[1] + 1 if place[0] == 'questions' and len(place) > 1 else None
            assert entry is None or f'question {entry}, ' in text, text
            assert named in text, text


@pytest.mark.parametrize('column', COLUMNS)
def test_whatever_stands_in_a_column_is_understood_or_explained(
    tmp_path: Path, column: str
) -> None:
    path = tmp_path / 'q.csv'
    for wrong in (each for each in WRONG if not isinstance(each, dict | list)):
        row = {'question': 'What?', 'labels_topic': '', 'labels_field': ''}
        if column.startswith('labels'):
            row = {'question': 'What?', 'labels_topic': '/a', 'labels_field': 'b'}
        row[column] = str(wrong)
        with path.open('w', encoding='utf-8', errors='surrogatepass') as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerow(row)
        try:
            read_questions(path)
        except QuestionsFileError as error:
            text = assert_one_sentence(error, path)
            if 'UTF-8' not in text:
                assert re.search('question 1, |line 2|holds no question', text), text
                assert column.split('_')[-1].rstrip('s') in text, text


def test_csv_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / 'q.csv'
    path.write_text(
        'question;kind;choices;camera;every_s;at_s;from_s;to_s;answers\n'
        'Is it red?;yes_no;;front;2;;1;;Yes\n'
        'Which;choice;1|two;;;1|2.5;;;1|two\n'
        '\n'
        'What is it?;;;;;;;;\n'
    )
    first, second, third = read_questions(path).questions
    assert (first.kind, first.camera, first.when) == (
        Kind.YES_NO,
        'front',
        When(every_s=2, from_s=1),
    )
    assert first.truth[0].answers == ('Yes',)
    assert second.choices == ('1', 'two') and second.when.at_s == (1, 2.5)
    assert second.truth[0].answers == ('1', 'two')
    assert third.kind == Kind.FREE_TEXT and not third.truth


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('questions: []', 'field questions: it is empty; one at least must stand there'),
        ('', 'holds no questions'),
        *(
            (f'questions: [{{question: A, {kind}, truth: [{{answers: {truth}}}]}}]', said)
            for kind, truth, said in (
                ('kind: yes_no', 'maybe', "'maybe' can never be the answer: use yes or no"),
                ('kind: number', 'many', "'many' can never be the answer: use a number"),
                ('kind: choice, choices: [sun, rain]', 'snow', 'use one of its choices'),
            )
        ),
        ('{', "line 1: no YAML: expected the node content, but found '<stream end>'"),
        ('a: b\nc: d: e', 'line 2: no YAML: quotes belong around a text with a colon'),
        (
            '[{question: Is it?}]',
            "line 1: no YAML: .* got '\\?'; within braces, quotes belong around",
        ),
        ('a: \x00', 'no YAML: unacceptable character #x0000: .* at position 3'),
        ('a: b\nc: !!bool foo', "line 2: 'foo' is no bool"),
        ("!!int ''", "line 1: '' is no int"),
        ('- question: "a\\UFFFFFFFF"', 'no YAML: '),
        ('%YAML 1.3\n---\na: 1', r'no YAML of version 1\.1 or 1\.2$'),
        ('!\n%YAML 1.3\n', r'no YAML of version 1\.1 or 1\.2$'),
        ('!!timestamp foo', 'line 1: no YAML: failed to construct timestamp'),
        ('!!python/name:os.system', 'line 1: no YAML: could not determine a constructor'),
        ('[' * 100_000, 'no YAML: maximum recursion'),
        ('- {kind: text, kind: number}', "line 1: 'kind' stands twice"),
        (
            'ground_truth: ~nosuchuser/x\nquestions: [{question: A}]',
            'nobody has the home in ~nosu',
        ),
        ('- {question: A, camera: "\\ud800"}', 'field camera: .*Unicode'),
        ('ground_truth: [3]\nquestions: [{question: A}]', 'field ground_truth: it must be a path'),
        ('- {question: A, truth: [{answers: [[a]]}]}', 'question 1, field truth.0.answers.0: '),
        (
            f'- {{question: A, when: {{at_s: [0x{"f" * 4000}]}}}}',
            'question 1, field when.at_s.0: ',
        ),
        ('- {question: }', 'question 1, field question: '),
        ('- question: A?\n- question: "  "', 'question 2, as a whole: the question is empty'),
        ('- {question: A, kind: maybe}', 'question 1, field kind: it must be one of text, '),
        ('- {question: A, kind: choice}', 'question 1, as a whole: a CHOICE question has 0'),
        ('- {question: A, when: {every_s: 0}}', 'question 1, field when.every_s: '),
        *(
            (
                f'- {{question: A, when: {{{name}: []}}}}',
                f'question 1, field when.{name}: it is empty',
            )
            for name in ('at_s', 'at_stamps_ns')
        ),
        ('- {question: A, when: {every_s: .nan}}', 'question 1, field when.every_s: '),
        (
            '- {question: A, when: {from_s: 1:75}}',
            'question 1, field when.from_s: it must be a number',
        ),
        ('- {question: A, when: {to_s: 1, from_s: 2}}', r'field when: to_s \(1\) must be more'),
        ('- {question: A, when: {at_s: [1], every_s: 1}}', 'field when: every_s and at_s cannot'),
        (
            '- {question: A, wen: 1}',
            "question 1, as a whole: there is no field 'wen'; did you mean when",
        ),
        ('- {question: A, truth: [{answers: []}]}', r'question 1, field truth.0.answers: '),
        ('- {question: A, labels: {topic: /a, field: "a b"}}', 'field labels.field: .* no path'),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / 'q.yaml'
    path.write_text(text)
    with pytest.raises(QuestionsFileError, match=f'{path}.*{sentence}') as caught:
        read_questions(path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('text\nA?\n', "line 1: there is no column 'question'"),
        ('question,wen\nA?,1\n', "line 1: there is no column 'wen'; columns: question, kind"),
        ('question,every_s\nA?,often\n', 'question 1, field when.every_s: '),
        ('question\nA?,B?\n', 'line 2: .*more cells than names'),
        ('question,question\nA?,B?\n', "line 1: there are two columns 'question'"),
    ],
)
def test_what_is_wrong_in_csv(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / 'q.csv'
    path.write_text(text)
    with pytest.raises(QuestionsFileError, match=sentence):
        read_questions(path)


def test_choices_in_a_cell_may_have_commas_between_them(tmp_path: Path) -> None:
    path = tmp_path / 'q.csv'
    path.write_text('question,choices\nIs it?,"on, off"\nIs it?,"on, at once|off"\n')
    assert [each.choices for each in read_questions(path).questions] == [
        ('on', 'off'),
        ('on, at once', 'off'),
    ]


def test_the_schema_says_what_a_file_holds() -> None:
    schema = QuestionsFile.model_json_schema()
    question = schema['$defs']['AskedQuestion']['properties']
    assert set(question['kind']['enum']) == {'text', 'yes_no', 'choice', 'number'}
    assert {'camera', 'when', 'truth', 'labels'} <= set(question)
    assert schema['required'] == ['questions']
