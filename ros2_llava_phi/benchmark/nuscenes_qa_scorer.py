"""
NuScenes-QA (Qian et al. 2024), scored as its src/execution/result_eval.py does.

The folder holds NuScenes_val_questions.json and, of nuScenes, v1.0-trainval/sample_data.json and
samples/CAM_FRONT/. Its questions are about all around the car; a model of one picture sees the
front.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from ros2_llava_phi.assistant.question import SHORT_ANSWER
from ros2_llava_phi.datasets.nuscenes import pictures_of_samples
from ros2_llava_phi.datasets.nuscenes_qa import NuScenesQuestion, nuscenes_questions
from ros2_llava_phi.errors import DataError, counted
from ros2_llava_phi.files.atomic import write_atomically

from .benchmark import Benchmark, Item, Metric, Scores
from .official_files import every_question, find_file, read_lines

QUESTIONS = 'NuScenes_*questions.json'
CAMERA = 'CAM_FRONT'
# Between sample, question, prediction and answer in the official file of results.
BETWEEN = '    '


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
        BETWEEN.join((each.sample_token, each.question, _plain(answers[str(n)]), each.answer))
        for n, each in enumerate(_questions(data), 1)
    )
    write_atomically(path, ''.join(f'{line}\n' for line in lines), DataError)
    return path


def score(data: Path, predictions: Path) -> Scores:
    """Return the share of answers that are equal to the letter, in per cent, by type and hops."""
    right: dict[str, list[bool]] = defaultdict(list)
    questions = _questions(data)
    lines = read_lines(predictions)
    if len(lines) != len(questions):
        raise DataError(
            f'{predictions} has {counted(len(lines), "line")} for '
            f'{counted(len(questions), "question")}; each must have its line'
        )
    for number, (each, line) in enumerate(zip(questions, lines, strict=True), 1):
        head = f'{each.sample_token}{BETWEEN}{each.question}{BETWEEN}'
        tail = f'{BETWEEN}{each.answer}'
        line = line.removesuffix('\n')
        if not (line.startswith(head) and line.endswith(tail) and len(head + tail) <= len(line)):
            raise DataError(
                f'{predictions}, line {number} must read {head!r}, the prediction, {tail!r}'
            )
        same = line[len(head) : len(line) - len(tail)] == each.answer
        kind = str(each.template_type)
        for group in ('Overall', kind, f'{kind}_{each.num_hop}'):
            right[group].append(same)
    metrics = {
        name: Metric(name=name, value=100.0 * sum(of) / len(of), digits=2)
        for name, of in sorted(right.items())
    }
    return Scores(metrics=tuple(metrics.values()), headline=metrics['Overall'])


def _questions(data: Path) -> list[NuScenesQuestion]:
    path = find_file(data, 'NuScenes_val_questions.json', QUESTIONS)
    needed = ('template_type', 'num_hop')
    return list(every_question(path, nuscenes_questions(path), needed).values())


def _pictures(data: Path, samples: set[str]) -> dict[str, Path]:
    path = find_file(data, '*/sample_data.json', 'sample_data.json')
    found = pictures_of_samples(path, (CAMERA,))
    if missing := samples - found.keys():
        raise DataError(f'{path} has no picture of {CAMERA} for sample {min(missing)!r}')
    return {sample: data / found[sample][CAMERA] for sample in samples}


def _plain(answer: str) -> str:
    return ' '.join(answer.split()).rstrip('.').lower()


NUSCENESQA = Benchmark('nuscenesqa', 'NuScenes-QA', read, write, score)
