"""
VQAv2 (Goyal et al. 2017): https://visualqa.org, scored as GT-Vision-Lab/VQA's vqaEval.py does.

The folder holds v2_OpenEnded_mscoco_*_questions.json, for a local score the annotations beside it,
and the pictures, as val2014/COCO_val2014_000000000042.jpg.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StrictInt, StrictStr, TypeAdapter

from ros2_llava_phi.assistant.question import SHORT_ANSWER
from ros2_llava_phi.datasets.records import Text
from ros2_llava_phi.scoring.correctness import (
    normalise,
    normalise_for_submission,
    percent,
    soft_accuracy,
    tidy,
)

from .benchmark import Benchmark, Item, Metric, Scores
from .official_files import by_id, check_same_ids, find_file, read_official, write_json

QUESTIONS, ANNOTATIONS = '*OpenEnded*questions.json', '*annotations.json'


class _Question(BaseModel):
    question_id: StrictInt
    image_id: StrictInt
    question: Text


class _Questions(BaseModel):
    questions: Annotated[list[_Question], Field(min_length=1)]


def _with_answer(human: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(human.get('answer'), str):
        raise ValueError("an answer needs a text in the field 'answer'")
    return human


class _Annotation(BaseModel):
    question_id: StrictInt
    question_type: Text
    answer_type: Text
    answers: Annotated[
        list[Annotated[dict[str, Any], AfterValidator(_with_answer)]], Field(min_length=1)
    ]


class _Annotations(BaseModel):
    annotations: Annotated[list[_Annotation], Field(min_length=1)]


class _Prediction(BaseModel):
    question_id: StrictInt
    answer: StrictStr


def read(data: Path) -> list[Item]:
    """Return every question of the questions file; see Benchmark."""
    path = find_file(data, QUESTIONS)
    questions = read_official(path, TypeAdapter(_Questions)).questions
    by_id(questions, (each.question_id for each in questions), path)
    # test-dev2015 asks about some of the pictures of test2015.
    found = re.search(r'(train|val|test)(?:-dev)?(\d{4})', path.name)
    subset = ''.join(found.groups()) if found else 'val2014'
    return [
        Item(
            str(each.question_id),
            f'{each.question}\n{SHORT_ANSWER}',
            data / subset / f'COCO_{subset}_{each.image_id:012d}.jpg',
        )
        for each in questions
    ]


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write what the evaluation server takes, answers normalised as LLaVA-1.5 does."""
    path = out / 'predictions.json'
    predictions = [
        {'question_id': int(key), 'answer': normalise_for_submission(answer)}
        for key, answer in answers.items()
    ]
    write_json(path, predictions)
    return path


def score(data: Path, predictions: Path) -> Scores:
    """Return the accuracy in per cent: overall, by type of answer and by type of question."""
    if not any(data.glob(ANNOTATIONS)):
        note = f'{data} holds no annotations; upload the predictions to the evaluation server'
        return Scores(notes=(note,))
    path = find_file(data, ANNOTATIONS)
    annotations = read_official(path, TypeAdapter(_Annotations)).annotations
    by_id(annotations, (each.question_id for each in annotations), path)
    records = read_official(predictions, TypeAdapter(list[_Prediction]))
    answers = by_id(records, (each.question_id for each in records), predictions)
    check_same_ids(answers, (each.question_id for each in annotations), predictions)
    groups: dict[str, list[float]] = defaultdict(list)
    for kind, field in (('answer type', 'answer_type'), ('question type', 'question_type')):
        for each in annotations:
            groups[f'{kind} {getattr(each, field)}'] = []
    overall = []
    for each in annotations:
        accuracy = _accuracy(answers[each.question_id].answer, each.answers)
        overall.append(accuracy)
        groups[f'answer type {each.answer_type}'].append(accuracy)
        groups[f'question type {each.question_type}'].append(accuracy)
    first = Metric(name='overall', value=percent(overall), digits=2)
    rest = (Metric(name=key, value=percent(of), digits=2) for key, of in groups.items())
    note = f'scored on {path.name}; published figures are those of test-dev'
    return Scores(metrics=(first, *rest), headline=first, notes=(note,))


def _accuracy(answer: str, humans: list[dict[str, Any]]) -> float:
    answer, said = tidy(answer), [tidy(human['answer']) for human in humans]
    # The official code normalises only where the humans do not all say the same.
    if len(set(said)) > 1:
        answer, said = normalise(answer), [normalise(each) for each in said]
    records = [{**human, 'answer': text} for human, text in zip(humans, said, strict=True)]
    return soft_accuracy(answer, said, records)


VQAV2 = Benchmark('vqav2', 'VQAv2', read, write, score)
