"""Recordings written message by message, as recorders and other tools write them, for tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from replay_stand_in import picture
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ros2_llava_phi.bags.bag import IMAGE, Storage
from ros2_llava_phi.bags.stamps import NS

TYPES = get_typestore(Stores.ROS2_JAZZY)
LABEL = 'diagnostic_msgs/msg/DiagnosticStatus'
STRING = 'std_msgs/msg/String'
POINT = 'geometry_msgs/msg/PointStamped'
START_NS = 1_700_000_000 * NS


@dataclass(frozen=True)
class Written:
    """A message to write: its topic, type, bytes, and when it is recorded."""

    topic: str
    type: str
    recorded_ns: int
    cdr: bytes


def header(stamp_ns: int) -> Any:
    """Return a header with that stamp, as far as its 32 bits hold it."""
    seconds, nanoseconds = divmod(stamp_ns, NS)
    seconds = (seconds + 2**31) % 2**32 - 2**31
    time = TYPES.types['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds)
    return TYPES.types['std_msgs/msg/Header'](stamp=time, frame_id='optical')


def frame(
    recorded_ns: int, stamp_ns: int, colour: str = 'red', topic: str = '/front/image'
) -> Written:
    """Return a camera's message."""
    if colour == 'noise':
        data = np.random.default_rng(stamp_ns).integers(0, 255, 24 * 32 * 3).astype(np.uint8)
    else:
        data = picture(colour).reshape(-1)
    message = TYPES.types[IMAGE](header(stamp_ns), 24, 32, 'rgb8', 0, 96, data)
    return Written(topic, IMAGE, recorded_ns, bytes(TYPES.serialize_cdr(message, IMAGE)))


def text(recorded_ns: int, words: str, topic: str) -> Written:
    """Return a message with a text and without a header."""
    message = TYPES.types[STRING](data=words)
    return Written(topic, STRING, recorded_ns, bytes(TYPES.serialize_cdr(message, STRING)))


def point(recorded_ns: int, stamp_ns: int, x: float, topic: str = '/labels') -> Written:
    """Return a message with a number and a header."""
    where = TYPES.types['geometry_msgs/msg/Point'](x=x, y=0.0, z=0.0)
    message = TYPES.types[POINT](header(stamp_ns), where)
    return Written(topic, POINT, recorded_ns, bytes(TYPES.serialize_cdr(message, POINT)))


def write_rosbag2(path: Path, messages: Sequence[Written], storage: Storage) -> Path:
    """Write a folder as rosbag2 does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, version=8, storage_plugin=StoragePlugin[storage.name]) as writer:
        connections: dict[tuple[str, str], Any] = {}
        for each in messages:
            key = each.topic, each.type
            if key not in connections:
                connections[key] = writer.add_connection(*key, typestore=TYPES)
            writer.write(connections[key], each.recorded_ns, each.cdr)
    return path


def write_mcap(
    path: Path,
    messages: Sequence[Written],
    *,
    profile: str = 'ros2',
    encoding: str = 'cdr',
    packed: bool = False,
    chunk_size: int = 4096,
    **how: Any,
) -> Path:
    """Write one MCAP file, as any tool may; `how` goes to its writer."""
    how = {'compression': CompressionType.NONE, 'index_types': IndexType.ALL, **how}
    with path.open('wb') as file:
        writer = McapWriter(file, chunk_size=chunk_size, **how)
        writer.start(profile=profile, library='test')
        channels: dict[tuple[str, str], int] = {}
        for each in messages:
            key = each.topic, each.type
            if key not in channels:
                definition = TYPES.generate_msgdef(each.type, ros_version=2)[0].encode()
                schema = writer.register_schema(each.type, 'ros2msg', definition)
                channels[key] = writer.register_channel(each.topic, encoding, schema)
            data = zstandard.compress(each.cdr) if packed else each.cdr
            recorded_ns = each.recorded_ns % 2**64
            writer.add_message(channels[key], recorded_ns, data, recorded_ns)
        writer.finish()
    return path
