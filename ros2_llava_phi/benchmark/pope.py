"""
POPE (Li et al. 2023): https://github.com/AoiDragon/POPE, scored as its evaluate.py does.

The folder holds coco_pope_random.json, coco_pope_popular.json and coco_pope_adversarial.json, or
some of them, and the pictures, as val2014/COCO_val2014_000000310196.jpg.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, StrictStr, TypeAdapter

from ros2_llava_phi.assistant.question import SHORT_ANSWER
from ros2_llava_phi.datasets.records import PathWithin, Text
from ros2_llava_phi.errors import DataError, counted

from .benchmark import Benchmark, Item, Metric, Scores
from .official_files import read_official_lines, write_json_lines

CATEGORIES = ('random', 'popular', 'adversarial')
NO = ('No', 'not', 'no')
COUNTS = ('TP', 'FP', 'TN', 'FN')


class _Question(BaseModel):
    image: PathWithin
    text: Text
    label: Literal['yes', 'no']


class _Prediction(BaseModel):
    """A line as POPE has it (question, answer), or as LLaVA has it (text, category)."""

    answer: StrictStr | None = None
    text: StrictStr | None = None
    question: StrictStr | None = None
    category: StrictStr | None = None

    @property
    def said(self) -> str | None:
        """Return the answer."""
        return self.text if self.answer is None else self.answer


def read(data: Path) -> list[Item]:
    """Return the questions of every category that the folder holds."""
    return [
        Item(
            f'{category}/{number}',
            f'{each.text}\n{SHORT_ANSWER}',
            data / 'val2014' / each.image,
        )
        for category, questions in _questions(data).items()
        for number, each in enumerate(questions, 1)
    ]


def write(data: Path, answers: Mapping[str, str], out: Path) -> Path:
    """Write a file for each category, as POPE's scorer takes it; return their folder."""
    folder = out / 'predictions'
    for category, questions in _questions(data).items():
        records = (
            {'question': each.text, 'answer': answers[f'{category}/{number}']}
            for number, each in enumerate(questions, 1)
        )
        write_json_lines(folder / f'coco_pope_{category}.json', records)
    return folder


def score(data: Path, predictions: Path) -> Scores:
    """
    Return accuracy, precision, recall, F1 and the share of predicted yes, 0..1, by category.

    As in the official scorer, the n-th answer is that to the n-th question; further questions do
    not count. Where it divides by zero, as if nobody ever said yes, the figure is 0.
    """
    questions, answers = _questions(data), _answers(predictions)
    metrics, f1s, notes = [], [], []
    for category, given in answers.items():
        if category not in questions:
            raise DataError(f'{data} holds no coco_pope_{category}.json for {predictions}')
        asked = questions[category]
        _check(given, asked, f'{predictions}, category {category}')
        if len(given) < len(asked):
            rest = counted(len(asked) - len(given), 'question')
            notes.append(f'{category}: left out at the end: {rest}')
        found = _figures([_says_yes(each.said or '') for each in given], asked)
        metrics += [
            Metric(name=f'{category} {name}', value=each, digits=0 if name in COUNTS else None)
            for name, each in found.items()
        ]
        f1s.append(found['F1 score'])
    if missing := [category for category in CATEGORIES if category not in answers]:
        notes.append(f'without the categories {", ".join(missing)}, so the mean F1 is not POPE')
    mean = Metric(name='mean F1', value=100 * sum(f1s) / len(f1s), digits=1)
    return Scores(metrics=(*metrics, mean), headline=mean, notes=tuple(notes))


def _questions(data: Path) -> dict[str, list[_Question]]:
    paths = {category: data / f'coco_pope_{category}.json' for category in CATEGORIES}
    found = {
        category: read_official_lines(path, TypeAdapter(_Question))
        for category, path in paths.items()
        if path.is_file()
    }
    if not found:
        raise DataError(f'{data} holds none of {", ".join(p.name for p in paths.values())}')
    return found


def _answers(predictions: Path) -> dict[str, list[_Prediction]]:
    """Return the answers by category: of a folder's files, or of the lines of one file."""
    if predictions.is_dir():
        found: dict[str, list[_Prediction]] = {}
        for sort in CATEGORIES:
            files = sorted(predictions.glob(f'*{sort}*'))
            if len(files) > 1:
                names = ' and '.join(file.name for file in files)
                raise DataError(f'{predictions} holds {names} for {sort}; leave one')
            if files:
                found[sort] = read_official_lines(files[0], TypeAdapter(_Prediction))
        if not found:
            raise DataError(f'{predictions} holds no file for any of {", ".join(CATEGORIES)}')
        return found
    answers: dict[str, list[_Prediction]] = {}
    named = next((each for each in CATEGORIES if each in predictions.name), None)
    for number, each in enumerate(read_official_lines(predictions, TypeAdapter(_Prediction)), 1):
        category = each.category or named
        if category not in CATEGORIES:
            raise DataError(
                f"{predictions}, record {number}, field 'category': which of "
                f'{", ".join(CATEGORIES)} must stand there or in the name of the file'
            )
        answers.setdefault(category, []).append(each)
    if not answers:
        raise DataError(f'{predictions} holds no answer')
    return answers


def _check(given: Sequence[_Prediction], asked: Sequence[_Question], where: str) -> None:
    if not given:
        raise DataError(f'{where} has no answer')
    if len(given) > len(asked):
        raise DataError(
            f'{where} has {counted(len(given), "answer")} to {counted(len(asked), "question")}'
        )
    for number, (each, question) in enumerate(zip(given, asked, strict=False), 1):
        if each.said is None:
            raise DataError(f"{where}, record {number}: the field 'answer' is missing")
        if each.question not in (None, question.text):
            raise DataError(
                f"{where}, record {number}, field 'question': it is {question.text!r} that is "
                'asked there; answers stand in the order of the questions'
            )


def _says_yes(text: str) -> bool:
    """Return how POPE reads an answer: yes, unless its first sentence has a no or not in it."""
    words = text.split('.')[0].replace(',', '').split(' ')
    return not any(word in words for word in NO)


def _figures(yes: Sequence[bool], asked: Sequence[_Question]) -> dict[str, float]:
    pairs = [(said, each.label != 'no') for said, each in zip(yes, asked, strict=False)]
    hits, false_alarms = pairs.count((True, True)), pairs.count((True, False))
    rejections, misses = pairs.count((False, False)), pairs.count((False, True))
    precision = hits / (hits + false_alarms) if hits + false_alarms else 0.0
    recall = hits / (hits + misses) if hits + misses else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        'TP': hits,
        'FP': false_alarms,
        'TN': rejections,
        'FN': misses,
        'Accuracy': (hits + rejections) / len(pairs),
        'Precision': precision,
        'Recall': recall,
        'F1 score': f1,
        'Yes ratio': sum(yes) / len(yes),
    }


POPE = Benchmark('pope', 'POPE', read, write, score)
