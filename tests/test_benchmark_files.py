"""Benchmark files that are not as published are refused at reading, in a line that says where."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from benchmark_data import MAKERS

from ros2_llava_phi.benchmark.benchmarks import BENCHMARKS
from ros2_llava_phi.datasets import records
from ros2_llava_phi.errors import DataError

DEEP, LONG = '[' * 100_000, '9' * 5000
POPE, VQAV2 = 'coco_pope_random.json', 'v2_OpenEnded_mscoco_val2014_questions.json'
NUSCENES, FRAMES = 'NuScenes_val_questions.json', 'v1.0-trainval/sample_data.json'
PICTURE, TEXTVQA = 'COCO_val2014_000000000001', 'TextVQA_0.5.1_val.json'
OUT = 'leads out of the folder; a path within it must stand there'

# Benchmark, file, what stands in it and what instead ('' for the whole file), what is said.
WRONG: Sequence[tuple[str, str, str, str, str]] = [
    ('pope', POPE, '', DEEP, 'line 1 is nested too deep'),
    ('pope', POPE, '"question_id": 2', f'"question_id": {LONG}', 'line 2 holds no number'),
    ('vqav2', VQAV2, '', DEEP, 'is nested too deep'),
    ('vqav2', VQAV2, '"image_id": 0', f'"image_id": {LONG}', 'value has 5000 digits'),
    ('nuscenesqa', FRAMES, '', '{"a":' + DEEP, 'no whole list of JSON objects at its beginning'),
    ('nuscenesqa', FRAMES, '', '[{"a"' + ' ' * (3 << 20), """beginning: '[{"a"' stands there"""),
    ('nuscenesqa', FRAMES, '', 'hello', "at its beginning: 'hello' stands there; copy it anew"),
    ('nuscenesqa', FRAMES, '', '', 'at its beginning: it ends there; copy it anew'),
    ('nuscenesqa', FRAMES, '[', '{"x": [', 'no whole list of JSON objects at its beginning'),
    ('nuscenesqa', FRAMES, '}]', '}', 'it ends there; copy it anew'),
    ('nuscenesqa', FRAMES, '}]', '},', "',' stands there; copy it anew"),
    ('nuscenesqa', FRAMES, '}, {', '} {', 'behind record 1: '),
    ('nuscenesqa', FRAMES, '}, {', '}, x {', """behind record 1: ', x {"""),
    ('nuscenesqa', FRAMES, '}]', '}] x', 'stands there; copy it anew'),
    ('nuscenesqa', FRAMES, '"token0"', '0', "record 1: 'filename' and 'sample_token' must be"),
    ('mmbench', 'mmbench_dev_20230712.tsv', '\n2\t', f'\n{LONG}\t', 'is no whole number'),
    ('pope', POPE, '"label": "no"', '"label": "No"', "line 2, field 'label': it must be '"),
    ('pope', POPE, PICTURE, '../x', f"line 1, field 'image': '../x.jpg' {OUT}"),
    ('pope', POPE, PICTURE, '/x', f"line 1, field 'image': '/x.jpg' {OUT}"),
    ('vizwiz', 'val.json', '"image": "', '"image": "../', OUT),
    ('scienceqa', 'problems.json', 'image.png', '../../x', OUT),
    ('scienceqa', 'pid_splits.json', '"10"', '"../10"', OUT),
    ('textvqa', TEXTVQA, '"image_id": "', '"image_id": "a/../../', OUT),
    ('mmvet', 'mm-vet.json', '"0.jpg"', '"../0.jpg"', OUT),
    ('openeqa', 'open-eqa-v0.json', 'hm3d-v0', '..', OUT),
    ('drivelm', 'test_eval.json', '../nuscenes', '../../nuscenes', OUT),
    ('nuscenesqa', FRAMES, 'samples/CAM_FRONT/0', 'samples/CAM_FRONT/../../../0', OUT),
    ('mme', 'eval_tool/Your_Results/OCR.txt', '1.jpg', '../1.jpg', 'OCR.txt, line 3, field 1: '),
    ('pope', POPE, '', '\n', 'is empty; a JSON record must stand in every line'),
    ('vqav2', VQAV2, '', '{"questions": []}', "field 'questions': it is empty; one at"),
    ('vizwiz', 'val.json', '', '[]', 'it is empty; one at least must'),
    ('scienceqa', 'pid_splits.json', '', '{"test": []}', "split 'test' has no question with a"),
    ('textvqa', TEXTVQA, '', '{"data": []}', "field 'data': it is empty; one at least"),
    ('mmvet', 'mm-vet.json', '', '{}', 'one at least'),
    ('drivelm', 'test_eval.json', '', '{}', 'holds no question'),
    ('nuscenesqa', NUSCENES, '', '{"questions": []}', 'holds no question'),
    ('openeqa', 'open-eqa-v0.json', '', '[]', 'holds no question'),
    ('openeqa', 'open-eqa-v0.json', '"category"', '"kind"', "record [0], field 'category': it is"),
    ('openeqa', 'open-eqa-v0.json', '"hm3d-v0/000"', '7', 'record [0]: episode_history: it must'),
    ('nuscenesqa', NUSCENES, '"num_hop"', '"hops"', "record [0], field 'num_hop': it is missing"),
    ('nuscenesqa', NUSCENES, '"question":', '"q":', 'record [0]: question: it is missing'),
    ('drivelm', 'test_eval.json', '"A": "B"', '"A": 2', 'record scene_f1_1: A: it must be a text'),
    ('drivelm', 'test_eval.json', '"CAM_FRONT":', '"FRONT":', 'there is no picture of'),
]  # fmt: skip


@pytest.mark.parametrize(
    ('name', 'file', 'old', 'new', 'sentence'), WRONG, ids=lambda text: text[:20]
)
def test_what_is_not_as_published_is_named(
    tmp_path: Path, name: str, file: str, old: str, new: str, sentence: str
) -> None:
    path = MAKERS[name](tmp_path) / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new) if old else new)
    with pytest.raises(DataError) as caught:
        BENCHMARKS[name].read(tmp_path)
    said = str(caught.value)
    assert said.startswith(str(path)) and sentence in said
    assert '\n' not in said and len(said) < 1000


def test_a_workbook_of_other_bytes_is_named(tmp_path: Path) -> None:
    pytest.importorskip('openpyxl')
    data = MAKERS['mmbench'](tmp_path)
    (tmp_path / 'p.xlsx').write_bytes(b'PK\x03\x04 no workbook')
    with pytest.raises(DataError, match=r'p\.xlsx is no workbook'):
        BENCHMARKS['mmbench'].score(data, tmp_path / 'p.xlsx')


def test_objects_are_read_one_by_one_as_json_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a piece ends, and whatever blanks and texts stand around the objects."""
    file, random = tmp_path / 'table.json', Random(7)
    taken = 0
    for _ in range(600):
        monkeypatch.setattr(records, 'CHUNK', random.randrange(12, 40))
        blanks = [
            ''.join(random.choices(' \t\n\r', k=random.choice([0, 1, 60]))) for _ in range(6)
        ]
        count = random.randrange(3)
        objects = ','.join(blanks[each] + '{"a": "  ]"}' + blanks[5] for each in range(count))
        text = f'{blanks[3]}[{objects}]{blanks[4]}' if count else '[]'
        if random.random() < 0.6:
            place = random.choice([0, random.randrange(len(text)), len(text)])
            text = text[:place] + random.choice('\xa0\u2003\x0bx]},"') + text[place:]
        file.write_text(text)
        try:
            wanted = json.loads(text)
        except ValueError:
            wanted = None
        try:
            found = [each for _, each in records.objects_in(file)]
        except DataError:
            # A file of little but blanks, as nobody writes one, may be refused.
            assert wanted is None or max(map(len, re.findall(r'\s+', text))) >= records.CHUNK
        else:
            assert found == wanted, text
            taken += 1
    assert taken > 100
