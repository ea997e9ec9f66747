"""
DriveLM-nuScenes (Sima et al. 2023), scored as OpenDriveLab/DriveLM's challenge/evaluation.py does.

The folder holds test_eval.json, or the challenge's questions (*.json), and the pictures, as
nuscenes/samples/CAM_FRONT/... GPT's part of the score is outside.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, StrictStr, TypeAdapter

from ros2_llava_phi.datasets.drivelm import DriveLmQuestion, drivelm_questions
from ros2_llava_phi.datasets.records import checked_path
from ros2_llava_phi.errors import DataError, counted
from ros2_llava_phi.scoring.language import bleu, cider, rouge_l
from ros2_llava_phi.scoring.ptb import tokenise

from .benchmark import Benchmark, Item, Metric, Scores
from .official_files import (
    by_id,
    check_same_ids,
    every_question,
    find_file,
    read_official,
    write_json,
)

FRONT = 'CAM_FRONT'
# An object in a question is written <id,camera,x,y>.
OBJECT = re.compile(r'<c\d+,(CAM_\w+),')
# Of DriveLM's tags: which figures an answer counts for.
ACCURACY, GPT, LANGUAGE, MATCH = range(4)
DECIMAL = re.compile(r'\d+\.\d+')
# Two points match if they are nearer than this, in pixels of a picture of 1600 x 900.
NEAR = 16
EPSILON = 1e-8
MAX_TOKENS = 256
JUDGE = (
    'the judge is outside: GPT rates the pairs in judge.json, 0 to 100; with the means g of '
    '"chatgpt" and m of "match" the final score is 0.4 g / 100 + 0.2 language + '
    '0.2 (match F1 + m) / 200 + 0.2 accuracy'
)

Point = tuple[float, float]


class _Prediction(BaseModel):
    id: StrictStr
    answer: StrictStr


@dataclass(frozen=True)
class _Pair:
    """A question that counts, with the answer given and the one wanted."""

    id: str
    tags: tuple[int, ...]
    answer: str
    truth: str


def read(data: Path) -> list[Item]:
    """Return every question, about the camera of the first object in it, or the front."""
    path = _file(data)
    return [
        Item(key, asked.question, data / _picture(path, key, asked), MAX_TOKENS)
        for key, asked in _questions(data).items()
    ]


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write what the official scorer takes."""
    path, questions = out / 'predictions.json', _questions(data)
    write_json(
        path,
        [
            {'id': key, 'question': asked.question, 'answer': answers[key]}
            for key, asked in questions.items()
        ],
    )
    return path


def write_judge_input(data: Path, predictions: Path, out: Path) -> None:
    """Write to judge.json the pairs of answers that GPT is to rate, and for which figure."""
    figures, questions = {GPT: 'chatgpt', MATCH: 'match'}, _questions(data)
    pairs = [
        {'id': each.id, 'figure': figure, 'answer': each.answer, 'correct_answer': each.truth}
        for each in _counting(questions, _answers(questions, predictions))
        for tag, figure in figures.items()
        if tag in each.tags
    ]
    if pairs:
        write_json(out / 'judge.json', pairs)


def score(data: Path, predictions: Path) -> Scores:
    """
    Return the accuracy 0..1, the match's F1 in per cent and the language figures, without GPT's.

    As in the official scorer, a question about points counts only if the answer to the frame's
    first question found all of them.
    """
    questions = _questions(data)
    answers = _answers(questions, predictions)
    if not any(asked.tags for asked in questions.values()):
        return Scores(notes=('the questions have no answers; upload the predictions',))
    pairs = _counting(questions, answers)
    metrics = []
    if exact := [each.answer == each.truth for each in pairs if ACCURACY in each.tags]:
        metrics.append(Metric(name='accuracy', value=sum(map(float, exact)) / len(exact)))
    if f1s := [_match(each.answer, each.truth)[1] for each in pairs if MATCH in each.tags]:
        metrics.append(Metric(name='match F1', value=sum(100 * f1 for f1 in f1s) / len(f1s)))
    metrics += _language([each for each in pairs if LANGUAGE in each.tags])
    gated = len(answers) - len(pairs)
    notes = (
        f'{gated} of {counted(len(answers), "question")} left out: their points were not found',
        JUDGE,
    )
    return Scores(metrics=tuple(metrics), notes=notes)


def _questions(data: Path) -> dict[str, DriveLmQuestion]:
    path = _file(data)
    return every_question(path, drivelm_questions(path))


def _file(data: Path) -> Path:
    return find_file(data, 'test_eval.json', '*.json')


def _answers(questions: Mapping[str, DriveLmQuestion], predictions: Path) -> dict[str, str]:
    records = read_official(predictions, TypeAdapter(list[_Prediction]))
    found = by_id(records, (each.id for each in records), predictions)
    check_same_ids(found, questions, predictions)
    return {key: each.answer for key, each in found.items()}


def _picture(path: Path, key: str, asked: DriveLmQuestion) -> str:
    where = f"{path}, record {key}, field 'image_paths'"
    named = OBJECT.search(asked.question)
    camera = named[1] if named and named[1] in asked.image_paths else FRONT
    if camera not in asked.image_paths:
        names = ', '.join(asked.image_paths) or 'nothing'
        raise DataError(f'{where}: there is no picture of {camera}, only of {names}')
    try:
        # The official paths are from a folder in that of the files.
        return checked_path(asked.image_paths[camera].removeprefix('../'))
    except ValueError as error:
        raise DataError(f'{where}: {error}') from None


def _counting(questions: Mapping[str, DriveLmQuestion], answers: Mapping[str, str]) -> list[_Pair]:
    """Return the questions that count, in their order."""
    pairs, found = [], list[Point]()
    for key, asked in questions.items():
        pair = _Pair(key, tuple(asked.tags or ()), answers[key], asked.answer)
        if key.endswith('_0'):
            found, _ = _match(pair.answer, pair.truth, key)
        elif not all(point in found for point in _points(asked.question, key)):
            continue
        pairs.append(pair)
    return pairs


def _points(text: str, where: str) -> list[Point]:
    numbers = [float(each) for each in DECIMAL.findall(text)]
    if len(numbers) % 2:
        raise DataError(f'question {where} has {len(numbers)} decimals, which are no points')
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _match(answer: str, truth: str, where: str = '') -> tuple[list[Point], float]:
    """Return which points of the truth an answer has, each at most once, and the F1."""
    numbers = [float(each) for each in DECIMAL.findall(answer)]
    left, found, wrong = _points(truth, where), list[Point](), 0
    wanted = len(left)
    for x, y in zip(numbers[::2], numbers[1::2], strict=False):
        distances = [abs(x - each[0]) + abs(y - each[1]) for each in left]
        nearest = min(distances, default=float('inf'))
        if nearest < NEAR:
            found.append(left.pop(distances.index(nearest)))
        else:
            wrong += 1
    precision = len(found) / (len(found) + wrong + EPSILON)
    recall = len(found) / (wanted + EPSILON)
    return found, 2 * precision * recall / (precision + recall + EPSILON)


def _language(pairs: list[_Pair]) -> list[Metric]:
    if not pairs:
        return []
    truths = tokenise([each.truth.replace('_UNK', '_UNKNOWN') for each in pairs])
    answers = tokenise([each.answer for each in pairs])
    figures = {f'Bleu_{n}': each for n, each in enumerate(bleu(answers, truths), 1)}
    figures['ROUGE_L'] = rouge_l(answers, truths)
    figures['CIDEr'] = cider(answers, truths)
    # Divided one by one, as the official code does, so that the last digit is the same.
    *bleus, rouge, cider_d = figures.values()
    parts = [each / 4.0 / 3.0 for each in bleus]
    language = sum([*parts, rouge / 3.0, cider_d / 10.0 / 3.0])
    metrics = [Metric(name=name, value=each) for name, each in figures.items()]
    return [*metrics, Metric(name='language', value=language)]


DRIVELM = Benchmark('drivelm', 'DriveLM', read, write, score, write_judge_input)
