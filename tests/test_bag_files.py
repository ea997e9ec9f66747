"""Whatever stands beside a recording's messages, all of them are read, or a sentence says why."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from mcap.writer import IndexType
from recordings import START_NS, Written, frame, point, text, write_mcap, write_rosbag2
from ruamel.yaml import YAML

from ros2_llava_phi.bags.bag import Storage
from ros2_llava_phi.bags.cdr import unpacked
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.bags.stamps import NS
from ros2_llava_phi.errors import BagError, FrameError

COUNT = 20
PERIOD_NS = NS // 2


def messages() -> list[Written]:
    """Return twenty frames with labels between them."""
    found = []
    for index in range(COUNT):
        at_ns = START_NS + index * PERIOD_NS
        found += [frame(at_ns, at_ns, 'noise'), point(at_ns + 1000, at_ns, float(index))]
    return found


def read(path: Path) -> tuple[int, list[str]]:
    """Return how many frames can be decoded, and what there is to say of the recording."""
    recording = Recording(path)
    frames = [each.frame() for each in recording.frames()]
    stamps = [each.stamp_ns for each in frames]
    assert stamps == sorted(set(stamps))
    return len(frames), [*recording.losses, *recording.notes(['/front/image'])]


def split(path: Path, storage: Storage) -> Path:
    """Write a recording of two files, with one metadata.yaml for both."""
    path.mkdir()
    halves = messages()[:COUNT], messages()[COUNT:]
    contents = []
    for number, half in enumerate(halves):
        part = write_rosbag2(path.parent / f'{path.name}_{number}', half, storage)
        suffix = '.mcap' if storage is Storage.MCAP else '.db3'
        shutil.move(part / f'{part.name}{suffix}', path)
        contents.append(YAML(typ='safe').load(part / 'metadata.yaml'))
    whole, more = (each['rosbag2_bagfile_information'] for each in contents)
    whole['relative_file_paths'] += more['relative_file_paths']
    whole['files'] += more['files']
    whole['message_count'] += more['message_count']
    for topic, others in zip(
        whole['topics_with_message_count'], more['topics_with_message_count'], strict=True
    ):
        topic['message_count'] += others['message_count']
    YAML(typ='safe').dump(contents[0], path / 'metadata.yaml')
    return path


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value in nested lists and dicts."""
    inside = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inside:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


REMOVED = object()
CHANGES: list[Any] = [REMOVED, '', [], {}, None, 0, -1, 999, 'other', ['other'], 1.5, True]


@pytest.mark.parametrize('storage', Storage)
def test_no_frame_is_lost_whatever_metadata_says(tmp_path: Path, storage: Storage) -> None:
    """Each field of metadata.yaml is removed, emptied, or changed in value or type."""
    path = split(tmp_path / 'bag', storage)
    metadata = path / 'metadata.yaml'
    assert read(path) == (COUNT, [])
    whole = metadata.read_text()
    chosen = random.Random(0)
    for place in places(YAML(typ='safe').load(whole)):
        for change in chosen.sample(CHANGES, 1):
            content = YAML(typ='safe').load(whole)
            inside = content
            for step in place[:-1]:
                inside = inside[step]
            if change is REMOVED:
                del inside[place[-1]]
            else:
                inside[place[-1]] = change
            YAML(typ='safe').dump(content, metadata)
            assert read(path)[0] == COUNT, (place, change)


def test_quality_that_differs_from_the_files_loses_nothing(tmp_path: Path) -> None:
    path = write_rosbag2(tmp_path / 'bag', messages(), Storage.SQLITE3)
    with sqlite3.connect(path / 'bag.db3') as database:
        database.execute("UPDATE topics SET offered_qos_profiles = '- history: 3'")
        database.execute("UPDATE topics SET type_description_hash = 'RIHS01_00'")
    assert read(path) == (COUNT, [])


WAYS: dict[str, dict[str, Any]] = {
    'no index': {'index_types': IndexType.NONE},
    'no message index': {'index_types': IndexType.CHUNK},
    'no chunk index': {'index_types': IndexType.MESSAGE},
    'no statistics': {'use_statistics': False},
    'no chunks': {'use_chunking': False},
    'no summary': {
        'index_types': IndexType.NONE,
        'use_statistics': False,
        'use_summary_offsets': False,
        'repeat_channels': False,
        'repeat_schemas': False,
    },
    'no checksums': {'enable_crcs': False},
    'no profile': {'profile': ''},
    'messages packed': {'packed': True},
    'packed, no index': {'packed': True, 'index_types': IndexType.NONE},
}


@pytest.mark.parametrize('way', WAYS)
def test_no_frame_of_an_mcap_is_lost_whatever_it_lacks(tmp_path: Path, way: str) -> None:
    file = write_mcap(tmp_path / 'bag.mcap', messages(), **WAYS[way])
    assert read(file) == (COUNT, [])
    # With metadata.yaml of a recording that is as it should be.
    bag = write_rosbag2(tmp_path / 'bag', messages(), Storage.MCAP)
    shutil.copy(file, bag / 'bag.mcap')
    assert read(bag) == (COUNT, [])
    # And whole without it, of which nothing but that is to be said.
    (bag / 'metadata.yaml').unlink()
    count, notes = read(bag)
    assert count == COUNT and len(notes) == 1 and 'has no metadata.yaml' in notes[0]


def test_an_mcap_whose_messages_are_written_in_another_order_is_read(tmp_path: Path) -> None:
    by_topic = sorted(messages(), key=lambda each: each.topic)
    file = write_mcap(tmp_path / 'bag.mcap', by_topic, index_types=IndexType.NONE)
    assert read(file) == (COUNT, [])
    recording = Recording(file)
    both = [each.topic for each in recording.messages(recording.channels)]
    assert both == ['/front/image', '/labels'] * COUNT


@pytest.mark.parametrize('keep', [0.5, 0.7, 0.95])
@pytest.mark.parametrize('storage', Storage)
def test_packed_messages_are_read_up_to_where_a_file_breaks_off(
    tmp_path: Path, storage: Storage, keep: float
) -> None:
    if storage is Storage.MCAP:
        file = write_mcap(tmp_path / 'bag.mcap', messages(), packed=True)
    else:
        file = packed_sqlite3(tmp_path / 'bag')
    with file.open('r+b') as data:
        data.truncate(int(keep * file.stat().st_size))
    count, notes = read(file)
    assert 0.4 * keep * COUNT < count <= COUNT
    assert notes and all('readable' in each or 'Nothing is' in each for each in notes)


def packed_sqlite3(path: Path) -> Path:
    """Write a bag whose messages are compressed one by one, and return its file."""
    write_rosbag2(path, messages(), Storage.SQLITE3)
    with sqlite3.connect(path / 'bag.db3') as database:
        database.create_function('pack', 1, lambda data: zstandard.compress(data))
        database.execute('UPDATE messages SET data = pack(data)')
        database.commit()
        database.execute('VACUUM')
    return path / 'bag.db3'


def test_a_packed_message_that_is_damaged_is_told(tmp_path: Path) -> None:
    file = packed_sqlite3(tmp_path / 'bag')
    with sqlite3.connect(file) as database:
        database.execute('UPDATE messages SET data = substr(data, 1, length(data) - 20)')
    for each in Recording(file).frames():
        with pytest.raises(FrameError, match='decoded: the message is not whole'):
            each.frame()


@pytest.mark.parametrize('storage', Storage)
def test_a_file_is_what_its_bytes_say_whatever_it_is_called(
    tmp_path: Path, storage: Storage
) -> None:
    suffix = '.mcap' if storage is Storage.MCAP else '.db3'
    bag = write_rosbag2(tmp_path / 'bag', messages(), storage)
    file = bag / f'bag{suffix}'
    content = file.read_bytes()
    packed = zstandard.compress(content)
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(content)
    names = {
        f'bag{suffix}': content,
        f'bag{suffix}.zstd': packed,
        f'unsized{suffix}.zst': unsized,
        'renamed': content,
        'renamed.bag': packed,
        'wrong.db3' if storage is Storage.MCAP else 'wrong.mcap': content,
        f'not_packed{suffix}.zstd': content,
    }
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name) == (COUNT, []), name


def test_a_packed_file_and_the_same_unpacked_are_one(tmp_path: Path) -> None:
    """`ros2 bag play` leaves the unpacked file beside the packed one."""
    bag = write_rosbag2(tmp_path / 'bag', messages(), Storage.SQLITE3)
    file = bag / 'bag.db3'
    (bag / 'bag.db3.zstd').write_bytes(zstandard.compress(file.read_bytes()))
    assert read(bag) == (COUNT, [])
    metadata = (bag / 'metadata.yaml').read_text()
    (bag / 'metadata.yaml').write_text(metadata.replace('bag.db3', 'bag.db3.zstd'))
    file.write_bytes(file.read_bytes()[:5000])
    assert read(bag) == (COUNT, [])


def test_only_a_cdr_in_zstd_is_unpacked() -> None:
    cdr = b'\x00\x01\x00\x00' + b'a picture' * 100
    assert unpacked(cdr) == cdr
    assert unpacked(zstandard.compress(cdr)) == cdr
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(cdr)
    assert unpacked(unsized) == cdr
    # What really begins with these bytes, or holds something else, stays as it is.
    for other in (b'\x28\xb5\x2f\xfd and more', zstandard.compress(b'{"data": 1}'), b'', b'\x28'):
        assert unpacked(other) == other


@pytest.mark.parametrize('encoding', ['json', 'protobuf', 'ros1'])
def test_channels_of_another_serialisation_are_no_alarm(tmp_path: Path, encoding: str) -> None:
    strange = [text(START_NS + 5, 'hello', '/strange')]
    file = tmp_path / 'bag.mcap'
    write_mcap(file, strange, encoding=encoding)
    with pytest.raises(BagError, match=rf'only /strange \(std_msgs/msg/String as {encoding}\)'):
        Recording(file).image_topics()
    write_mcap(file, messages(), encoding=encoding)
    with pytest.raises(BagError, match='pictures must be serialised as cdr'):
        Recording(file).image_topics()


@pytest.mark.parametrize('strangers_first', [False, True])
@pytest.mark.parametrize('storage', Storage)
def test_other_types_on_the_topic_of_the_pictures_are_no_frames(
    tmp_path: Path, storage: Storage, strangers_first: bool
) -> None:
    strange = [text(START_NS + index, 'hello', '/front/image') for index in range(7)]
    both = strange + messages() if strangers_first else messages() + strange
    assert read(write_rosbag2(tmp_path / 'bag', both, storage)) == (COUNT, [])


def test_what_is_no_rosbag2_is_told_by_what_it_is(tmp_path: Path) -> None:
    for name in ('drive.bag', 'drive.mcap', 'drive'):
        (tmp_path / name).write_bytes(b'#ROSBAG V2.0\n' + bytes(100))
        with pytest.raises(BagError, match=f'{name} is a recording of ROS 1; .*rosbags-convert'):
            Recording(tmp_path / name)
        (tmp_path / name).unlink()
    write_rosbag2(tmp_path / 'bag', messages(), Storage.MCAP)
    with pytest.raises(BagError, match=f'itself; name a recording in it, such as {tmp_path}/bag'):
        Recording(tmp_path)
    # Beside what it was converted to, it is no matter.
    (tmp_path / 'bag' / 'drive.bag').write_bytes(b'#ROSBAG V2.0\n')
    assert read(tmp_path / 'bag') == (COUNT, [])
    pointer = b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123456\n'
    folder = tmp_path / 'folder'
    folder.mkdir()
    for name in ('bag_0.mcap', 'bag_0.db3', 'bag_0.db3.zstd'):
        (folder / name).write_bytes(pointer)
        for path in (folder, folder / name):
            with pytest.raises(
                BagError, match=f'{name} is only a pointer of Git LFS.*git lfs pull'
            ):
                Recording(path)
        (folder / name).unlink()


Damage = Callable[[bytearray, random.Random], None]


def cut_out(data: bytearray, chosen: random.Random) -> None:
    """Remove up to 1 kB."""
    at = chosen.randrange(8, len(data))
    del data[at : at + chosen.randrange(1, 1000)]


def overwrite(data: bytearray, chosen: random.Random) -> None:
    """Overwrite up to 100 bytes."""
    at = chosen.randrange(8, len(data))
    size = min(chosen.randrange(1, 100), len(data) - at)
    data[at : at + size] = chosen.randbytes(size)


def cut_off(data: bytearray, chosen: random.Random) -> None:
    """Remove the end."""
    del data[chosen.randrange(8, len(data)) :]


@pytest.mark.parametrize('damage', [cut_out, overwrite, cut_off])
@pytest.mark.parametrize('storage', Storage)
def test_frames_are_never_lost_to_damage_without_a_word(
    tmp_path: Path, storage: Storage, damage: Damage
) -> None:
    bag = write_rosbag2(tmp_path / 'bag', messages(), storage)
    file = next(each for each in bag.iterdir() if each.suffix != '.yaml')
    whole = file.read_bytes()
    for seed in range(25):
        chosen = random.Random(seed)
        data = bytearray(whole)
        damage(data, chosen)
        file.write_bytes(data)
        try:
            recording = Recording(bag)
            frames = list(recording.frames())
        except BagError:
            continue
        assert len(frames) <= COUNT
        assert len(frames) == COUNT or recording.losses, seed
