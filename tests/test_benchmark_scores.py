"""Every local score equals the official scorer's, to the last digit, on odd made-up answers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from benchmark_data import CAR, MAKERS, SAID, SIGN, dump, dump_lines

from ros2_llava_phi.benchmark.benchmarks import BENCHMARKS
from ros2_llava_phi.benchmark.mmbench import write_workbook
from ros2_llava_phi.benchmark.mme import SUBTASKS
from ros2_llava_phi.benchmark.official_files import find_file
from ros2_llava_phi.errors import DataError

REAL = Path(__file__).parents[2] / 'shared' / 'data' / 'formats'

SCIENCE = ['A', 'B. moon', 'The answer is A.', 'b', 'The answer is A. The answer is B.', 'B', 'E']
POPE = ['No, there is not.', 'Yes.no', 'not', 'None', '', 'no,', 'NO']
MME = ['Yes', 'no.', 'know', '  yes', 'I say no', 'nyes', 'no', 'yes\x0b']
MMBENCH = {
    1: 'B', 1_000_001: 'The answer is **A**. It is a dog, as one can see here.', 2_000_001: '(C)',
    2: 'C.', 1_000_002: 'a red fox', 2_000_002: 'A', 3: 'A', 1_000_003: 'C', 2_000_003: '',
    4: 'dog',
}  # fmt: skip


def vqav2(folder: Path) -> Path:
    records = [{'question_id': 70 + n, 'answer': given} for n, (_, given) in enumerate(SAID)]
    return dump(folder / 'p.json', records[::-1])


def vizwiz(folder: Path) -> Path:
    return dump(
        folder / 'p.json',
        [
            {'image': f'VizWiz_val_{n:08d}.jpg', 'answer': given}
            for n, (_, given) in enumerate(SAID)
        ],
    )


def textvqa(folder: Path) -> Path:
    suffix = 'Reference OCR token: a, b\nAnswer'
    return dump_lines(
        folder / 'p.jsonl',
        [
            {
                'question_id': f'{n // 2:016x}',
                'prompt': f'What does sign {n} say?\n{suffix}',
                'text': given,
            }
            for n, (_, given) in enumerate(SAID[:-1])
        ],
    )


def scienceqa(folder: Path) -> Path:
    return dump_lines(
        folder / 'p.jsonl',
        [
            {'question_id': str(10 * n), 'prompt': '<image>\nq' if n != 5 else 'q', 'text': text}
            for n, text in enumerate(SCIENCE)
        ],
    )


def pope(folder: Path) -> Path:
    for shift, category in enumerate(('random', 'popular', 'adversarial')):
        records = [
            {'question': f'Is there a thing {n} in the image?', 'answer': POPE[n + shift]}
            for n in range(5)
        ]
        dump_lines(folder / 'p' / f'{category}.json', records)
    return folder / 'p'


def mme(folder: Path) -> Path:
    for shift, subtask in enumerate(SUBTASKS):
        source = folder / 'eval_tool' / 'Your_Results' / f'{subtask}.txt'
        lines = source.read_text().splitlines()
        rows = [f'{line}\t{MME[(n + shift) % len(MME)]}' for n, line in enumerate(lines)]
        target = folder / 'p' / f'{subtask}.txt'
        target.parent.mkdir(exist_ok=True)
        target.write_text('\n'.join(rows))
    return folder / 'p'


def mmbench(folder: Path) -> Path:
    pytest.importorskip('openpyxl')
    path = folder / 'p.xlsx'
    write_workbook(path, ['index', 'prediction'], [list(pair) for pair in MMBENCH.items()])
    return path


def mmvet(folder: Path) -> Path:
    scores = ([0.3, 0.4], [1.0, 0.9], [0.0, 0.1], [0.7, 0.7])
    return dump(folder / 'p.json', {f'v1_{n}': {'score': each} for n, each in enumerate(scores)})


def drivelm(folder: Path) -> Path:
    given = {
        'f1': [f'A car {CAR}; a sign <c9,CAM_FRONT,308.0,58.4>.', 'B', 'Yes', "Don't brake. Keep "
               'at the same speed!', f'Notice {SIGN}, 1.5 and {CAR}.', 'B'],
        'f2': ['Nothing.', 'B', 'yes', '', f'{CAR}', 'A'],
    }  # fmt: skip
    records = [
        {'id': f'scene_{frame}_{n}', 'question': '', 'answer': answer}
        for frame, answers in given.items()
        for n, answer in enumerate(answers)
    ]
    return dump(folder / 'p' / 'p.json', records)


def nuscenesqa(folder: Path) -> Path:
    given = ('yes', 'two', 'Car', 'moving', 'no ', 'yes', '', 'car')
    questions = json.loads((folder / 'NuScenes_val_questions.json').read_text())['questions']
    lines = (
        '    '.join((each['sample_token'], each['question'], answer, each['answer']))
        for each, answer in zip(questions, given, strict=True)
    )
    path = folder / 'p.txt'
    path.write_text(''.join(f'{line}\n' for line in lines))
    return path


def openeqa(folder: Path) -> Path:
    return dump(folder / 'p.json', {'id-0': 5, 'id-1': 0, 'id-3': 4})


PREDICTED = {
    maker.__name__: maker
    for maker in (
        *(vqav2, vizwiz, scienceqa, textvqa, pope, mme, mmbench, mmvet),
        *(drivelm, nuscenesqa, openeqa),
    )
}

# What the official scorers print for these very files: vqaEval.py, VizWiz's API, LLaVA's
# eval_textvqa.py, eval_science_qa.py and eval_pope.py, MME's calculation.py, VLMEvalKit with exact
# matching, MM-Vet's and DriveLM's evaluators, result_eval.py and evaluate-predictions.py.
OFFICIAL: dict[str, dict[str, str]] = {
    'vqav2': {
        'overall': '74.00',
        'question type how many': '80.00',
        'question type what is': '70.00',
        'answer type number': '80.00',
        'answer type yes/no': '53.33',
        'answer type other': '86.67',
    },
    'vizwiz': {'overall': '50.00'},
    'textvqa': {'Accuracy': '86.67'},
    'scienceqa': {'Accuracy': '50.00', 'IMG-Accuracy': '50.00'},
    'pope': {
        'random TP': '1',
        'random FP': '2',
        'random TN': '1',
        'random FN': '1',
        'random Accuracy': '0.4',
        'random Precision': '0.3333333333333333',
        'random Recall': '0.5',
        'random F1 score': '0.4',
        'random Yes ratio': '0.6',
        'popular Accuracy': '0.8',
        'popular Precision': '0.6666666666666666',
        'popular Recall': '1.0',
        'popular F1 score': '0.8',
        'popular Yes ratio': '0.6',
        # There, it divides by zero.
        'adversarial Precision': '0.0',
        'adversarial F1 score': '0.0',
        'mean F1': '40.0',
    },
    'mme': {
        'Perception': '625.0',
        'Cognition': '225.0',
        'celebrity': '125.0',
        'landmark': '50.0',
        'OCR': '25.0',
        'code_reasoning': '125.0',
    },
    'mmbench': {
        'Overall': '0.75',
        'l2-category AR': '0.75',
        'category animals': '0.5',
        'category beasts': '1.0',
    },
    'mmvet': {'total': '51.2', 'rec': '45.0', 'ocr': '50.0', 'math': '70.0', 'ocr + rec': '50.0'},
    'drivelm': {
        'accuracy': '0.5',
        'match F1': '24.999999625000004',
        'Bleu_1': '0.3475419214830776',
        'Bleu_2': '0.30365556445806763',
        'Bleu_3': '0.26433408639923944',
        'Bleu_4': '0.22448222277076504',
        'ROUGE_L': '0.31486721713609306',
        'CIDEr': '1.4367514010259348',
    },
    'nuscenesqa': {
        'Overall': '50.00',
        'comparison': '0.00',
        'count_1': '0.00',
        'exist': '100.00',
        'object': '50.00',
        'object_1': '100.00',
    },
    'openeqa': {'LLM-Match': '58.3'},
}


@pytest.mark.parametrize('name', BENCHMARKS)
def test_scores_are_the_official_ones(tmp_path: Path, name: str) -> None:
    data = MAKERS[name](tmp_path)
    scores = BENCHMARKS[name].score(data, PREDICTED[name](data))
    found = {each.name: str(each) for each in scores.metrics}
    assert {key: found.get(key) for key in OFFICIAL[name]} == OFFICIAL[name]


def test_what_is_not_scored_is_said(tmp_path: Path) -> None:
    drive = MAKERS['drivelm'](tmp_path / 'drive')
    gated, judge = BENCHMARKS['drivelm'].score(drive, PREDICTED['drivelm'](drive)).notes
    assert gated.startswith('3 of 12 questions left out')
    assert 'judge.json' in judge
    write = BENCHMARKS['drivelm'].judge
    assert write is not None
    write(drive, PREDICTED['drivelm'](drive), tmp_path)
    pairs = json.loads((tmp_path / 'judge.json').read_text())
    assert [(each['id'], each['figure']) for each in pairs][:2] == [
        ('scene_f1_2', 'match'),
        ('scene_f1_3', 'chatgpt'),
    ]
    answers = MAKERS['mmvet'](tmp_path / 'vet')
    texts = dump(answers / 'texts.json', {f'v1_{n}': 'x' for n in range(4)})
    scores = BENCHMARKS['mmvet'].score(answers, texts)
    assert scores.headline is None
    assert 'the judge is outside' in scores.notes[0]


BROKEN: Sequence[tuple[str, str, Any, str]] = [
    ('vqav2', 'p.json', [{'question_id': 70, 'answer': 'x'}], "no prediction for 71 (9 of 10"),
    ('vqav2', 'p.json', [{'question_id': 7, 'answer': 'x'}], 'prediction for 7, which is no'),
    ('vqav2', 'p.json', [{'question_id': 70, 'answer': 'x'}] * 2, 'record 2: 70 stands'),
    ('vqav2', 'p.json', [{'question_id': 70}], "p.json, record 1, field 'answer': it is missing"),
    ('vqav2', 'p.json', {'question_id': 70}, 'it must be a list'),
    ('vizwiz', 'p.json', [{'image': 'x', 'answer': 3}], "record 1, field 'answer': it must be"),
    ('textvqa', 'p.jsonl', {'question_id': '0', 'prompt': 'q', 'text': ''}, "field 'prompt': the"),
    ('scienceqa', 'p.jsonl', {'question_id': '7', 'prompt': '', 'text': ''}, "prediction for '7'"),
    ('pope', 'p.jsonl', {'answer': 'no'}, "record 1, field 'category'"),
    ('pope', 'popular.jsonl', {'question': 'Where?', 'answer': 'no'}, "field 'question': it is"),
    ('mmvet', 'p.json', {'v1_0': 'x'}, "no prediction for 'v1_1' (3 of 4"),
    ('drivelm', 'p.json', [{'id': 'x', 'answer': ''}], "prediction for 'x'"),
    ('openeqa', 'p.json', {'id-9': 5}, "prediction for 'id-9'"),
    ('nuscenesqa', 'p.json', [], '1 line for 8 questions'),
]  # fmt: skip


@pytest.mark.parametrize(('name', 'file', 'content', 'sentence'), BROKEN)
def test_broken_predictions_are_named(
    tmp_path: Path, name: str, file: str, content: Any, sentence: str
) -> None:
    data = MAKERS[name](tmp_path / 'data')
    write = dump_lines if file.endswith('l') else dump
    path = write(tmp_path / file, [content] if file.endswith('l') else content)
    with pytest.raises(DataError) as caught:
        BENCHMARKS[name].score(data, path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_line_of_mme_without_its_answer_is_named(tmp_path: Path) -> None:
    data = MAKERS['mme'](tmp_path)
    with pytest.raises(DataError, match=r'existence.txt, line 1 has 3 fields'):
        BENCHMARKS['mme'].score(data, data / 'eval_tool' / 'Your_Results')


@pytest.mark.skipif(not REAL.is_dir(), reason='../shared/data/formats is not beside the checkout')
def test_the_published_files_are_read(tmp_path: Path) -> None:
    (tmp_path / 'coco_pope_adversarial.json').symlink_to(REAL / 'coco_pope_adversarial.json')
    items = BENCHMARKS['pope'].read(tmp_path)
    assert len(items) == 3000
    always = BENCHMARKS['pope'].write(tmp_path, {item.id: 'Yes' for item in items}, tmp_path)
    found = {each.name: each.value for each in BENCHMARKS['pope'].score(tmp_path, always).metrics}
    assert found['adversarial Accuracy'] == 0.5
    assert found['adversarial Yes ratio'] == 1.0
    (tmp_path / 'open-eqa-v0.json').symlink_to(REAL / 'open-eqa-v0.json')
    questions = json.loads(find_file(tmp_path, 'open-eqa-*.json').read_text())
    for each in questions:
        picture = tmp_path / 'frames' / each['episode_history'] / '00000-rgb.png'
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.touch()
    assert len(BENCHMARKS['openeqa'].read(tmp_path)) == len(questions) == 1636
