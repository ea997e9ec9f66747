"""
MM-Vet (Yu et al. 2023): https://github.com/yuweihao/MM-Vet, judged by GPT-4.

The folder holds mm-vet.json and the pictures in images/. mm-vet_evaluator.py, the official judge,
takes the predictions; the grades that it writes can be scored here.
"""

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, StrictStr, TypeAdapter

from ros2_llava_phi.datasets.records import PathWithin, Text

from .benchmark import LONG, Benchmark, Item, Metric, Scores
from .official_files import check_same_ids, read_official, write_json

JUDGE = (
    'the judge is outside: give the predictions to mm-vet_evaluator.py of MM-Vet, and the '
    '...-grade-1runs.json that it writes to --predictions'
)


class _Question(BaseModel):
    imagename: PathWithin
    question: Text
    answer: Text
    capability: list[Text]


class _Grade(BaseModel):
    score: Annotated[list[float], Field(min_length=1)]


def read(data: Path) -> list[Item]:
    """Return every question, without any instruction."""
    return [
        Item(key, each.question, data / 'images' / each.imagename, LONG)
        for key, each in _questions(data).items()
    ]


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write what the official judge takes."""
    path = out / 'predictions.json'
    write_json(path, dict(answers))
    return path


def score(data: Path, predictions: Path) -> Scores:
    """Return the judge's mean grades in per cent, overall and by capability, if it has graded."""
    questions = _questions(data)
    content = read_official(predictions, TypeAdapter(dict[str, Any]))
    check_same_ids(content, questions, predictions)
    if not all(isinstance(each, dict) for each in content.values()):
        read_official(predictions, TypeAdapter(dict[str, StrictStr]))
        return Scores(notes=(JUDGE,))
    grades = read_official(predictions, TypeAdapter(dict[str, _Grade]))
    groups = {'total': set(questions)}
    for key, each in questions.items():
        for capability in each.capability:
            groups.setdefault(capability, set()).add(key)
    for key, each in questions.items():
        groups.setdefault(' + '.join(sorted(set(each.capability))), set()).add(key)
    metrics = [
        Metric(name=name, value=_mean_grade(grades, keys), digits=1)
        for name, keys in groups.items()
    ]
    return Scores(metrics=tuple(metrics), headline=metrics[0])


def _mean_grade(grades: Mapping[str, _Grade], keys: Set[str]) -> float:
    """Return the mean over runs in per cent, summed and rounded as the official code does."""
    runs = np.zeros(min(len(each.score) for each in grades.values()))
    for key, each in grades.items():
        if key in keys:
            runs += each.score[: len(runs)]
    return float(np.round((runs / len(keys) * 100).mean(), 1))


def _questions(data: Path) -> dict[str, _Question]:
    shape = TypeAdapter(Annotated[dict[Text, _Question], Field(min_length=1)])
    return read_official(data / 'mm-vet.json', shape)


MMVET = Benchmark('mmvet', 'MM-Vet', read, write, score)
