"""Questions files: what they say is asked when, and what is wrong with one is said in a line."""

from pathlib import Path

import pytest

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.errors import QuestionsFileError
from ros2_llava_phi.replay.questions import QuestionsFile, When, read_questions

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
        ('a: b\nc: d: e', 'line 2: no YAML: mapping values are not allowed here'),
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
        ('- {question: A, camera: "\\ud800"}', 'field camera: .*unicode'),
        ('ground_truth: 3\nquestions: [{question: A}]', 'field ground_truth: '),
        (
            f'- {{question: A, truth: [{{answers: 0x{"f" * 4000}}}]}}',
            'question 1, field truth.0.ans',
        ),
        (
            f'- {{question: A, when: {{at_s: [0x{"f" * 4000}]}}}}',
            'question 1, field when.at_s.0: ',
        ),
        ('- {question: }', 'question 1, field question: '),
        ('- question: A?\n- question: "  "', 'question 2, as a whole: the question is empty'),
        ('- {question: A, kind: maybe}', 'question 1, field kind: it must be one of text, '),
        ('- {question: A, kind: choice}', 'question 1, as a whole: a CHOICE question has 0'),
        ('- {question: A, when: {every_s: 0}}', 'question 1, field when.every_s: '),
        ('- {question: A, when: {every_s: .nan}}', 'question 1, field when.every_s: '),
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
    ],
)
def test_what_is_wrong_in_csv(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / 'q.csv'
    path.write_text(text)
    with pytest.raises(QuestionsFileError, match=sentence):
        read_questions(path)


def test_the_schema_says_what_a_file_holds() -> None:
    schema = QuestionsFile.model_json_schema()
    question = schema['$defs']['AskedQuestion']['properties']
    assert set(question['kind']['enum']) == {'text', 'yes_no', 'choice', 'number'}
    assert {'camera', 'when', 'truth', 'labels'} <= set(question)
    assert schema['required'] == ['questions']
