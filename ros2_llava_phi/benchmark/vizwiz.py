"""
VizWiz-VQA (Gurari et al. 2018): https://vizwiz.org, scored as its Python API does.

The folder holds val.json and the pictures in val/; or test.json and test/, which only the server
can score.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, StrictStr, TypeAdapter

from ros2_llava_phi.assistant.question import SHORT_ANSWER
from ros2_llava_phi.datasets.records import PathWithin, Text
from ros2_llava_phi.scoring.correctness import (
    CONTRACTED,
    normalise,
    normalise_for_submission,
    percent,
    restoring,
    soft_accuracy,
    tidy,
)

from .benchmark import Benchmark, Item, Metric, Scores
from .official_files import by_id, check_same_ids, find_file, read_official, write_json

UNANSWERABLE = "When the provided information is insufficient, respond with 'Unanswerable'."
# The official table was typed with curly apostrophes, but for these.
STRAIGHT = ("ain't", "aren't", "can't", "could've", "couldn't", "we've", "where's", "who've")
HALF_STRAIGHT = ("couldn't've", "hadn't've")
CURLY = '\u2019'


def _contractions() -> dict[str, str]:
    curly = restoring([form for form in CONTRACTED if form not in STRAIGHT], CURLY)
    for form in HALF_STRAIGHT:
        lacking = form.replace("'ve", 've')
        curly[lacking] = curly.pop(lacking.replace("'", CURLY))
    return {**curly, **restoring(STRAIGHT, "'"), f'somebody{CURLY}d': 'somebodyd'}


CONTRACTIONS = _contractions()


class _Human(BaseModel):
    answer: StrictStr


class _Question(BaseModel):
    image: PathWithin
    question: Text
    answers: list[_Human] = Field(default=[])
    answer_type: Text = ''


class _Prediction(BaseModel):
    image: StrictStr
    answer: StrictStr


def read(data: Path) -> list[Item]:
    """Return every question of val.json, or of test.json where there is no other."""
    path, questions = _questions(data)
    return [
        Item(
            each.image,
            f'{each.question}\n{UNANSWERABLE}\n{SHORT_ANSWER}',
            data / path.stem / each.image,
        )
        for each in questions
    ]


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write what the evaluation server takes, answers normalised as LLaVA-1.5 does."""
    path = out / 'predictions.json'
    predictions = [
        {'image': image, 'answer': normalise_for_submission(answer)}
        for image, answer in answers.items()
    ]
    write_json(path, predictions)
    return path


def score(data: Path, predictions: Path) -> Scores:
    """
    Return the accuracy in per cent, overall and by type of answer.

    The official scorer compares the prediction, normalised, with the humans' answers as they are.
    """
    path, questions = _questions(data)
    if not all(each.answers for each in questions):
        return Scores(notes=(f'{path} has no answers; upload the predictions to the server',))
    records = read_official(predictions, TypeAdapter(list[_Prediction]))
    answers = by_id(records, (each.image for each in records), predictions)
    check_same_ids(answers, (each.image for each in questions), predictions)
    overall, by_type = [], defaultdict(list)
    for each in questions:
        answer = normalise(tidy(answers[each.image].answer), CONTRACTIONS)
        accuracy = soft_accuracy(answer, [human.answer for human in each.answers])
        overall.append(accuracy)
        by_type[each.answer_type].append(accuracy)
    first = Metric(name='overall', value=percent(overall), digits=2)
    rest = (
        Metric(name=f'answer type {key}', value=percent(of), digits=2)
        for key, of in by_type.items()
    )
    note = f'scored on {path.name}; published figures are those of the test set'
    return Scores(metrics=(first, *rest), headline=first, notes=(note,))


def _questions(data: Path) -> tuple[Path, list[_Question]]:
    path = find_file(data, 'val.json', 'test.json')
    shape = TypeAdapter(Annotated[list[_Question], Field(min_length=1)])
    questions = read_official(path, shape)
    by_id(questions, (each.image for each in questions), path)
    return path, questions


VIZWIZ = Benchmark('vizwiz', 'VizWiz', read, write, score)
