"""
NuScenes-QA (Qian et al. 2024), scored as its src/execution/result_eval.py does.

The folder holds NuScenes_val_questions.json and, of nuScenes, v1.0-trainval/sample_data.json and
samples/CAM_FRONT/. Its questions are about all around the car; a model of one picture sees the
front.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from json import JSONDecoder
from pathlib import Path
from typing import Any

from pydantic import BaseModel, StrictInt, TypeAdapter

from ros2_llava_phi.assistant.question import SHORT_ANSWER
from ros2_llava_phi.errors import DataError

from .benchmark import Benchmark, Item, Metric, Scores
from .official_files import Text, checked_path, find_file, read_json, read_lines

QUESTIONS = 'NuScenes_*questions.json'
CAMERA = 'CAM_FRONT'
# Between sample, question, prediction and answer in the official file of results.
BETWEEN = '    '
CHUNK = 1 << 20


class _Question(BaseModel):
    sample_token: Text
    question: Text
    answer: Text | StrictInt
    template_type: Text
    num_hop: StrictInt


class _Questions(BaseModel):
    questions: list[_Question]


def read(data: Path) -> list[Item]:
    """Return every question, about the picture of the front camera."""
    questions = _questions(data)
    pictures = _pictures(data, {each.sample_token for each in questions})
    return [
        Item(str(number), f'{each.question}\n{SHORT_ANSWER}', pictures[each.sample_token])
        for number, each in enumerate(questions, 1)
    ]


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write the official file of results; answers in small letters, without a period behind."""
    path = out / 'predictions.txt'
    lines = (
        BETWEEN.join((each.sample_token, each.question, _plain(answers[str(n)]), str(each.answer)))
        for n, each in enumerate(_questions(data), 1)
    )
    path.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')
    return path


def score(data: Path, predictions: Path) -> Scores:
    """Return the share of answers that are equal to the letter, in per cent, by type and hops."""
    right: dict[str, list[bool]] = defaultdict(list)
    questions = _questions(data)
    lines = read_lines(predictions)
    if len(lines) != len(questions):
        raise DataError(
            f'{predictions} has {len(lines)} lines; there are {len(questions)} questions, and '
            'each must have its line'
        )
    for number, (each, line) in enumerate(zip(questions, lines, strict=True), 1):
        head = f'{each.sample_token}{BETWEEN}{each.question}{BETWEEN}'
        tail = f'{BETWEEN}{each.answer}'
        line = line.removesuffix('\n')
        if not (line.startswith(head) and line.endswith(tail) and len(head + tail) <= len(line)):
            raise DataError(
                f'{predictions}, line {number} must read {head!r}, the prediction, {tail!r}'
            )
        same = line[len(head) : len(line) - len(tail)] == str(each.answer)
        for group in ('Overall', each.template_type, f'{each.template_type}_{each.num_hop}'):
            right[group].append(same)
    metrics = {
        name: Metric(name=name, value=100.0 * sum(of) / len(of), digits=2)
        for name, of in sorted(right.items())
    }
    return Scores(metrics=tuple(metrics.values()), headline=metrics['Overall'])


def _questions(data: Path) -> list[_Question]:
    path = find_file(data, 'NuScenes_val_questions.json', QUESTIONS)
    questions = read_json(path, TypeAdapter(_Questions)).questions
    if not questions:
        raise DataError(f'{path} holds no question')
    return questions


def _plain(answer: str) -> str:
    return ' '.join(answer.split()).rstrip('.').lower()


def _pictures(data: Path, samples: set[str]) -> dict[str, Path]:
    path = find_file(data, '*/sample_data.json', 'sample_data.json')
    start = f'samples/{CAMERA}/'
    found = {}
    for number, record in enumerate(_records(path), 1):
        name, sample = record.get('filename'), record.get('sample_token')
        if not (isinstance(name, str) and isinstance(sample, str)):
            raise DataError(
                f"{path}, record {number}: 'filename' and 'sample_token' must be texts"
            )
        if name.startswith(start) and sample in samples:
            try:
                found[sample] = data / checked_path(name)
            except ValueError as error:
                raise DataError(f"{path}, record {number}, field 'filename': {error}") from None
    if missing := samples - found.keys():
        raise DataError(f'{path} has no picture of {CAMERA} for sample {min(missing)!r}')
    return found


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON list one by one: the whole of it, 1.2 GB, may not fit memory."""
    decoder, text, done = JSONDecoder(), '', 0
    with path.open(encoding='utf-8', errors='replace') as file:
        while chunk := file.read(CHUNK):
            text, done = text[done:] + chunk, 0
            while (start := text.find('{', done)) >= 0:
                try:
                    record, done = decoder.raw_decode(text, start)
                except (ValueError, RecursionError):
                    # It goes on in the next chunk; none is longer than one.
                    if len(text) - start > CHUNK:
                        raise DataError(
                            f'{path} holds a record that is no JSON: {text[start : start + 60]!r}'
                        ) from None
                    break
                yield record
    if text.find('{', done) >= 0:
        raise DataError(f'{path} ends within a record; copy it anew')


NUSCENESQA = Benchmark('nuscenesqa', 'NuScenes-QA', read, write, score)
