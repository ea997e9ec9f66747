"""LLaVA JSON means what LLaVA-1.5 trained on, and says which record and field are wrong."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from training_records import as_text, conversations, dropped, said, write_json

from ros2_llava_phi.datasets.dialogue import Dialogue
from ros2_llava_phi.datasets.llava import read_llava, write_llava
from ros2_llava_phi.errors import DataError


def read(folder: Path, *records: Any) -> list[Any]:
    return list(read_llava(write_json(folder / 'set.json', records), folder))


def test_a_picture_moves_to_the_front_of_its_request(tmp_path: Path) -> None:
    record = {
        'id': 1,
        'image': 'coco/1.jpg',
        'conversations': said('What is it?\n<image> ', 'A bus.', 'Its colour?', 'Red.'),
    }
    (one,) = conversations(read(tmp_path, record))
    assert one.pictures == (tmp_path / 'coco' / '1.jpg',)
    assert [as_text(turn) for turn in one.turns] == ['<image>\nWhat is it?', 'Its colour?']
    assert [turn.answer for turn in one.turns] == ['A bus.', 'Red.']


def test_several_pictures_keep_their_places(tmp_path: Path) -> None:
    two, six = conversations(
        read(
            tmp_path,
            {'image': ['a', 'b'], 'conversations': said('Was <image>, is <image>?', 'Yes.')},
            # DriveLM's export has one place for six cameras.
            {'image': list('abcdef'), 'conversations': said('<image>\nWhat?', 'That.')},
        )
    )
    assert as_text(two.turns[0]) == 'Was <image>, is <image>?'
    assert as_text(six.turns[0]) == '<image>\n' * 6 + 'What?'
    assert [path.name for path in six.pictures] == list('abcdef')


def test_text_alone_and_a_greeting(tmp_path: Path) -> None:
    greeted = [{'from': 'gpt', 'value': 'Hello!'}, *said('Hi.', 'How can I help?')]
    text, also_text = conversations(
        read(tmp_path, {'conversations': said('Hi.', 'Ho.')}, {'conversations': greeted})
    )
    assert text.pictures == () and as_text(text.turns[0]) == 'Hi.'
    assert [turn.answer for turn in also_text.turns] == ['How can I help?']


def test_scenes(tmp_path: Path) -> None:
    ask = said('<image>\nWhat?', 'That.')
    first, second, own, *texts = conversations(
        read(
            tmp_path,
            {'image': 'a.jpg', 'conversations': ask},
            {'image': 'a.jpg', 'conversations': ask},
            {'image': 'a.jpg', 'conversations': ask, 'scene': 'drive 3', 'kind': 'yes_no'},
            {'conversations': said('a', 'b')},
            {'conversations': said('a', 'b')},
        )
    )
    assert first.scene == second.scene
    assert (own.scene, own.kind) == ('drive 3', 'yes_no')
    assert texts[0].scene != texts[1].scene


@pytest.mark.parametrize(
    ('record', 'field'),
    [
        (7, 'the record'),
        ({'image': 'a.jpg'}, 'conversations'),
        ({'image': 5, 'conversations': said('<image>', 'a')}, 'image'),
        ({'conversations': [{'from': 'user', 'value': 'a'}]}, 'conversations.from'),
        ({'conversations': [{'from': 'human', 'value': None}]}, 'conversations.value'),
        ({'conversations': []}, 'conversations'),
        ({'conversations': said('a', 'b', 'c')}, 'conversations'),
        ({'conversations': [*said('a'), *said('b', 'c')]}, 'conversations'),
        ({'image': 'a.jpg', 'conversations': said('no place', 'a')}, 'image'),
        ({'conversations': said('<image>', 'no picture')}, 'image'),
        ({'image': ['a', 'b', 'c'], 'conversations': said('<image><image>', 'a')}, 'image'),
    ],
)
def test_a_bad_record_is_dropped_by_the_name_of_its_field(
    tmp_path: Path, record: Any, field: str
) -> None:
    good = {'conversations': said('a', 'b')}
    kept, bad = read(tmp_path, good, record)
    assert isinstance(kept, Dialogue)
    (bad,) = dropped([bad])
    assert bad.record == '[1]' and bad.reason.startswith(f'{field}: '), bad


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / 'set.jsonl'
    lines = [json.dumps({'conversations': said('a\u2028b', str(i))}) for i in range(2)]
    path.write_text('\n'.join([lines[0], '', lines[1], '']))
    found = conversations(read_llava(path, tmp_path))
    assert [each.record for each in found] == ['line 1', 'line 3']


@pytest.mark.parametrize(
    ('content', 'says'),
    [
        (None, 'No such file'),
        (b'{"a": 1}', 'it must hold a list'),
        (b'[{"a": 1}', 'line 1, column 10'),
        (b'[' * 200_000, 'no JSON'),
        (b'["\xff"]', 'byte 2 is no UTF-8'),
        (b'{"a": 1}\n{"a": 2}\n', 'holds an object a line; name it .jsonl'),
        (gzip.compress(b'[]', mtime=0), 'unpack it first'),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / 'set.json'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=says) as refused:
        list(read_llava(path, tmp_path))
    assert str(path) in str(refused.value)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    records = [
        {'image': ['a.jpg', 'b.jpg'], 'conversations': said('<image> <image> ä?', 'b', 'c', 'd')},
        {'conversations': said('a', 'b'), 'scene': 's', 'kind': 'k'},
    ]
    before = conversations(read(tmp_path, *records))
    write_llava(tmp_path / 'set.json', tmp_path, before)
    assert conversations(read_llava(tmp_path / 'set.json', tmp_path)) == before
