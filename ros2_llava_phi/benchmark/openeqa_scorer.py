"""
OpenEQA (Majumdar et al. 2024): https://github.com/facebookresearch/open-eqa, judged by GPT-4.

The folder holds open-eqa-v0.json and the episodes' pictures, as
frames/hm3d-v0/000-hm3d-BFRyYbPCCPE/00000-rgb.png, of which the middle one is shown.
evaluate-predictions.py, the official judge, takes the predictions; its marks can be scored here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, StrictStr, TypeAdapter

from ros2_llava_phi.datasets.openeqa import OpenEqaQuestion, openeqa_questions
from ros2_llava_phi.errors import DataError, counted

from .benchmark import SHORT, Benchmark, Item, Metric, Scores
from .official_files import (
    by_id,
    check_known,
    check_same_ids,
    every_question,
    find_file,
    read_official,
    write_json,
)

QUESTIONS = 'open-eqa-*.json'
JUDGE = (
    'the judge is outside: give the predictions to evaluate-predictions.py of OpenEQA, and the '
    '...-metrics.json that it writes to --predictions'
)


class _Prediction(BaseModel):
    question_id: StrictStr
    answer: StrictStr | None


def read(data: Path) -> list[Item]:
    """Return every question, about the middle picture of its episode."""
    return [
        Item(key, each.question, _middle(data / 'frames' / each.episode_history), SHORT)
        for key, each in _questions(data).items()
    ]


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write what the official judge takes."""
    path = out / 'predictions.json'
    write_json(path, [{'question_id': key, 'answer': each} for key, each in answers.items()])
    return path


def score(data: Path, predictions: Path) -> Scores:
    """
    Return LLM-Match in per cent, overall and by category, if the judge has given its marks.

    As in the official scorer, a question without a mark does not count.
    """
    questions = _questions(data)
    content = read_official(predictions, TypeAdapter(list[_Prediction] | dict[str, Any]))
    if isinstance(content, list):
        answers = by_id(content, (each.question_id for each in content), predictions)
        check_same_ids(answers, questions, predictions)
        return Scores(notes=(JUDGE,))
    marks = read_official(predictions, TypeAdapter(dict[str, float]))
    check_known(marks, questions, predictions)
    if not marks:
        raise DataError(f'{predictions} holds no mark')
    groups = {'LLM-Match': list(marks)}
    for key in marks:
        groups.setdefault(str(questions[key].category), []).append(key)
    metrics = [
        Metric(name=name, value=_match([marks[key] for key in keys]), digits=1)
        for name, keys in groups.items()
    ]
    missing = len(questions) - len(marks)
    note = f'{missing} of {counted(len(questions), "question")} without a mark, left out'
    return Scores(metrics=tuple(metrics), headline=metrics[0], notes=(note,) if missing else ())


def _questions(data: Path) -> dict[str, OpenEqaQuestion]:
    path = find_file(data, QUESTIONS)
    needed = ('question_id', 'category')
    questions = list(every_question(path, openeqa_questions(path), needed).values())
    return by_id(questions, (each.question_id for each in questions), path)


def _middle(episode: Path) -> Path:
    pictures = sorted(episode.glob('*-rgb.png'))
    if not pictures:
        raise DataError(f'{episode} holds no picture *-rgb.png; extract the episode there')
    return pictures[(len(pictures) - 1) // 2]


def _match(marks: list[float]) -> float:
    return float(np.mean(100.0 * (np.clip(marks, 1, 5) - 1) / 4))


OPENEQA = Benchmark('openeqa', 'OpenEQA', read, write, score)
