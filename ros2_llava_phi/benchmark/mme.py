"""
MME (Fu et al. 2023), scored as its eval_tool/calculation.py does.

The folder holds eval_tool/Your_Results/ with a text file for each of the 14 subtasks (picture,
question, Yes or No, divided by tabs), and the pictures, as
MME_Benchmark_release_version/OCR/0001.jpg or MME_Benchmark_release_version/OCR/images/0001.jpg.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ros2_llava_phi.assistant.question import SHORT_ANSWER
from ros2_llava_phi.datasets.records import checked_path
from ros2_llava_phi.errors import DataError, counted
from ros2_llava_phi.files.atomic import write_atomically

from .benchmark import Benchmark, Item, Metric, Scores
from .official_files import read_lines

PARTS = {
    'Perception': (
        'existence',
        'count',
        'position',
        'color',
        'posters',
        'celebrity',
        'scene',
        'landmark',
        'artwork',
        'OCR',
    ),
    'Cognition': (
        'commonsense_reasoning',
        'numerical_calculation',
        'text_translation',
        'code_reasoning',
    ),
}
SUBTASKS = tuple(name for names in PARTS.values() for name in names)
# LLaVA-1.5 asks for a single word instead.
INSTRUCTION = 'Please answer yes or no.'


@dataclass(frozen=True)
class _Line:
    picture: str
    question: str
    truth: str
    answer: str = ''


def read(data: Path) -> list[Item]:
    """Return the questions of all subtasks."""
    items = []
    for subtask, lines in _questions(data).items():
        folder = data / 'MME_Benchmark_release_version' / subtask
        folder = folder / 'images' if (folder / 'images').is_dir() else folder
        for number, each in enumerate(lines, 1):
            question = each.question.replace(INSTRUCTION, '').strip()
            items.append(
                Item(f'{subtask}/{number}', f'{question}\n{SHORT_ANSWER}', folder / each.picture)
            )
    return items


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write a text file for each subtask, as the official tool takes it; return their folder."""
    folder = out / 'predictions'
    for subtask, lines in _questions(data).items():
        rows = (
            [each.picture, each.question, each.truth, ' '.join(answers[f'{subtask}/{n}'].split())]
            for n, each in enumerate(lines, 1)
        )
        text = ''.join('\t'.join(row) + '\n' for row in rows)
        write_atomically(folder / f'{subtask}.txt', text, DataError)
    return folder


def score(data: Path, predictions: Path) -> Scores:
    """
    Return the score of every subtask, 0..200, and the sums for perception and cognition.

    A subtask's score is the share of questions answered rightly and that of pictures of which
    both questions are, each times 100. Every subtask must have all its lines.
    """
    questions = _questions(data)
    metrics, sums = [], []
    for part, subtasks in PARTS.items():
        total = 0.0
        for subtask in subtasks:
            path = predictions / f'{subtask}.txt'
            lines = _lines(path, fields=4)
            _check_same_questions(lines, questions[subtask], path)
            found = _score(lines)
            total += found
            metrics.append(Metric(name=subtask, value=found))
        sums.append(Metric(name=part, value=total))
    perception = Metric(name='MME-P', value=sums[0].value, digits=1)
    return Scores(metrics=(*sums, *metrics), headline=perception)


def _questions(data: Path) -> dict[str, list[_Line]]:
    folder = data / 'eval_tool' / 'Your_Results'
    return {subtask: _lines(folder / f'{subtask}.txt', fields=3) for subtask in SUBTASKS}


def _lines(path: Path, fields: int) -> list[_Line]:
    lines = []
    for number, text in enumerate(read_lines(path), 1):
        # The line's end belongs to the last field, as in the official tool.
        row = text.split('\t') if fields > 3 else text.rstrip('\n').split('\t')
        if len(row) != fields:
            raise DataError(
                f'{path}, line {number} has {len(row)} fields, divided by tabs; it needs {fields}'
            )
        if row[2].lower() not in ('yes', 'no'):
            raise DataError(f'{path}, line {number}, field 3: {row[2]!r} is no Yes or No')
        try:
            checked_path(row[0])
        except ValueError as error:
            raise DataError(f'{path}, line {number}, field 1: {error}') from None
        lines.append(_Line(*row))
    if not lines or len(lines) % 2:
        raise DataError(f'{path} has {counted(len(lines), "line")}; each picture needs two')
    return lines


def _check_same_questions(lines: list[_Line], questions: list[_Line], path: Path) -> None:
    if len(lines) != len(questions):
        raise DataError(
            f'{path} has {counted(len(lines), "line")} for {counted(len(questions), "question")}'
        )
    for number, (line, question) in enumerate(zip(lines, questions, strict=True), 1):
        if (line.picture, line.truth.lower()) != (question.picture, question.truth.lower()):
            raise DataError(
                f'{path}, line {number} is about {line.picture} ({line.truth}); '
                f'it is {question.picture} ({question.truth}) that is asked about there'
            )


def _score(lines: list[_Line]) -> float:
    right = [each.truth.lower() == _said(each.answer) for each in lines]
    pictures = list(zip(right[::2], right[1::2], strict=True))
    both = sum(first and second for first, second in pictures)
    return sum(right) / len(right) * 100 + both / len(pictures) * 100


def _said(answer: str) -> str:
    """Return what an answer says: what of yes and no is within its first four letters."""
    start = answer.lower()[:4]
    return 'yes' if 'yes' in start else 'no' if 'no' in start else 'other'


MME = Benchmark('mme', 'MME', read, write, score)
