"""DriveLM, NuScenes-QA and LingoQA in their own schemas."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from training_records import as_text, conversations, dropped, write_json

from ros2_llava_phi.datasets.drivelm import read_drivelm
from ros2_llava_phi.datasets.lingoqa import read_lingoqa
from ros2_llava_phi.datasets.nuscenes import CAMERAS, pictures_of_samples, scenes_of_samples
from ros2_llava_phi.datasets.nuscenes_qa import read_nuscenes_qa
from ros2_llava_phi.errors import DataError

SIX = {camera: f'../nuscenes/samples/{camera}/1.jpg' for camera in reversed(CAMERAS)}


def asked(*pairs: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [{'Q': question, 'A': answer, 'C': None, 'tag': None} for question, answer in pairs]


def drivelm(folder: Path, frames: Any) -> Path:
    scene = {'scene_description': 'It turns.', 'key_frames': frames}
    return write_json(folder / 'drivelm.json', {'scene-1': scene})


def test_drivelm_names_its_six_cameras(tmp_path: Path) -> None:
    tag = '<c1,CAM_BACK,1088.3,497.5>'
    stages = {
        'behavior': asked(('How does it drive?', 'Slowly.')),
        'perception': asked((f'What is {tag}?', f'{tag} is a bus.'), ('And else?', 'Nothing.')),
    }
    path = drivelm(tmp_path, {'frame-1': {'image_paths': SIX, 'QA': stages}})
    first, _, last = conversations(read_drivelm(path, tmp_path))
    assert (first.record, first.scene, first.kind) == (
        'scene-1_frame-1_0',
        'scene-1',
        'perception',
    )
    assert (last.record, last.kind) == ('scene-1_frame-1_2', 'behavior')
    assert as_text(first.turns[0]).splitlines() == [
        *(f'{camera}: <image>' for camera in CAMERAS),
        f'What is {tag}?',
    ]
    assert first.turns[0].answer == f'{tag} is a bus.'
    assert first.pictures == tuple(tmp_path / 'samples' / name / '1.jpg' for name in CAMERAS)


@pytest.mark.parametrize(
    ('frame', 'field'),
    [
        ({'image_paths': SIX}, 'QA'),
        ({'image_paths': SIX, 'QA': {'planning': asked(('a', None))}}, 'A'),
        ({'image_paths': SIX, 'QA': {'planning': asked((1, 'b'))}}, 'Q'),
        ({'image_paths': SIX, 'QA': {'planning': 'a'}}, 'the record'),
        ({'image_paths': {}, 'QA': {'planning': asked(('a', 'b'))}}, 'image_paths'),
        ({'QA': {'planning': asked(('a', 'b'))}}, 'image_paths'),
        (7, 'QA'),
    ],
)
def test_bad_records_of_drivelm(tmp_path: Path, frame: Any, field: str) -> None:
    (bad,) = dropped(read_drivelm(drivelm(tmp_path, {'frame-1': frame}), tmp_path))
    assert bad.reason.startswith(f'{field}: ') and 'frame-1' in bad.record
    (bad,) = dropped(read_drivelm(drivelm(tmp_path, None), tmp_path))
    assert bad.reason.startswith('key_frames: ') and bad.record == 'scene-1'


def nuscenes(folder: Path) -> Path:
    """Write nuScenes' tables, of one sample, and return the folder."""
    tables = folder / 'v1.0-mini'
    tables.mkdir(parents=True)
    write_json(tables / 'sample.json', [{'token': 's1', 'scene_token': 'scene-1'}])
    write_json(
        tables / 'sample_data.json',
        [
            {'sample_token': 's1', 'is_key_frame': True, 'filename': 'samples/CAM_BACK/b.jpg'},
            {'sample_token': 's1', 'is_key_frame': True, 'filename': 'samples/CAM_FRONT/f.jpg'},
            {'sample_token': 's1', 'is_key_frame': False, 'filename': 'sweeps/CAM_FRONT/x.jpg'},
            {'sample_token': 's1', 'is_key_frame': True, 'filename': 'samples/LIDAR_TOP/l.bin'},
        ],
    )
    return folder


def test_nuscenes_qa_takes_scenes_and_pictures_from_the_tables(tmp_path: Path) -> None:
    question = {'question': 'Is there a bus?', 'answer': 'no', 'template_type': 'exist'}
    path = write_json(
        tmp_path / 'qa.json',
        {'questions': [{'sample_token': 's1', **question}, {'sample_token': 's2', **question}]},
    )
    good, bad = read_nuscenes_qa(path, nuscenes(tmp_path / 'nuscenes'))
    (good,) = conversations([good])
    assert (good.scene, good.kind) == ('scene-1', 'exist')
    assert [path.name for path in good.pictures] == ['f.jpg', 'b.jpg']
    assert as_text(good.turns[0]) == (
        'CAM_FRONT: <image>\nCAM_BACK: <image>\nIs there a bus?\n'
        'Answer the question using a single word or phrase.'
    )
    (bad,) = dropped([bad])
    assert bad.reason.startswith('sample_token: ') and bad.detail == 's2'
    with pytest.raises(DataError, match='with its tables'):
        read_nuscenes_qa(path, tmp_path)


def test_a_table_of_nuscenes_is_never_held_as_a_whole(tmp_path: Path) -> None:
    # One entry in thirteen is a picture of a sample, as in nuScenes.
    path = tmp_path / 'sample_data.json'
    with path.open('w') as file:
        for number in range(60_000):
            name = 'sweeps/RADAR/0.pcd' if number % 13 else f'samples/CAM_FRONT/{number}.jpg'
            entry = {'token': '0' * 300, 'sample_token': f's{number}', 'filename': name}
            file.write((',' if number else '[') + json.dumps(entry, indent=0))
        file.write(']')
    size = path.stat().st_size
    tracemalloc.start()
    found = pictures_of_samples(path, CAMERAS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == -(-60_000 // 13)
    assert found['s59995'] == {'CAM_FRONT': 'samples/CAM_FRONT/59995.jpg'}
    assert peak < size / 2, (peak, size)


def test_a_damaged_table_of_nuscenes_is_refused(tmp_path: Path) -> None:
    path = write_json(tmp_path / 'sample.json', [{'token': 's', 'scene_token': 'a'}, {'token': 1}])
    with pytest.raises(DataError, match=r"sample\.json, record 2: 'token' and 'scene_token' must"):
        scenes_of_samples(path)
    path.write_bytes(b'[{"token": "\xff"}]')
    with pytest.raises(DataError, match=r'sample\.json is no UTF-8'):
        scenes_of_samples(path)
    with pytest.raises(DataError, match='cannot be read: No such file'):
        scenes_of_samples(tmp_path / 'other.json')


def test_lingoqa(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip('pyarrow')
    parquet = pytest.importorskip('pyarrow.parquet')
    images = [f'images/val/seg/{index}.jpg' for index in range(5)]
    rows = [
        {'question_id': 'q', 'segment_id': 'seg', 'images': images, 'question': 'Go?', 'answer': a}
        for a in ('Yes.', None)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / 'val.parquet')
    good, bad = read_lingoqa(tmp_path / 'val.parquet', tmp_path, frames=3)
    (good,) = conversations([good])
    assert [path.name for path in good.pictures] == ['0.jpg', '2.jpg', '4.jpg']
    assert as_text(good.turns[0]) == '<image>\n<image>\n<image>\nGo?'
    assert good.scene == 'seg'
    (bad,) = dropped([bad])
    assert (bad.record, bad.reason.split(':')[0]) == ('row 1', 'answer')

    content = (tmp_path / 'val.parquet').read_bytes()
    (tmp_path / 'cut.parquet').write_bytes(content[:-20])
    with pytest.raises(DataError, match='no Parquet file'):
        list(read_lingoqa(tmp_path / 'cut.parquet', tmp_path, frames=3))
    parquet.write_table(pyarrow.table({'question': ['a']}), tmp_path / 'other.parquet')
    with pytest.raises(DataError, match="no column 'segment_id'"):
        list(read_lingoqa(tmp_path / 'other.parquet', tmp_path, frames=3))
