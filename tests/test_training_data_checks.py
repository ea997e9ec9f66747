"""What comes from outside is counted and skipped, or refused, and never ends in a stack trace."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from training_records import picture, said, write_json

from ros2_llava_phi.datasets import check
from ros2_llava_phi.datasets.data_set import TERMS, DataSet, Format, check_licences, read_data_set
from ros2_llava_phi.errors import DataError, FrameError
from ros2_llava_phi.imaging.pictures import read_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make pictures, good and bad ones, and the file of a data set about them."""
    pictures = tmp_path / 'pictures'
    content = picture(pictures / 'good.jpg').read_bytes()
    picture(tmp_path / 'outside.jpg')
    (pictures / 'cut.jpg').write_bytes(content[: len(content) // 2])
    (pictures / 'nearly.jpg').write_bytes(content[:-40])
    (pictures / 'text.jpg').write_text('no picture')
    thermal = np.full((8, 8), 30_000, np.uint16)
    Image.fromarray(thermal).save(pictures / 'thermal.png')
    (pictures / 'link.jpg').symlink_to(tmp_path / 'outside.jpg')
    (pictures / 'away').symlink_to(tmp_path)
    (pictures / 'circle.jpg').symlink_to(pictures / 'circle.jpg')
    return tmp_path


def data_set(folder: Path, records: list[object], **settings: object) -> DataSet:
    path = write_json(folder / 'set.json', records)
    return DataSet.model_validate(
        {'name': 'fleet', 'path': path, 'pictures': folder / 'pictures', **settings}
    )


@pytest.mark.parametrize(
    ('image', 'reason'),
    [
        ('gone.jpg', 'there is no such file'),
        ('cut.jpg', 'damaged or cut off'),
        ('nearly.jpg', 'damaged or cut off'),
        ('text.jpg', 'it is none of'),
        ('thermal.png', 'more than 8 bits'),
        ('.', 'it is a folder'),
        ('../outside.jpg', 'outside the folder'),
        ('link.jpg', 'outside the folder'),
        ('away/outside.jpg', 'outside the folder'),
        ('/etc/hostname', 'outside the folder'),
        ('circle.jpg', 'image: '),
        ('a\0b', 'it is no path'),
        ('n' * 300, 'image: '),
    ],
)
def test_bad_pictures(folder: Path, image: str, reason: str) -> None:
    ask = said('<image>\nWhat?', 'That.')
    records = [{'image': name, 'conversations': ask} for name in ('good.jpg', image)]
    read = read_data_set(data_set(folder, list(records)))
    assert [each.record for each in read.conversations] == ['[0]']
    (bad,) = read.dropped
    assert (bad.source, bad.record) == ('fleet', '[1]')
    assert bad.reason.startswith('image: ') and reason in bad.reason


def test_of_pictures_that_lost_data_one_in_a_hundred_is_skipped_and_no_more(folder: Path) -> None:
    content = (folder / 'pictures' / 'good.jpg').read_bytes()
    # Cut off, with an end: OpenCV and Pillow make a picture of that.
    (folder / 'pictures' / 'lost.jpg').write_bytes(content[: len(content) // 2] + b'\xff\xd9')
    whole = {'image': 'good.jpg', 'conversations': said('<image>\nWhat?', 'That.')}
    lost = {**whole, 'image': 'lost.jpg'}
    read = read_data_set(data_set(folder, [*[whole] * 198, lost, lost]))
    assert [each.reason for each in read.dropped] == [check.DAMAGED] * 2
    with pytest.raises(DataError, match=r'2 of 199 pictures lost data, more than 1%.*lost\.jpg'):
        read_data_set(data_set(folder, [*[whole] * 197, lost, lost]))


def test_yes_and_no_are_written_as_the_assistant_chooses_them(folder: Path) -> None:
    answers = {'yes': 'Yes', ' NO ': 'No', 'yes.': 'Yes.', 'yes, two': 'yes, two', 'cat': 'cat'}
    records = [{'conversations': said('Is it?', answer)} for answer in answers]
    records.append({'conversations': said('Is it? Answer with one of: yes, maybe.', 'yes')})
    read = read_data_set(data_set(folder, list(records)))
    assert [each.turns[0].answer for each in read.conversations] == [*answers.values(), 'yes']


@pytest.mark.parametrize(
    ('texts', 'reason'),
    [
        (('What?', ''), 'answer: it is empty'),
        (('What?', ' \n'), 'answer: it is empty'),
        (('', 'That.'), 'question: it is empty'),
        (('What?', 'x' * (check.MOST_CHARACTERS + 1)), 'more than 131072 characters'),
        (('\ud800?', 'That.'), 'no Unicode'),
    ],
)
def test_bad_texts(folder: Path, texts: tuple[str, str], reason: str) -> None:
    records = [{'conversations': said('a', 'b')}, {'conversations': said(*texts)}]
    read = read_data_set(data_set(folder, list(records)))
    assert len(read.conversations) == 1
    assert reason in read.dropped[0].reason


def test_bad_records_are_counted_by_reason(folder: Path) -> None:
    names = ['good.jpg', *['gone.jpg'] * 5, 'text.jpg', 'also [/gone].jpg', '\ud800.jpg']
    records = [{'image': name, 'conversations': said('<image>', 'a')} for name in names]
    read = read_data_set(data_set(folder, list(records)))
    groups = check.groups(read.dropped)
    assert [group.count for group in groups] == [6, 1, 1]
    assert [each.record for each in groups[0].first] == ['[1]', '[2]', '[3]']
    # As a terminal takes it, which refuses half of a surrogate pair.
    terminal = io.TextIOWrapper(io.BytesIO(), encoding='utf-8')
    console = Console(width=200, record=True, file=terminal)
    console.print(check.dropped_table(read.dropped))
    printed = console.export_text()
    assert 'there is no such file' in printed and r'\ud800.jpg' in printed


def test_refused_where_the_set_says_so(folder: Path) -> None:
    records = [{'conversations': said('a', 'b')}, {'conversations': said('a', '')}]
    with pytest.raises(DataError, match=r'set\.json, record \[1\]: answer: it is empty; 1 of 2'):
        read_data_set(data_set(folder, list(records), on_bad='refuse'))


def test_nothing_to_learn_from_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match='holds no records'):
        read_data_set(data_set(folder, []))
    with pytest.raises(DataError, match='1 of 1 record cannot be used'):
        read_data_set(data_set(folder, [{'conversations': said('a')}]))
    with pytest.raises(DataError, match='no folder of pictures'):
        read_data_set(data_set(folder, [], pictures=folder / 'nowhere'))


def test_only_the_scenes_listed(folder: Path) -> None:
    records = [{'conversations': said('a', 'b'), 'scene': scene} for scene in 'abc']
    (folder / 'scenes.txt').write_text('a\nc\n')
    read = read_data_set(data_set(folder, list(records), scenes=folder / 'scenes.txt'))
    assert [each.scene for each in read.conversations] == ['a', 'c']
    (folder / 'scenes.txt').write_text('d\n')
    with pytest.raises(DataError, match='no records of the scenes in'):
        read_data_set(data_set(folder, list(records), scenes=folder / 'scenes.txt'))


def test_pictures_load_whole_or_not_at_all(folder: Path) -> None:
    assert read_picture(folder / 'pictures' / 'good.jpg').shape == (48, 64, 3)
    for name in ('cut.jpg', 'gone.jpg', 'text.jpg'):
        with pytest.raises(FrameError, match=name):
            read_picture(folder / 'pictures' / name)


@pytest.mark.parametrize(
    ('path', 'by_gpt_4'),
    [
        ('llava_v1_5_mix665k.json', True),
        ('llava_instruct_150k.json', True),
        ('fleet/data.json', False),
        ('thermal/llava.json', False),
    ],
)
def test_gpt_4_is_named_only_where_it_wrote(path: str, by_gpt_4: bool) -> None:
    (sentence,) = check_licences([DataSet(name='mine', path=Path(path))], research_only=False)
    assert 'keep the terms of where they came from' in sentence
    assert ('OpenAI' in sentence) == by_gpt_4


def test_lingoqa_is_for_research_only() -> None:
    sets = [
        DataSet(name='london', format=Format.LINGOQA, path=Path('val.parquet')),
        DataSet(name='mine', format=Format.SHEET, path=Path('sheet.csv')),
    ]
    with pytest.raises(DataError, match='london: the licence of lingoqa forbids'):
        check_licences(sets, research_only=False)
    sentences = check_licences(sets, research_only=True)
    assert 'Wayve' in sentences[0] and sentences[1].startswith('mine (sheet): ')
    assert check_licences(sets[1:], research_only=False) == sentences[1:]
    assert set(TERMS) == set(Format)
