"""
ScienceQA (Lu et al. 2022), questions with a picture, scored as LLaVA's eval_science_qa.py does.

The folder holds problems.json, pid_splits.json and the pictures, as images/test/42/image.png.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, StrictInt, StrictStr, TypeAdapter

from ros2_llava_phi.datasets.records import PathWithin, Text
from ros2_llava_phi.errors import DataError

from .benchmark import LONG, OPTION_LETTER, Benchmark, Item, Metric, Scores
from .official_files import (
    by_id,
    check_known,
    read_official,
    read_official_lines,
    write_json_lines,
)

SPLIT = 'test'
LETTERS = 'ABCDE'
WITH_PICTURE = '<image>'


class _Problem(BaseModel):
    question: Text
    choices: list[Text]
    answer: StrictInt
    hint: Text = ''
    image: PathWithin | None = None


class _Prediction(BaseModel):
    question_id: StrictStr
    prompt: StrictStr
    text: StrictStr


def read(data: Path) -> list[Item]:
    """Return the questions of the test split that have a picture."""
    return [
        Item(key, _prompt(each), data / 'images' / SPLIT / key / each.image, LONG)
        for key, each in _problems(data).items()
        if each.image is not None
    ]


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write what LLaVA's scorer takes."""
    path, problems = out / 'predictions.jsonl', _problems(data)
    prompts = {key: f'{WITH_PICTURE}\n{_prompt(problems[key])}' for key in answers}
    records = (
        {'question_id': key, 'prompt': prompts[key], 'text': text} for key, text in answers.items()
    )
    write_json_lines(path, records)
    return path


def score(data: Path, predictions: Path) -> Scores:
    """
    Return the accuracy in per cent of the questions with a picture, and of all.

    As in the official scorer, a question with a picture is one whose prediction has `<image>` in
    its prompt; one without a prediction counts as wrong among all, and as none among these.
    """
    problems = _problems(data)
    records = read_official_lines(predictions, TypeAdapter(_Prediction))
    predicted = by_id(records, (each.question_id for each in records), predictions)
    check_known(predicted, problems, predictions)
    right = {
        key: key in predicted and _chosen(predicted[key].text, len(each.choices)) == each.answer
        for key, each in problems.items()
    }
    with_picture = [key for key, each in predicted.items() if WITH_PICTURE in each.prompt]
    if not with_picture:
        raise DataError(f'{predictions} has no prompt with {WITH_PICTURE}; nothing to score')
    of_pictures = sum(right[key] for key in with_picture) / len(with_picture) * 100
    first = Metric(name='IMG-Accuracy', value=of_pictures, digits=2)
    overall = Metric(name='Accuracy', value=sum(right.values()) / len(problems) * 100, digits=2)
    missing = len(problems) - len(predicted)
    note = f'{missing} of {len(problems)} have no prediction and count as wrong in Accuracy'
    return Scores(metrics=(first, overall), headline=first, notes=(note,) if missing else ())


def _problems(data: Path) -> dict[str, _Problem]:
    path = data / 'pid_splits.json'
    splits = read_official(path, TypeAdapter(dict[str, list[PathWithin]]))
    if SPLIT not in splits:
        raise DataError(f'{path} has no split {SPLIT!r}')
    known = read_official(data / 'problems.json', TypeAdapter(dict[str, _Problem]))
    for key in splits[SPLIT]:
        if key not in known:
            raise DataError(f'{data / "problems.json"} has no problem {key!r} of {path.name}')
        if not 0 <= known[key].answer < len(LETTERS):
            raise DataError(
                f"{data / 'problems.json'}, problem {key!r}, field 'answer': "
                f'{known[key].answer} is no choice'
            )
    problems = {key: known[key] for key in splits[SPLIT]}
    if all(each.image is None for each in problems.values()):
        raise DataError(f'{path}: the split {SPLIT!r} has no question with a picture')
    return problems


def _prompt(problem: _Problem) -> str:
    context = [f'Context: {problem.hint}'] if problem.hint else []
    choices = [
        f'{letter}. {choice}' for letter, choice in zip(LETTERS, problem.choices, strict=False)
    ]
    return '\n'.join([*context, problem.question, *choices, OPTION_LETTER])


def _chosen(text: str, choices: int) -> int:
    """Return the number of the choice that a text names; -1 if it names none."""
    if text in tuple(LETTERS) or (text[:1] in tuple(LETTERS) and text[1:3] == '. '):
        letter = text[0]
    else:
        said = re.findall(r'The answer is ([A-Z]).', text)
        letter = said[0] if len(said) == 1 else ''
    return LETTERS[:choices].index(letter) if letter and letter in LETTERS[:choices] else -1


SCIENCEQA = Benchmark('scienceqa', 'ScienceQA-IMG', read, write, score)
