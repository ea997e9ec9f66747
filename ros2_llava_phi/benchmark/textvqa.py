"""
TextVQA (Singh et al. 2019): https://textvqa.org, scored as LLaVA's eval_textvqa.py does.

The folder holds TextVQA_0.5.1_val.json, the pictures, as train_images/003a8ae2ef43b901.jpg, and
TextVQA_Rosetta_OCR_v0.2_val.json for the words that LLaVA-1.5 writes into the prompt.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, StrictInt, StrictStr, TypeAdapter

from ros2_llava_phi.assistant.question import SHORT_ANSWER
from ros2_llava_phi.datasets.records import PathWithin, Text
from ros2_llava_phi.errors import DataError, counted
from ros2_llava_phi.scoring.correctness import normalise_for_submission, soft_accuracy

from .benchmark import Benchmark, Item, Metric, Scores
from .official_files import by_id, find_file, read_official, read_official_lines, write_json_lines

QUESTIONS, WORDS = 'TextVQA_*_val.json', 'TextVQA_Rosetta_OCR_*_val.json'
OCR = 'Reference OCR token: '


class _Question(BaseModel):
    question_id: StrictInt
    image_id: PathWithin
    question: Text
    answers: Annotated[list[Text], Field(min_length=10, max_length=10)]


class _Questions(BaseModel):
    data: Annotated[list[_Question], Field(min_length=1)]


class _Words(BaseModel):
    image_id: Text
    ocr_tokens: list[Text]


class _WordsFile(BaseModel):
    data: list[_Words]


class _Prediction(BaseModel):
    question_id: StrictStr
    prompt: StrictStr
    text: StrictStr


def read(data: Path) -> list[Item]:
    """Return every question, with the words of its picture where the folder has them."""
    prompts = _prompts(data)
    return [
        Item(
            str(each.question_id),
            prompts[each.question_id],
            data / 'train_images' / f'{each.image_id}.jpg',
        )
        for each in _questions(data)
    ]


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write what LLaVA's scorer takes, in which a question is known by its picture and words."""
    path, prompts = out / 'predictions.jsonl', _prompts(data)
    pictures = {each.question_id: each.image_id for each in _questions(data)}
    write_json_lines(
        path,
        (
            {'question_id': pictures[int(key)], 'prompt': prompts[int(key)], 'text': text}
            for key, text in answers.items()
        ),
    )
    return path


def score(data: Path, predictions: Path) -> Scores:
    """
    Return the accuracy in per cent of what was predicted.

    As in the official scorer, a question without a prediction does not count.
    """
    questions = _questions(data)
    humans = {(each.image_id, each.question.lower()): each.answers for each in questions}
    records = read_official_lines(predictions, TypeAdapter(_Prediction))
    asked = [
        (each.question_id, _question_of(each.prompt, f'{predictions}, record {number}'))
        for number, each in enumerate(records, 1)
    ]
    # The same words may be asked about a picture more than once.
    unanswered = Counter((each.image_id, each.question.lower()) for each in questions)
    accuracies = []
    for number, (record, key) in enumerate(zip(records, asked, strict=True), 1):
        if not unanswered[key]:
            what = 'stands there twice' if key in humans else 'is no question of the benchmark'
            raise DataError(f'{predictions}, record {number}: {key[1]!r} about {key[0]!r} {what}')
        unanswered[key] -= 1
        answer = normalise_for_submission(record.text)
        said = [normalise_for_submission(each) for each in humans[key]]
        accuracies.append(soft_accuracy(answer, said))
    accuracy = 100.0 * (sum(accuracies) / len(accuracies))
    first = Metric(name='Accuracy', value=accuracy, digits=2)
    missing = len(questions) - len(records)
    note = f'{missing} of {counted(len(questions), "question")} without a prediction, left out'
    return Scores(metrics=(first,), headline=first, notes=(note,) if missing else ())


def _questions(data: Path) -> list[_Question]:
    path = find_file(data, QUESTIONS.replace('*', '0.5.1'), 'TextVQA_[0-9]*_val.json')
    questions = read_official(path, TypeAdapter(_Questions)).data
    by_id(questions, (each.question_id for each in questions), path)
    return questions


def _prompts(data: Path) -> dict[int, str]:
    words: dict[str, list[str]] = {}
    if any(data.glob(WORDS)):
        records = read_official(find_file(data, WORDS), TypeAdapter(_WordsFile)).data
        words = {each.image_id: each.ocr_tokens for each in records}
    prompts = {}
    for each in _questions(data):
        lines = [each.question, SHORT_ANSWER]
        if words:
            lines.insert(1, OCR + ', '.join(words.get(each.image_id, [])))
        prompts[each.question_id] = '\n'.join(lines)
    return prompts


def _question_of(prompt: str, where: str) -> str:
    """Return the question within a prompt of one of the forms that LLaVA's scorer knows."""
    lines = prompt.split('\n')
    if prompt.startswith('OCR tokens: '):
        found = re.search('Question: (.*?) Short answer:', prompt, re.DOTALL)
        if found is not None:
            return found.group(1).lower()
    elif len(lines) == 2 or (len(lines) == 3 and OCR in prompt):
        second = len(lines) == 3 and prompt.startswith(OCR.strip())
        return lines[1 if second else 0].lower()
    raise DataError(
        f"{where}, field 'prompt': the question, a line {OCR.strip()!r} if need be and the "
        'instruction must stand on lines of their own'
    )


TEXTVQA = Benchmark('textvqa', 'TextVQA', read, write, score)
