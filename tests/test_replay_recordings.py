"""Whole and damaged recordings, their oddities, and the labels in them."""

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from damaged_frames import as_jpeg
from helpers import write_compressed
from mcap.reader import make_reader
from mcap.writer import Writer as McapWriter
from PIL import Image
from recordings import POINT, TYPES, Written, frame, point, text, write_rosbag2
from replay_stand_in import COLOURS, PERIOD_NS, START_NS, Scripted, picture, write_recording
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.bags.bag import IMAGE, Storage
from ros2_llava_phi.bags.bag_writer import write_bag
from ros2_llava_phi.bags.message_fields import read_field
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.bags.stamps import NS
from ros2_llava_phi.errors import BagError, QuestionsFileError, ResultsError
from ros2_llava_phi.replay.asking import Asking
from ros2_llava_phi.replay.notes import NoteTaker, RecordingNotes
from ros2_llava_phi.replay.offline import replay_offline
from ros2_llava_phi.replay.questions import QuestionsFile
from ros2_llava_phi.replay.record import Record
from ros2_llava_phi.replay.runs import open_recordings


def ask(path: Path, *questions: dict[str, object]) -> tuple[list[Record], RecordingNotes]:
    """Return what a scripted assistant answers about a bag, and what there is to note."""
    file = QuestionsFile.model_validate({'questions': questions or [{'question': 'What?'}]})
    asking = Asking(Recording(path), file)
    taker = NoteTaker(asking.recording, asking.cameras)
    assistant: Any = Scripted()
    groups = replay_offline(asking, assistant, on_frame=taker.see)
    records = [record for group in groups for record in group]
    return records, taker.notes(asking.questions)


@pytest.mark.parametrize(
    ('when', 'frames'),
    [
        ({}, list(range(8))),
        ({'every_s': 1}, [0, 2, 4, 6]),
        ({'at_s': [0.6, 0.9, 2.5, 99]}, [2, 5]),
        ({'at_stamps_ns': [START_NS + 3 * PERIOD_NS, 5]}, [3]),
        ({'from_s': 1, 'to_s': 2.5}, [2, 3, 4]),
        ({'every_s': 1, 'from_s': 0.5}, [1, 3, 5, 7]),
        ({'on_change': 0.5}, [0, 3, 6]),
    ],
)
def test_when_a_question_is_asked(
    tmp_path: Path, when: dict[str, object], frames: list[int]
) -> None:
    write_recording(tmp_path / 'bag', COLOURS)
    records, _ = ask(tmp_path / 'bag', {'question': 'What?', 'when': when})
    assert [each.frame for each in records] == frames


@pytest.mark.parametrize('storage', Storage)
def test_a_recording_that_broke_off_is_read_as_far_as_it_goes(
    tmp_path: Path, storage: Storage
) -> None:
    """As after a power cut: the end of the file is missing, and no metadata.yaml was written."""
    path = write_recording(tmp_path / 'bag', COLOURS * 40, storage=storage)
    whole, notes = ask(path)
    assert len(whole) == 320 and not notes.notes
    file = next(each for each in path.iterdir() if each.suffix != '.yaml')
    with file.open('r+b') as data:
        data.truncate(int(0.6 * file.stat().st_size))
    part, notes = ask(path)
    assert f'{len(part)} of 320 messages on /front/image are readable' in notes.notes[0]
    (path / 'metadata.yaml').unlink()
    part, notes = ask(path)
    # What is before the break is all there, and the same.
    assert 150 < len(part) < 320
    assert [each.text for each in part] == [each.text for each in whole[: len(part)]]
    assert [each.stamp_ns for each in part] == [each.stamp_ns for each in whole[: len(part)]]
    assert f'{len(part)} messages in it are readable, the last one' in notes.notes[0]
    assert f'{part[-1].at_s:.1f} s into it' in notes.notes[0]


@pytest.mark.parametrize('damage', ['content', 'opcode'])
def test_what_lies_behind_a_damaged_chunk_is_read(tmp_path: Path, damage: str) -> None:
    def frames() -> Iterator[tuple[str, Frame]]:
        # Noise, so that there are several chunks of a megabyte.
        rng = np.random.default_rng(0)
        for index in range(12):
            image = rng.integers(0, 255, (400, 400, 3)).astype(np.uint8)
            yield '/front/image', Frame(image, START_NS + index * PERIOD_NS)

    write_bag(tmp_path / 'bag', Storage.MCAP, frames(), jpeg_quality=100, zstd=True)
    file = tmp_path / 'bag' / 'bag.mcap'
    data = bytearray(file.read_bytes())
    if damage == 'content':
        middle = len(data) // 2
        data[middle : middle + 50] = bytes(50)
    else:
        with file.open('rb') as stream:
            summary = make_reader(stream).get_summary()
        assert summary is not None
        data[summary.chunk_indexes[1].chunk_start_offset] = 0x86  # no record of MCAP
        (tmp_path / 'bag' / 'metadata.yaml').unlink()
    file.write_bytes(data)
    records, notes = ask(tmp_path / 'bag')
    assert 0 < len(records) < 12
    assert records[0].stamp_ns == START_NS and records[-1].stamp_ns == START_NS + 11 * PERIOD_NS
    if damage == 'opcode':
        lost = f'{12 - len(records)} of its 12 messages cannot be found'
        assert any(lost in each for each in notes.notes)
        return
    assert any(f'{len(records)} of 12 messages on /front/image' in each for each in notes.notes)
    assert any('1 of its chunks cannot be read, ' in each for each in notes.notes)


def test_a_bag_of_several_files_that_lost_one(tmp_path: Path) -> None:
    for part in range(2):
        stamps = [START_NS + (part * 8 + index) * PERIOD_NS for index in range(8)]
        write_recording(tmp_path / f'{part}', COLOURS, stamps=stamps)
    bag = tmp_path / 'bag'
    bag.mkdir()
    for part in range(2):
        shutil.copy(tmp_path / f'{part}' / f'{part}.mcap', bag / f'bag_{part}.mcap')
    records, notes = ask(bag)
    assert [each.frame for each in records] == list(range(16))
    assert records[8].at_s == 4.0
    assert 'not closed' in notes.notes[0]
    (bag / 'bag_1.mcap').write_bytes(b'')
    records, notes = ask(bag)
    assert len(records) == 8 and 'bag_1.mcap breaks off; nothing in' in notes.notes[0]


def test_an_unfinished_journal_is_read(tmp_path: Path) -> None:
    path = write_recording(tmp_path / 'bag', COLOURS, storage=Storage.SQLITE3)
    (path / 'metadata.yaml').unlink()
    database = sqlite3.connect(path / 'bag.db3')
    database.execute('PRAGMA journal_mode=WAL')
    data = database.execute('SELECT data FROM messages').fetchone()[0]
    database.execute(
        'INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)',
        (START_NS + 60 * 10**9, data),
    )
    database.commit()
    records, _ = ask(path)
    assert [each.at_s for each in records][-2:] == [3.5, 60.0]
    database.close()


def test_frames_that_lost_data_are_bad_and_those_of_webcams_are_noted(tmp_path: Path) -> None:
    whole = as_jpeg(Image.fromarray(picture('red')))
    lost = whole[:-20] + b'\xff\xd9'
    webcam = whole[:-2] + bytes(20) + whole[-2:]
    write_compressed(tmp_path / 'bag', [whole, webcam, lost, webcam])
    records, notes = ask(tmp_path / 'bag')
    assert [each.error for each in records] == ['', '', 'BAD_FRAME', '']
    assert 'lost data' in records[2].error_text
    assert any('2 frames of /front with extraneous bytes' in each for each in notes.notes)


def test_a_questions_file_says_how_many_bits_are_significant(tmp_path: Path) -> None:
    grey = picture('red')[..., 0].astype(np.uint16) * 4
    data = cv2.imencode('.png', grey)[1].tobytes()
    write_compressed(tmp_path / 'bag', [data], 'mono16; png compressed ')
    for bits, ends in ((16, 'black'), (10, '')):
        file = QuestionsFile.model_validate(
            {'questions': [{'question': 'What?'}], 'significant_bits': bits}
        )
        assistant: Any = Scripted()
        ((record,),) = replay_offline(Asking(Recording(tmp_path / 'bag'), file), assistant)
        assert record.error == ('BAD_FRAME' if ends else '') and ends in record.error_text


def test_clocks_that_jump_and_stamps_of_zero(tmp_path: Path) -> None:
    stamps = [START_NS, START_NS + 10**9, START_NS - 10**9, START_NS, 0, START_NS + 10**9]
    types = get_typestore(Stores.ROS2_JAZZY)
    image = types.types['sensor_msgs/msg/Image']
    header, time = types.types['std_msgs/msg/Header'], types.types['builtin_interfaces/msg/Time']
    with Writer(tmp_path / 'bag', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/front', image.__msgtype__, typestore=types)
        for index, stamp_ns in enumerate(stamps):
            stamp = time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
            data = picture('red').reshape(-1)
            message = image(header(stamp, ''), 24, 32, 'rgb8', 0, 96, data)
            cdr = bytes(types.serialize_cdr(message, image.__msgtype__))
            if index == 3:
                cdr = cdr[:200]
            writer.write(connection, START_NS + index * 10**9, cdr)
    records, notes = ask(
        tmp_path / 'bag', {'question': 'What?', 'when': {'every_s': 1}}, {'question': 'too long'}
    )
    assert [each.frame for each in records if each.entry == 1] == list(range(6))
    assert [each.at_s for each in records if each.entry == 1] == [0, 1, 2, 3, 4, 5]
    errors = [each.error for each in records if each.entry == 1]
    assert errors == ['', '', '', 'BAD_FRAME', '', '']
    assert {each.error for each in records if each.entry == 2} == {'BAD_FRAME', 'INVALID_QUESTION'}
    assert any(
        'stamps of /front are set back by 3.0 s at 2.0 s (frame 2)' in each for each in notes.notes
    )
    assert any('2 of 6 frames of /front with a stamp of zero' in each for each in notes.notes)


@pytest.mark.parametrize(
    ('camera', 'sentence'),
    [
        ('', r'has more than one camera for question 1; it has pictures on /front/image, /rear'),
        ('left', r"has no camera 'left' for question 1; it has pictures on /front/image, /rear"),
        ('side', r"no camera 'side' \(topic /side/image\) for question 1"),
    ],
)
def test_a_camera_that_is_not_there(tmp_path: Path, camera: str, sentence: str) -> None:
    both = [('/front/image', Frame(picture('red'))), ('/rear/image', Frame(picture('red')))]
    write_bag(tmp_path / 'bag', Storage.MCAP, both)
    file = {'cameras': {'side': '/side/image'}} if camera == 'side' else {}
    questions = QuestionsFile.model_validate(
        {**file, 'questions': [{'question': 'What?', 'camera': camera}]}
    )
    with pytest.raises(QuestionsFileError, match=sentence):
        Asking(Recording(tmp_path / 'bag'), questions)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'notes.mcap').write_text('hello')
    (tmp_path / 'empty').mkdir()
    for path, sentence in (
        (tmp_path, 'holds no readable message'),
        (tmp_path / 'empty', 'is no rosbag2: it holds neither'),
        (tmp_path / 'notes.mcap', 'holds no readable message: it is damaged'),
        (tmp_path / 'nothing', 'does not exist'),
    ):
        with pytest.raises(BagError, match=f'{path} {sentence}'):
            Recording(path)


def test_questions_that_fit_no_frame_are_noted(tmp_path: Path) -> None:
    write_recording(tmp_path / 'bag', COLOURS)
    records, notes = ask(tmp_path / 'bag', {'question': 'What?', 'when': {'from_s': 99}})
    assert records == []
    assert notes.notes == ('Question 1 (What?) fits no frame.',)


DETECTIONS = """
std_msgs/Header header
bool near
test_msgs/Thing[] things
================================================================================
MSG: test_msgs/Thing
string label
int32 count
"""


@pytest.mark.parametrize('storage', StoragePlugin)
def test_labels_come_from_a_topic_of_a_type_that_only_the_bag_knows(
    tmp_path: Path, storage: StoragePlugin
) -> None:
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register(get_types_from_msg(DETECTIONS, 'test_msgs/msg/Detections'))
    detections = types.types['test_msgs/msg/Detections']
    thing = types.types['test_msgs/msg/Thing']
    image = types.types['sensor_msgs/msg/Image']
    header, time = types.types['std_msgs/msg/Header'], types.types['builtin_interfaces/msg/Time']
    with Writer(tmp_path / 'bag', version=8, storage_plugin=storage) as writer:
        pictures = writer.add_connection('/front', image.__msgtype__, typestore=types)
        labels = writer.add_connection('/labels', detections.__msgtype__, typestore=types)
        for second in range(4):
            head = header(time(sec=1000 + second, nanosec=0), '')
            data = picture('red').reshape(-1)
            message = image(head, 24, 32, 'rgb8', 0, 96, data)
            recorded_ns = START_NS + second * 10**9
            writer.write(pictures, recorded_ns, types.serialize_cdr(message, image.__msgtype__))
            if second == 3:
                continue
            things = [thing('car', 2), thing('truck', 0)][: second + 1]
            label = detections(head, second == 1, things)
            cdr = types.serialize_cdr(label, detections.__msgtype__)
            # Recorded late, as by a slow detector; by its stamp it belongs to this frame.
            writer.write(labels, recorded_ns + 900_000_000, cdr)

    def truths(field: str, kind: str = 'text', **more: object) -> list[tuple[str, ...]]:
        labels = {'topic': '/labels', 'field': field, **more}
        records, _ = ask(tmp_path / 'bag', {'question': 'What?', 'kind': kind, 'labels': labels})
        return [each.truth for each in records]

    assert truths('near', 'yes_no') == [('No',), ('Yes',), ('No',), ()]
    assert truths('things[#]', 'number') == [('1',), ('2',), ('2',), ()]
    assert truths('things[*].label')[:2] == [('car',), ('car', 'truck')]
    assert truths('things[1].count') == [(), ('0',), ('0',), ()]
    named = truths('things[0].label', values={'car': 'automobile'}, within_s=2)
    assert named == [('automobile',)] * 4
    with pytest.raises(QuestionsFileError, match='has no field colour; it has label, count'):
        truths('things[0].colour')
    with pytest.raises(QuestionsFileError, match=r'leads to a list; write things\[0\] for'):
        truths('things')
    with pytest.raises(
        QuestionsFileError, match='Header, which is no value; it has the fields st'
    ):
        truths('header')
    with pytest.raises(BagError, match=r'no topic /nothing with labels; its topics: /front'):
        truths('near', topic='/nothing')


def said(*words: str) -> list[Written]:
    """Return frames, each with a text beside it on /labels."""
    found = []
    for index, each in enumerate(words):
        at_ns = START_NS + index * NS
        found += [frame(at_ns, at_ns), text(at_ns + 1, each, '/labels')]
    return found


WORDED: dict[str, object] = {
    'question': 'Red?',
    'kind': 'yes_no',
    'labels': {'topic': '/labels', 'field': 'data'},
}


def test_a_label_that_can_be_no_answer_counts_for_nothing(tmp_path: Path) -> None:
    path = write_rosbag2(tmp_path / 'some', said('true', 'unknown', 'NO', 'y'), Storage.MCAP)
    records, notes = ask(path, WORDED)
    assert [each.truth for each in records] == [('Yes',), (), ('No',), ('Yes',)]
    assert notes.notes == (
        'Not all of it can be read: 1 of 4 labels can be no answer to question 1 and count for '
        "nothing, such as 'unknown'.",
    )
    path = write_rosbag2(tmp_path / 'all', said('unknown', 'nan'), Storage.MCAP)
    with pytest.raises(
        QuestionsFileError, match="data is 'unknown', which can never be the answer"
    ):
        ask(path, WORDED)


FLOAT = 'std_msgs/msg/Float32'


def test_a_label_that_was_not_measured_says_nothing(tmp_path: Path) -> None:
    messages = said('', '')
    for each, value in ((0, float('nan')), (1, -1.0)):
        cdr = TYPES.serialize_cdr(TYPES.types[FLOAT](data=value), FLOAT)
        messages.append(Written('/measured', FLOAT, START_NS + each * NS, bytes(cdr)))
    path = write_rosbag2(tmp_path / 'bag', messages, Storage.MCAP)
    labels: dict[str, object] = {'topic': '/measured', 'field': 'data'}
    for kind, known in (('yes_no', 'Yes'), ('number', '-1')):
        records, _ = ask(path, {'question': 'How?', 'kind': kind, 'labels': labels})
        assert [each.truth for each in records] == [(), (known,)]
    labels['values'] = {'1': 'clear', '-1': 'rain'}
    records, _ = ask(path, {'question': 'How?', 'labels': labels})
    assert [each.truth for each in records] == [(), ('rain',)]


def test_a_label_may_call_anything_its_header(tmp_path: Path) -> None:
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register(get_types_from_msg('string header\nbool data', 'own_msgs/msg/Named'))
    with Writer(tmp_path / 'bag', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        pictures = writer.add_connection('/front', IMAGE, typestore=types)
        labels = writer.add_connection('/labels', 'own_msgs/msg/Named', typestore=types)
        writer.write(pictures, START_NS, frame(START_NS, START_NS).cdr)
        named = types.types['own_msgs/msg/Named'](header='a', data=True)
        writer.write(labels, START_NS, types.serialize_cdr(named, named.__msgtype__))
    records, _ = ask(tmp_path / 'bag', WORDED)
    assert [each.truth for each in records] == [('Yes',)]


@pytest.mark.parametrize(
    ('encoding', 'definition', 'reason'),
    [
        ('json', b'{}', '/labels (own_msgs/msg/X as json) is not serialised in cdr'),
        ('cdr', b'', 'own_msgs/msg/X, the type of /labels, is not known: the recording does not'),
        ('cdr', b'bool\n$$', 'own_msgs/msg/X, the type of /labels, is not known: its definition'),
    ],
)
def test_labels_beside_messages_that_nobody_can_read(
    tmp_path: Path, encoding: str, definition: bytes, reason: str
) -> None:
    for name, kept in (('both', said('yes', 'no')), ('none', said('yes')[:1])):
        path = tmp_path / f'{name}.mcap'
        with path.open('wb') as file:
            writer = McapWriter(file)
            writer.start(profile='ros2')
            known = {}
            for each in kept:
                text_of, _ = TYPES.generate_msgdef(each.type, ros_version=2)
                schema = writer.register_schema(each.type, 'ros2msg', text_of.encode())
                known[each.type] = writer.register_channel(each.topic, 'cdr', schema)
            schema = writer.register_schema('own_msgs/msg/X', 'ros2msg', definition)
            strange = writer.register_channel('/labels', encoding, schema)
            for each in kept:
                writer.add_message(known[each.type], each.recorded_ns, each.cdr, each.recorded_ns)
            writer.add_message(strange, START_NS + 2, b'{"data": 1}', START_NS + 2)
            writer.finish()
    records, notes = ask(tmp_path / 'both.mcap', WORDED)
    assert [each.truth for each in records] == [('Yes',), ('No',)]
    (note,) = notes.notes
    assert note.startswith(f'Not all of it can be read: {reason}') and '\n' not in note
    with pytest.raises(BagError) as refused:
        ask(tmp_path / 'none.mcap', WORDED)
    assert str(refused.value).startswith(reason) and '\n' not in str(refused.value)


def test_field_paths() -> None:
    with pytest.raises(QuestionsFileError, match='takes an element of what is no list'):
        read_field(Scripted(), 'identity.name[0]')


def labelled(damaged: int) -> list[Written]:
    """Return ten frames with labels, of which the first so many are cut off."""
    found = []
    for index in range(10):
        at_ns = START_NS + index * PERIOD_NS
        label = point(at_ns, at_ns, float(index))
        found.append(frame(at_ns, at_ns))
        found.append(replace(label, cdr=label.cdr[:-9]) if index < damaged else label)
    return found


LABELLED: dict[str, object] = {
    'question': 'Where?',
    'kind': 'number',
    'labels': {'topic': '/labels', 'field': 'point.x', 'within_s': 0.1},
}


@pytest.mark.parametrize('storage', Storage)
def test_a_damaged_label_is_left_out_and_counted(tmp_path: Path, storage: Storage) -> None:
    for damaged in (1, 5):
        path = write_rosbag2(tmp_path / str(damaged), labelled(damaged), storage)
        records, notes = ask(path, LABELLED)
        assert [each.truth for each in records] == [
            (str(index),) if index >= damaged else () for index in range(10)
        ]
        lost = f'Not all of it can be read: {damaged} of 10 messages on /labels are damaged.'
        assert notes.notes == (lost,)
    with pytest.raises(BagError, match=r'6 of 10 messages on /labels are damaged; the first: a'):
        ask(write_rosbag2(tmp_path / 'most', labelled(6), storage), LABELLED)


@pytest.mark.parametrize('storage', StoragePlugin)
def test_a_type_is_what_the_recording_says_that_it_is(
    tmp_path: Path, storage: StoragePlugin
) -> None:
    """A type that ROS 2 has as well, but not with these fields."""
    own = get_typestore(Stores.EMPTY)
    definition = 'int32 sure\nbuiltin_interfaces/Time when\nfloat64 x\n'
    own.register(get_types_from_msg(definition, POINT))
    when = own.types['builtin_interfaces/msg/Time'](sec=1, nanosec=5)
    with Writer(tmp_path / 'bag', version=8, storage_plugin=storage) as writer:
        pictures = writer.add_connection('/front', IMAGE, typestore=TYPES)
        labels = writer.add_connection('/labels', POINT, typestore=own)
        for index in range(3):
            at_ns = START_NS + index * PERIOD_NS
            writer.write(pictures, at_ns, frame(at_ns, at_ns).cdr)
            label = own.types[POINT](sure=1, when=when, x=float(index))
            writer.write(labels, at_ns, own.serialize_cdr(label, POINT))
    question = {**LABELLED, 'labels': {'topic': '/labels', 'field': 'x', 'within_s': 0.1}}
    records, notes = ask(tmp_path / 'bag', question)
    assert [each.truth for each in records] == [('0',), ('1',), ('2',)] and not notes.notes


def test_a_definition_that_no_message_fits_does_no_harm(tmp_path: Path) -> None:
    """As converters leave it: that of ROS 1, whose header has one field more."""
    old = get_typestore(Stores.ROS1_NOETIC).generate_msgdef(POINT, ros_version=1)[0]
    path = write_rosbag2(tmp_path / 'bag', labelled(1), Storage.SQLITE3)
    with sqlite3.connect(path / 'bag.db3') as database:
        database.execute(
            'UPDATE message_definitions SET encoded_message_definition = ? WHERE topic_type = ?',
            (old, POINT),
        )
    records, _ = ask(path, LABELLED)
    assert [each.truth for each in records] == [(), *((str(index),) for index in range(1, 10))]


def test_labels_on_the_topic_of_the_pictures_are_labels(tmp_path: Path) -> None:
    both = [replace(each, topic='/front') for each in labelled(0)]
    path = write_rosbag2(tmp_path / 'bag', both, Storage.MCAP)
    question = {**LABELLED, 'labels': {'topic': '/front', 'field': 'point.x', 'within_s': 0.1}}
    records, notes = ask(path, question)
    assert [each.truth for each in records] == [(str(index),) for index in range(10)]
    assert not notes.notes


def test_labels_of_two_types_on_one_topic(tmp_path: Path) -> None:
    strange = [text(START_NS + 1, 'no label', '/labels')]
    path = write_rosbag2(tmp_path / 'bag', strange + labelled(0), Storage.MCAP)
    records, _ = ask(path, LABELLED)
    assert [each.truth for each in records] == [(str(index),) for index in range(10)]


def test_two_recordings_of_one_name_are_told_apart_by_renaming(tmp_path: Path) -> None:
    first = write_recording(tmp_path / 'monday' / 'bag', COLOURS)
    second = write_recording(tmp_path / 'tuesday' / 'bag', COLOURS)
    file = QuestionsFile.model_validate({'questions': [{'question': 'What?'}]})
    with pytest.raises(
        ResultsError, match=f'{first} and {second} are both called bag.*rename one'
    ):
        open_recordings([first, second], file)
    with pytest.raises(ResultsError, match=r'bag is given twice; once is enough'):
        open_recordings([first, first.parent / '..' / 'monday' / 'bag'], file)
