"""Bags are written whole or not at all, read back as written, and refused where damaged."""

import os
import resource
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.bags.bag import COMPRESSED_IMAGE, IMAGE, Storage, Transport
from ros2_llava_phi.bags.bag_writer import write_bag
from ros2_llava_phi.bags.recorded_frame import RecordedFrame
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.errors import BagError, FrameError
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb

START_NS = 1_700_000_000_123_456_789


def frames(count: int = 6) -> Iterator[tuple[str, Frame]]:
    """Yield frames of two cameras: a red picture that grows brighter, and a blue one."""
    for index in range(count):
        stamp_ns = START_NS + index * 100_000_000
        image = np.zeros((32, 48, 3), np.uint8)
        image[..., 0] = min(100 + 20 * index, 255)
        yield '/front', Frame(image, stamp_ns=stamp_ns, frame_id='front_optical')
        yield '/rear', Frame(image[..., ::-1], stamp_ns=stamp_ns + 1, frame_id='rear_optical')


def whole(path: Path, topics: Sequence[str] = ()) -> list[RecordedFrame]:
    """Return the frames of a bag that must be whole."""
    return list(Recording(path, must_be_whole=True).frames({each: each for each in topics}))


@pytest.mark.parametrize('zstd', [False, True])
@pytest.mark.parametrize('transport', Transport)
@pytest.mark.parametrize('storage', Storage)
def test_what_is_written_is_read_back(
    tmp_path: Path, storage: Storage, transport: Transport, zstd: bool
) -> None:
    path = tmp_path / 'bag'
    assert write_bag(path, storage, frames(), transport=transport, zstd=zstd) == 12
    message_type = IMAGE if transport is Transport.RAW else COMPRESSED_IMAGE
    assert Recording(path).image_topics() == {'/front': message_type, '/rear': message_type}

    messages = whole(path)
    assert len(messages) == 12
    for (topic, frame), recorded in zip(frames(), messages, strict=True):
        assert (recorded.camera, recorded.stamp_ns) == (topic, frame.stamp_ns)
        assert recorded.frame_id == frame.frame_id
        assert recorded.message.recorded_ns == frame.stamp_ns
        off = np.abs(recorded.frame().image.astype(int) - frame.image)
        assert off.max() <= (0 if transport is Transport.RAW else 4)


def test_the_files_are_what_they_are_called(tmp_path: Path) -> None:
    write_bag(tmp_path / 'a', Storage.MCAP, frames())
    write_bag(tmp_path / 'b', Storage.SQLITE3, frames())
    assert (tmp_path / 'a' / 'a.mcap').read_bytes().startswith(b'\x89MCAP0\r\n')
    with sqlite3.connect(tmp_path / 'b' / 'b.db3') as database:
        assert database.execute('SELECT count(*) FROM messages').fetchone() == (12,)
    assert len(whole(tmp_path / 'a' / 'a.mcap')) == 12


def test_only_the_topics_asked_for_are_read(tmp_path: Path) -> None:
    write_bag(tmp_path / 'bag', Storage.MCAP, frames())
    messages = whole(tmp_path / 'bag', ['/rear'])
    assert [each.camera for each in messages] == ['/rear'] * 6
    with pytest.raises(BagError, match=r"no pictures on '/left'; it has them on /front, /rear"):
        whole(tmp_path / 'bag', ['/left'])


def test_a_frame_is_decoded_when_asked_for_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bag(tmp_path / 'bag', Storage.MCAP, frames(2))
    decoded: list[Any] = []

    def counted(message: Any, *more: Any) -> Any:
        decoded.append(message)
        return compressed_to_rgb(message, *more)

    monkeypatch.setattr('ros2_llava_phi.bags.recorded_frame.compressed_to_rgb', counted)
    front, rear, *_ = whole(tmp_path / 'bag')
    assert decoded == []
    assert front.frame() is front.frame()
    assert (front.frame().camera, front.frame().stamp_ns) == ('/front', START_NS)
    assert len(decoded) == 1
    damaged = replace(rear, message=replace(rear.message, cdr=rear.message.cdr[:-50]))
    for _ in range(2):
        with pytest.raises(FrameError, match=f'at {START_NS + 1} ns on /rear cannot be decoded'):
            damaged.frame()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / 'bag').mkdir()
    (tmp_path / 'bag' / 'mine').write_text('keep me')
    mine = tmp_path / 'bag' / 'mine'
    for path, sentence in (
        (tmp_path / 'bag', 'is not empty; give a new folder'),
        (mine, 'is a file; give a new folder'),
        (mine / 'new', 'cannot be written: Not a directory'),
        (tmp_path / ('long' * 100), 'cannot be written: File name too long'),
    ):
        with pytest.raises(BagError, match=sentence):
            write_bag(path, Storage.MCAP, frames())
    assert mine.read_text() == 'keep me'


def test_one_process_writes_a_bag(tmp_path: Path) -> None:
    def disturbed() -> Iterator[tuple[str, Frame]]:
        yield from frames()
        with pytest.raises(BagError, match='is being written by another process'):
            write_bag(tmp_path / 'bag', Storage.MCAP, frames())

    assert write_bag(tmp_path / 'bag', Storage.MCAP, disturbed()) == 12
    assert len(whole(tmp_path / 'bag')) == 12


def test_a_bag_whose_writer_was_killed_is_written_anew(tmp_path: Path) -> None:
    def killed() -> Iterator[tuple[str, Frame]]:
        yield from frames()
        os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        write_bag(tmp_path / 'bag', Storage.MCAP, killed())
    os.waitpid(child, 0)
    write_bag(tmp_path / 'bag', Storage.SQLITE3, frames())
    assert [path.name for path in tmp_path.iterdir()] == ['bag']
    assert {path.name for path in (tmp_path / 'bag').iterdir()} == {'bag.db3', 'metadata.yaml'}


@pytest.mark.parametrize('storage', Storage)
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, storage: Storage) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(BagError, match='bag cannot be written: '):
            write_bag(tmp_path / 'bag', storage, frames(40), transport=Transport.RAW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / 'bag').exists()


@pytest.mark.parametrize(
    ('topic', 'stamp_ns', 'sentence'),
    [
        ('front', 0, 'full name of a topic'),
        ('/2front', 0, 'full name of a topic'),
        ('/front/', 0, 'full name of a topic'),
        ('/front', -1, 'between 1970 and 2038'),
        ('/front', 2**31 * 10**9, 'between 1970 and 2038'),
    ],
)
def test_what_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, topic: str, stamp_ns: int, sentence: str
) -> None:
    good = Frame(np.zeros((8, 8, 3), np.uint8))
    bad = Frame(np.zeros((8, 8, 3), np.uint8), stamp_ns=stamp_ns)
    with pytest.raises(BagError, match=sentence):
        write_bag(tmp_path / 'bag', Storage.MCAP, [('/good', good), (topic, bad)])
    assert not (tmp_path / 'bag').exists()


def test_a_source_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[str, Frame]]:
        yield from frames()
        raise RuntimeError('the disk fell out')

    with pytest.raises(RuntimeError, match='fell out'):
        write_bag(tmp_path / 'bag', Storage.SQLITE3, failing())
    assert not (tmp_path / 'bag').exists()


def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match='no frame to write'):
        write_bag(tmp_path / 'bag', Storage.MCAP, [])
    assert not (tmp_path / 'bag').exists()


def test_a_missing_bag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match='does not exist'):
        whole(tmp_path / 'nothing')
    with pytest.raises(BagError, match=r'no rosbag2: it holds neither \.mcap nor \.db3'):
        whole(tmp_path)
    (tmp_path / 'bag').mkdir()
    (tmp_path / 'bag' / 'bag.mcap').touch()
    with pytest.raises(BagError, match=r'no metadata\.yaml.*reindex'):
        whole(tmp_path / 'bag')
    (tmp_path / 'notes.txt').write_text('hello')
    with pytest.raises(BagError, match='no rosbag2'):
        whole(tmp_path / 'notes.txt')


@pytest.mark.parametrize('metadata', ['', 'hello', '{', 'rosbag2_bagfile_information: {}', '\x00'])
def test_bad_metadata_is_refused(tmp_path: Path, metadata: str) -> None:
    path = tmp_path / 'bag'
    write_bag(path, Storage.MCAP, frames())
    (path / 'metadata.yaml').write_text(metadata)
    with pytest.raises(BagError, match='cannot be read'):
        whole(path)


@pytest.mark.parametrize('keep', [0.0, 0.01, 0.3, 0.7, 0.99])
@pytest.mark.parametrize('storage', Storage)
def test_a_truncated_bag_is_refused(tmp_path: Path, storage: Storage, keep: float) -> None:
    path = tmp_path / 'bag'
    write_bag(path, storage, frames(40))
    file = next(each for each in path.iterdir() if each.name != 'metadata.yaml')
    data = file.read_bytes()
    file.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(BagError, match='damaged'):
        whole(path)


@pytest.mark.parametrize('storage', Storage)
def test_damaged_bytes_raise_nothing_but_bag_errors(tmp_path: Path, storage: Storage) -> None:
    path = tmp_path / 'bag'
    write_bag(path, storage, frames(), zstd=True)
    file = next(each for each in path.iterdir() if each.name != 'metadata.yaml')
    data = np.frombuffer(file.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = data.copy()
        damaged[rng.integers(0, len(data), 20)] = rng.integers(0, 256, 20)
        file.write_bytes(damaged.tobytes())
        try:
            whole(path)
        except BagError:
            refused += 1
    assert refused > 20


def test_lost_messages_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / 'bag'
    write_bag(path, Storage.SQLITE3, frames())
    with sqlite3.connect(path / 'bag.db3') as database:
        database.execute('DELETE FROM messages WHERE id = 5')
    with pytest.raises(BagError, match='damaged: 5 of 6 messages on /front are readable'):
        whole(path)


def test_a_bag_without_pictures_is_refused(tmp_path: Path) -> None:
    types = get_typestore(Stores.ROS2_JAZZY)
    with Writer(tmp_path / 'bag', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/chatter', 'std_msgs/msg/String', typestore=types)
        message = types.types['std_msgs/msg/String'](data='hello')
        writer.write(connection, 1, types.serialize_cdr(message, 'std_msgs/msg/String'))
    with pytest.raises(BagError, match=r'only /chatter \(std_msgs/msg/String\)'):
        Recording(tmp_path / 'bag').image_topics()
