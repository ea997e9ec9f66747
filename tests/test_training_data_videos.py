"""BDD-X, RoboVQA and OpenEQA: pictures out of videos, record files and walks."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from training_records import as_text, conversations, dropped, picture, write_json

from ros2_llava_phi.datasets.bddx import read_bddx
from ros2_llava_phi.datasets.dialogue import Dialogue, Dropped
from ros2_llava_phi.datasets.openeqa import read_openeqa
from ros2_llava_phi.datasets.robovqa import read_robovqa
from ros2_llava_phi.datasets.tfrecord import read_tfrecord
from ros2_llava_phi.errors import DataError
from ros2_llava_phi.imaging.pictures import read_picture

OPENEQA = Path(__file__).parents[2] / 'shared' / 'data' / 'formats' / 'open-eqa-v0.json'


def write_video(path: Path, seconds: int) -> None:
    """Write a video of ten pictures a second, ten levels brighter each second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10.0, (64, 48))
    for index in range(10 * seconds):
        writer.write(np.full((48, 64, 3), 10 * (index // 10), np.uint8))
    writer.release()


def write_bddx(path: Path, rows: list[list[str]]) -> Path:
    names = [
        f'Answer.{number}{field}'
        for number in (1, 2)
        for field in ('start', 'end', 'action', 'justification')
    ]
    lines = [','.join(['Input.Video', *names]), *(','.join(row) for row in rows)]
    path.write_text('\n'.join(lines) + '\n')
    return path


def test_bddx_takes_its_pictures_from_the_stretch(tmp_path: Path) -> None:
    write_video(tmp_path / '06d5-a9ff.avi', seconds=20)
    first = ['0', '10', 'The car stops', 'because it is red.']
    second = ['12', '20', 'The car starts', 'as it is green.']
    path = write_bddx(tmp_path / 'bddx.csv', [['https://host/1k/06d5-a9ff.mov', *first, *second]])
    stop, start = conversations(read_bddx(path, tmp_path, frames=2))
    assert as_text(stop.turns[0]) == '<image>\n<image>\nWhat is the ego vehicle doing?'
    assert [turn.answer for turn in start.turns] == ['The car starts', 'as it is green.']
    assert stop.scene == start.scene == '06d5-a9ff'
    assert start.record == 'line 2, Answer.2'
    # The middles of the two halves: 2.5 s and 7.5 s, 14 s and 18 s.
    shades = [read_picture(path).mean() for path in (*stop.pictures, *start.pictures)]
    assert shades == pytest.approx([20, 70, 140, 180], abs=2)


def test_bad_records_of_bddx(tmp_path: Path) -> None:
    write_video(tmp_path / 'short.avi', seconds=2)
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    rows = [
        ['gone.mov', '0', '1', 'a', 'b'],
        ['short.mov', '0', '60', 'a', 'b'],
        ['short.mov', '2', '1', 'a', 'b'],
        ['short.mov', 'x', '1', 'a', 'b'],
        ['broken.mov', '0', '1', 'a', 'b'],
    ]
    bad = dropped(read_bddx(write_bddx(tmp_path / 'b.csv', rows), tmp_path, frames=2))
    fields = [each.reason.split(':')[0] for each in bad]
    assert fields == ['Input.Video', 'video', 'end', 'start', 'video']
    with pytest.raises(DataError, match=r"no column 'Answer\.1end'"):
        (tmp_path / 'c.csv').write_text('Input.Video,Answer.1start\n')
        list(read_bddx(tmp_path / 'c.csv', tmp_path, frames=2))


def field(number: int, content: bytes) -> bytes:
    """Return a field of a protocol buffer, of less than 2^14 bytes."""
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])
    return bytes([number << 3 | 2]) + length + content


def sequence_example(images: list[bytes], text: str) -> bytes:
    def feature_list(values: list[bytes]) -> bytes:
        return b''.join(field(1, field(1, field(1, value))) for value in values)

    lists = {'images': images, 'texts': [text.encode()]}
    entries = [field(1, name.encode()) + field(2, feature_list(v)) for name, v in lists.items()]
    # A context of a number, which is passed over.
    return field(1, b'\x08\x96\x01') + field(2, b''.join(field(1, each) for each in entries))


def crc_32c(data: bytes) -> int:
    """Return the checksum by long division, bit for bit."""
    crc = 0xFFFFFFFF
    for bit in (byte >> place & 1 for byte in data for place in range(8)):
        crc = crc >> 1 ^ 0x82F63B78 * (crc & 1 ^ bit)
    return crc ^ 0xFFFFFFFF


def tfrecord(data: bytes) -> bytes:
    length = struct.pack('<Q', len(data))
    crc = crc_32c(length)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return length + struct.pack('<I', masked) + data + bytes(4)


def test_robovqa(tmp_path: Path) -> None:
    assert crc_32c(b'123456789') == 0xE3069283
    frames = [picture(tmp_path / f'{i}.jpg', i).read_bytes() for i in range(5)]
    text = (
        '<task with blanks>Q: lost?'
        '<task:planning:planning>Q: next step? A: <PRED>pick up the cup</PRED>'
        '<task:success>Q: done? A: <PRED:ANSWER:BINARY>yes</PRED:ANSWER:BINARY>'
        '<task:broken>no answer'
    )
    shard = tmp_path / 'shards' / 'train-00000'
    shard.parent.mkdir()
    content = tfrecord(sequence_example(frames, text))
    shard.write_bytes(content + tfrecord(b'\xff\xff'))

    headless, plan, success, broken, no_example = read_robovqa(
        shard.parent, tmp_path / 'out', frames=2
    )
    assert isinstance(plan, Dialogue) and isinstance(success, Dialogue)
    assert as_text(plan.turns[0]) == '<image>\n<image>\nnext step?'
    assert plan.turns[0].answer == 'pick up the cup'
    assert [plan.kind, success.kind] == ['planning:planning', 'success']
    assert success.turns[0].answer == 'yes'
    assert plan.scene == success.scene
    assert [path.read_bytes() for path in plan.pictures] == [frames[0], frames[4]]
    assert isinstance(headless, Dropped) and headless.detail.startswith('<task with blanks>')
    assert isinstance(broken, Dropped) and broken.reason.startswith('texts: ')
    assert isinstance(no_example, Dropped) and no_example.record == 'train-00000 [1]'

    for damaged in (content[:-1], content[:5], b'x' * 40):
        shard.write_bytes(damaged)
        with pytest.raises(DataError, match=r'train-00000, record 0: '):
            list(read_tfrecord(shard))


def test_openeqa(tmp_path: Path) -> None:
    for index in range(9):
        picture(tmp_path / 'scannet-v0' / '002-scannet-scene0709_00' / f'{index:05}-rgb.png')
    record = {'question': 'What?', 'answer': 'That.', 'category': 'spatial understanding'}
    histories = ['scannet-v0/002-scannet-scene0709_00', 'hm3d-v0/000-hm3d-BFRy']
    path = write_json(
        tmp_path / 'eqa.json', [{**record, 'episode_history': each} for each in histories]
    )
    good, bad = read_openeqa(path, tmp_path, frames=3)
    (good,) = conversations([good])
    assert [each.name[:5] for each in good.pictures] == ['00000', '00004', '00008']
    assert (good.scene, good.kind) == ('scene0709', 'spatial understanding')
    (bad,) = dropped([bad])
    assert bad.reason.startswith('episode_history: ') and bad.detail == histories[1]


@pytest.mark.skipif(not OPENEQA.is_file(), reason='OpenEQA is not in ../shared/data/formats/')
def test_the_real_openeqa_file(tmp_path: Path) -> None:
    for walk in ('hm3d-v0/000-hm3d-BFRyYbPCCPE', 'scannet-v0/002-scannet-scene0709_00'):
        picture(tmp_path / walk / '00000-rgb.png')
    samples = list(read_openeqa(OPENEQA, tmp_path, frames=4))
    assert len(samples) == 1636
    found = [each for each in samples if isinstance(each, Dialogue)]
    assert {each.scene for each in found} == {'BFRyYbPCCPE', 'scene0709'}
    assert len({each.kind for each in found}) == 7
    missing = {each.reason.split(':')[0] for each in samples if isinstance(each, Dropped)}
    assert missing == {'episode_history'}
