"""Small made-up data in the format of every benchmark; nothing in it is from the real sets."""

import base64
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ros2_llava_phi.benchmark.mme import SUBTASKS


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _image().save(path)


def _image() -> Image.Image:
    blocks = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks.repeat(8, axis=0).repeat(8, axis=1))


def dump(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding='utf-8')
    return path


def dump_lines(path: Path, records: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(record) + '\n' for record in records), encoding='utf-8')
    return path


# What ten people said, and what was predicted: odd answers, ties, nothing, Unicode.
SAID = [
    (['2', 'two', 'Two.', '2', 'none', '3', '3', '2,', 'two!', '2'], 'Two'),
    (['yes'] * 10, 'Yes'),
    (['yes'] * 10, 'yes\n'),
    (
        ['a dog', 'dog', 'the dog', 'Dog', 'cat', 'cat', 'cat.', 'a cat', 'dog?', 'dogs'],
        'the dog!',
    ),
    (['left-turn', 'left turn', 'leftturn', 'left', '', '', '', ' ', 'right', 'right'], ''),
    (['1,000', '1000', '1,000.5', '1.5', '1 .5', '.5', '5.', '5', '10', 'ten'], '1,000'),
    (["don't", 'dont', "dont'", 'do not', 'no', 'no', 'no', 'no', 'no', 'no'], 'dont'),
    (['café', 'CAFÉ', 'cafe', 'café au lait', '日本', '日本', '日本', '٣', '٣', '3'], 'Café'),
    (['a/b', 'a / b', 'a b', 'ab', 'ab', '(ab)', '[ab]', 'a-b', 'a_b', 'a@b'], 'a;b'),
    (["the dog's", 'dogs', "dog's", "dog 's", 'x', 'x', 'y', 'y', 'z', 'z'], "The dog's"),
]


def vqav2(folder: Path) -> Path:
    questions = [
        {'question_id': 70 + n, 'image_id': n // 2, 'question': f'What is it, {n}?'}
        for n in range(len(SAID))
    ]
    annotations = [
        {
            'question_id': 70 + n,
            'image_id': n // 2,
            'question_type': 'what is' if n % 3 else 'how many',
            'answer_type': ('number', 'yes/no', 'other')[n % 3],
            'multiple_choice_answer': said[0],
            'answers': [
                {'answer': each, 'answer_confidence': 'yes', 'answer_id': k + 1}
                for k, each in enumerate(said)
            ],
        }
        for n, (said, _) in enumerate(SAID)
    ]
    dump(
        folder / 'v2_OpenEnded_mscoco_val2014_questions.json',
        {'data_subtype': 'val2014', 'questions': questions},
    )
    dump(folder / 'v2_mscoco_val2014_annotations.json', {'annotations': annotations})
    for n in range((len(SAID) + 1) // 2):
        picture(folder / 'val2014' / f'COCO_val2014_{n:012d}.jpg')
    return folder


def vizwiz(folder: Path) -> Path:
    records = [
        {
            'image': f'VizWiz_val_{n:08d}.jpg',
            'question': 'What is this?',
            'answers': [{'answer': each, 'answer_confidence': 'yes'} for each in said],
            'answer_type': ('number', 'other')[n % 2],
            'answerable': 1,
        }
        for n, (said, _) in enumerate(SAID)
    ]
    for each in records:
        picture(folder / 'val' / str(each['image']))
    dump(folder / 'val.json', records)
    return folder


def textvqa(folder: Path) -> Path:
    questions = [
        {
            'question_id': n,
            'image_id': f'{n // 2:016x}',
            'question': f'What does sign {n} say?',
            'answers': said,
        }
        for n, (said, _) in enumerate(SAID)
    ]
    words = [
        {'image_id': f'{n:016x}', 'ocr_tokens': ['STOP', 'a, b'][: n % 3]}
        for n in range(len(SAID))
    ]
    dump(folder / 'TextVQA_0.5.1_val.json', {'data': questions})
    dump(folder / 'TextVQA_Rosetta_OCR_v0.2_val.json', {'data': words})
    for n in range((len(SAID) + 1) // 2):
        picture(folder / 'train_images' / f'{n:016x}.jpg')
    return folder


def scienceqa(folder: Path) -> Path:
    problems = {
        str(10 * n): {
            'question': 'Which is largest?',
            'choices': ['sun', 'moon', 'pea', 'ant'][: 2 + n % 3],
            'answer': n % 2,
            'hint': 'Look up.' if n % 3 else '',
            'image': None if n == 5 else 'image.png',
        }
        for n in range(8)
    }
    dump(folder / 'problems.json', problems)
    dump(folder / 'pid_splits.json', {'train': [], 'test': list(problems)})
    for key in problems:
        picture(folder / 'images' / 'test' / key / 'image.png')
    return folder


def pope(folder: Path) -> Path:
    for category in ('random', 'popular', 'adversarial'):
        records = [
            {
                'question_id': n + 1,
                'image': 'COCO_val2014_000000000001.jpg',
                'text': f'Is there a thing {n} in the image?',
                'label': ('yes', 'no', 'no')[n % 3],
            }
            for n in range(6)
        ]
        dump_lines(folder / f'coco_pope_{category}.json', records)
    picture(folder / 'val2014' / 'COCO_val2014_000000000001.jpg')
    return folder


def mme(folder: Path) -> Path:
    for subtask in SUBTASKS:
        path = folder / 'eval_tool' / 'Your_Results' / f'{subtask}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = (
            f'{n}.jpg\tIs it {word}? Please answer yes or no.\t{truth}\n'
            for n in range(2)
            for word, truth in (('so', 'Yes'), ('not so', 'No'))
        )
        path.write_text(''.join(rows), encoding='utf-8')
        for n in range(2):
            picture(folder / 'MME_Benchmark_release_version' / subtask / f'{n}.jpg')
    return folder


MMBENCH_COLUMNS = (
    'index', 'question', 'hint', 'A', 'B', 'C', 'D', 'answer', 'category', 'image', 'source',
    'l2-category', 'comment', 'split',
)  # fmt: skip


def mmbench(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    _image().save(file, 'PNG')
    encoded = base64.b64encode(file.getvalue()).decode()
    options = ['cat', 'dog', 'a red fox', '']
    with (folder / 'mmbench_dev_20230712.tsv').open('w', encoding='utf-8', newline='') as out:
        writer = csv.DictWriter(out, MMBENCH_COLUMNS, delimiter='\t', restval='')
        writer.writeheader()
        for n in range(1, 5):
            for turn in range(3 if n < 4 else 1):
                turned = [*options[turn:3], *options[:turn], '']
                writer.writerow(
                    {
                        'index': n + 1_000_000 * turn,
                        'question': 'Which animal "is" this?',
                        'hint': 'It barks.' if n == 1 else '',
                        **dict(zip('ABCD', turned, strict=True)),
                        'answer': 'ABC'[turned.index(options[n % 3])],
                        'category': 'animals' if n % 2 else 'beasts',
                        'l2-category': 'attribute_reasoning',
                        'image': encoded if turn == 0 else n,
                        'split': 'dev',
                    }
                )
    return folder


def mmvet(folder: Path) -> Path:
    capabilities = (['rec'], ['rec', 'ocr'], ['ocr', 'rec'], ['math'])
    questions = {
        f'v1_{n}': {
            'imagename': f'{n}.jpg',
            'question': 'What is x?',
            'answer': '-1<AND>-5',
            'capability': capabilities[n],
        }
        for n in range(4)
    }
    dump(folder / 'mm-vet.json', questions)
    for n in range(4):
        picture(folder / 'images' / f'{n}.jpg')
    return folder


FIRST = 'What are the important objects?'
CAR, SIGN = '<c1,CAM_BACK,100.5,200.0>', '<c2,CAM_FRONT,300.0,50.5>'


def drivelm(folder: Path) -> Path:
    paths = {camera: f'../nuscenes/samples/{camera}/1.jpg' for camera in ('CAM_FRONT', 'CAM_BACK')}
    asked = {
        'perception': [
            (FIRST, f'There is a car {CAR} behind, and a sign {SIGN} ahead.', [2]),
            (f'What is the moving status of object {CAR}? A. Ahead. B. Stopped.', 'B', [0]),
        ],
        'prediction': [(f'Is {SIGN} a traffic sign?', 'Yes.', [0, 3])],
        'planning': [
            ('What is safe?', "Keep going at 25km/h; don't brake.", [1, 2]),
            (f'What of {CAR} and {SIGN}?', f'Notice {CAR} first, then {SIGN}.', [2, 3]),
        ],
        'behavior': [('Predict the behavior.', 'A', [0])],
    }
    frame = {
        'QA': {
            step: [{'Q': question, 'A': answer, 'tag': tag} for question, answer, tag in of]
            for step, of in asked.items()
        },
        'image_paths': paths,
    }
    dump(folder / 'test_eval.json', {'scene': {'key_frames': {'f1': frame, 'f2': frame}}})
    for path in paths.values():
        picture(folder / path.removeprefix('../'))
    return folder


def nuscenesqa(folder: Path) -> Path:
    answers = ('yes', '2', 'car', 'moving', 'no')
    types = ('exist', 'count', 'object', 'status', 'comparison')
    questions = [
        {
            'split': 'val',
            'sample_token': f'token{n // 2}',
            'question': f'What about {n}?',
            'answer': answers[n % 5],
            'num_hop': n % 2,
            'template_type': types[n % 5],
        }
        for n in range(8)
    ]
    dump(folder / 'NuScenes_val_questions.json', {'info': {}, 'questions': questions})
    records = [
        {'sample_token': f'token{n}', 'filename': f'{kind}/{camera}/{n}.jpg'}
        for n in range(4)
        for kind in ('sweeps', 'samples')
        for camera in ('CAM_FRONT', 'CAM_FRONT_LEFT', 'LIDAR_TOP')
    ]
    dump(folder / 'v1.0-trainval' / 'sample_data.json', records)
    for n in range(4):
        picture(folder / 'samples' / 'CAM_FRONT' / f'{n}.jpg')
    return folder


def openeqa(folder: Path) -> Path:
    questions = [
        {
            'question_id': f'id-{n}',
            'question': 'What is on the table?',
            'answer': 'a cup',
            'category': ('object recognition', 'spatial understanding')[n % 2],
            'episode_history': 'hm3d-v0/000',
        }
        for n in range(4)
    ]
    dump(folder / 'open-eqa-v0.json', questions)
    for n in range(3):
        picture(folder / 'frames' / 'hm3d-v0' / '000' / f'{n:05d}-rgb.png')
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    maker.__name__: maker
    for maker in (
        *(vqav2, vizwiz, scienceqa, textvqa, pope, mme, mmbench, mmvet),
        *(drivelm, nuscenesqa, openeqa),
    )
}
