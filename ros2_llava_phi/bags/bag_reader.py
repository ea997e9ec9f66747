"""Read the camera messages of a rosbag2, without ROS."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from ros2_llava_phi.errors import BagError
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb, image_to_rgb

from .bag import COMPRESSED_IMAGE, IMAGE
from .raw_message import RawMessage
from .salvage import storage_files

METADATA_FILE = 'metadata.yaml'
_types = get_typestore(Stores.ROS2_JAZZY)


@dataclass(frozen=True)
class CameraMessage:
    """
    One message of a camera, as recorded.

    type: 'sensor_msgs/msg/Image' or 'sensor_msgs/msg/CompressedImage'.
    recorded_ns: when it was recorded.
    stamp_ns, frame_id: what its header says.
    cdr: the serialised message, as it went over the wire.
    """

    topic: str
    type: str
    recorded_ns: int
    stamp_ns: int
    frame_id: str
    cdr: bytes


def camera_topics(path: Path) -> dict[str, str]:
    """
    Return the topics of a bag that carry pictures, each with its message type.

    Raises BagError for a bag that is missing, damaged, or without any picture.
    """
    with opened(path) as reader:
        return _camera_topics(reader, path)


def read_camera_messages(path: Path, topics: Collection[str] = ()) -> Iterator[CameraMessage]:
    """
    Yield the camera messages of a bag in the order of recording.

    path: the bag's folder, or one of its .mcap or .db3 files.
    topics: only these; all topics that carry pictures if there are none.

    Raises BagError for a bag that is missing, damaged, or without these topics.
    """
    with opened(path) as reader:
        known = _camera_topics(reader, path)
        for topic in topics:
            if topic not in known:
                raise BagError(
                    f'{path} has no pictures on {topic!r}; it has them on {", ".join(known)}'
                )
        wanted = topics or known
        connections = [each for each in reader.connections if each.topic in wanted]
        messages = reader.messages(connections)
        announced = sum(each.msgcount for each in connections)
        count = 0
        while True:
            with damage_reported(path):
                try:
                    connection, recorded_ns, cdr = next(messages)
                except StopIteration:
                    break
                raw = RawMessage(connection.topic, connection.msgtype, recorded_ns, bytes(cdr))
                message = camera_message(raw)
            yield message
            count += 1
        if count != announced:
            raise BagError(f'{path} is damaged: it holds {count} of {announced} pictures')


def camera_message(raw: RawMessage) -> CameraMessage:
    """Return a message of a camera with what its header says."""
    header = _deserialise(raw.cdr, raw.type).header
    return CameraMessage(
        topic=raw.topic,
        type=raw.type,
        recorded_ns=raw.recorded_ns,
        stamp_ns=header.stamp.sec * 10**9 + header.stamp.nanosec,
        frame_id=header.frame_id,
        cdr=raw.cdr,
    )


def picture(message: CameraMessage) -> NDArray[np.uint8]:
    """
    Return a message's picture as the node would see it: uint8 [height, width, 3], RGB.

    Raises BagError if it cannot be decoded.
    """
    convert = image_to_rgb if message.type == IMAGE else compressed_to_rgb
    try:
        return convert(_deserialise(message.cdr, message.type))
    except Exception as error:
        raise BagError(
            f'the picture at {message.stamp_ns} ns on {message.topic} cannot be decoded: {error}'
        ) from error


def _deserialise(cdr: bytes, message_type: str) -> Any:
    return _types.deserialize_cdr(cdr, message_type)


def _camera_topics(reader: Reader, path: Path) -> dict[str, str]:
    cameras = {
        each.topic: each.msgtype
        for each in reader.connections
        if each.msgtype in (IMAGE, COMPRESSED_IMAGE)
    }
    if not cameras:
        others = ', '.join(f'{each.topic} ({each.msgtype})' for each in reader.connections)
        raise BagError(
            f'{path} holds no pictures ({IMAGE} or {COMPRESSED_IMAGE}), only {others or "nothing"}'
        )
    return cameras


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """Open a bag; raises BagError for one that is missing or damaged."""
    if not path.exists():
        raise BagError(f'{path} does not exist; name the folder of a rosbag2')
    if path.is_dir() and not (path / METADATA_FILE).is_file():
        storage_files(path)
        raise BagError(
            f'{path} is not a rosbag2: it has no {METADATA_FILE}; '
            f'if the recording broke off, `ros2 bag reindex` writes a new one'
        )
    with damage_reported(path):
        reader = Reader(path)
        reader.open()
    try:
        yield reader
    finally:
        reader.close()


def announced_messages(path: Path) -> dict[str, int]:
    """Return how many messages of each topic a bag should hold, as far as its folder says."""
    try:
        content = yaml.safe_load((path / METADATA_FILE).read_text(encoding='utf-8'))
        return {
            str(each['topic_metadata']['name']): int(each['message_count'])
            for each in content['rosbag2_bagfile_information']['topics_with_message_count']
        }
    except Exception:
        # It may be missing or damaged as well, in whatever way.
        return {}


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn whatever comes of damaged bytes into BagError."""
    # What the library raises depends on which byte is wrong, from its own errors over those of
    # struct, SQLite and zstd to a bare KeyError; each of them means the same to the user.
    try:
        yield
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BagError(
            f'{path} cannot be read: it is damaged, or no rosbag2 ({reason})'
        ) from error
