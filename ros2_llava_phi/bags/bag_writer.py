"""Write camera frames into a rosbag2, without ROS."""

import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_typestore

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.errors import BagError
from ros2_llava_phi.files.atomic import new_folder

from .bag import COMPRESSED_IMAGE, IMAGE, Storage, Transport
from .stamps import from_ns

# Metadata of version 8 can be read by Humble, Jazzy and Kilted; version 9 is not for Humble.
METADATA_VERSION: Literal[8] = 8

JPEG_QUALITY = 90

# The names that ROS 2 accepts for a topic given in full.
TOPIC = re.compile(r'(/[A-Za-z_][A-Za-z0-9_]*)+')

# A stamp holds its seconds in 32 bits with a sign.
LAST_STAMP_NS = 2**31 * 10**9 - 1

_types = get_typestore(Stores.ROS2_JAZZY)
_Header = _types.types['std_msgs/msg/Header']
_Time = _types.types['builtin_interfaces/msg/Time']
_Image = _types.types[IMAGE]
_CompressedImage = _types.types[COMPRESSED_IMAGE]


def write_bag(
    path: Path,
    storage: Storage,
    frames: Iterable[tuple[str, Frame]],
    *,
    transport: Transport = Transport.COMPRESSED,
    jpeg_quality: int = JPEG_QUALITY,
    zstd: bool = False,
) -> int:
    """
    Write frames, each with its topic, into a new rosbag2 and return how many there were.

    path: the folder to make; new, or empty. Afterwards the whole bag is there, or nothing.
    frames: topic and frame, in the order of their stamps, which are also the times of recording.
    transport: RAW writes sensor_msgs/Image (rgb8), COMPRESSED sensor_msgs/CompressedImage (JPEG).
    jpeg_quality: 1 to 100, for COMPRESSED.
    zstd: compress the chunks of an MCAP, or each message in SQLite, as rosbag2 does.

    Raises BagError for a path that holds something or cannot be written, a bad topic or stamp,
    and where there is no frame.
    """
    plugin = StoragePlugin[storage.name]
    try:
        with new_folder(path, BagError) as folder:
            # Files are named after the folder that they are written into.
            written = folder / path.name
            writer = Writer(written, version=METADATA_VERSION, storage_plugin=plugin)
            if zstd:
                # MCAP compresses by itself, which its own tools can read; SQLite cannot.
                by_storage = storage is Storage.MCAP
                mode = CompressionMode.STORAGE if by_storage else CompressionMode.MESSAGE
                writer.set_compression(mode, CompressionFormat.ZSTD)
            with writer:
                count = _write_frames(writer, frames, transport, jpeg_quality)
            for file in written.iterdir():
                file.rename(folder / file.name)
            written.rmdir()
    except (WriterError, sqlite3.Error) as error:
        raise BagError(f'{path} cannot be written: {error}') from error
    return count


def _write_frames(
    writer: Writer, frames: Iterable[tuple[str, Frame]], transport: Transport, jpeg_quality: int
) -> int:
    msgtype = IMAGE if transport is Transport.RAW else COMPRESSED_IMAGE
    connections: dict[str, Connection] = {}
    count = 0
    for topic, frame in frames:
        if topic not in connections:
            check_topic(topic)
            connections[topic] = writer.add_connection(topic, msgtype, typestore=_types)
        cdr = serialise(frame, transport, jpeg_quality)
        writer.write(connections[topic], frame.stamp_ns, cdr)
        count += 1
    if count == 0:
        raise BagError('there is no frame to write; a recording has at least one')
    return count


def check_topic(topic: str) -> None:
    """Raise BagError unless ROS 2 accepts the topic's full name."""
    if not TOPIC.fullmatch(topic):
        raise BagError(
            f'{topic!r} is not the full name of a topic; it looks like /camera/image_raw: '
            f'letters, digits and underscores after each slash, no digit first'
        )


def serialise(frame: Frame, transport: Transport, jpeg_quality: int = JPEG_QUALITY) -> bytes:
    """
    Return a frame as a serialised message of the transport; see `write_bag`.

    Raises BagError for a stamp or a size that does not fit.
    """
    if not 0 <= frame.stamp_ns <= LAST_STAMP_NS:
        raise BagError(
            f'a stamp of {frame.stamp_ns} ns does not fit; it must lie between 1970 and 2038'
        )
    header = _Header(stamp=from_ns(_Time, frame.stamp_ns), frame_id=frame.frame_id)
    if transport is Transport.COMPRESSED:
        message = _CompressedImage(
            header=header, format='jpeg', data=_jpeg(frame.image, jpeg_quality)
        )
        return bytes(_types.serialize_cdr(message, COMPRESSED_IMAGE))
    height, width, _ = frame.image.shape
    message = _Image(
        header=header,
        height=height,
        width=width,
        encoding='rgb8',
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(frame.image).reshape(-1),
    )
    return bytes(_types.serialize_cdr(message, IMAGE))


def _jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    fits, data = cv2.imencode(
        '.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not fits:
        raise BagError(f'a picture of {image.shape[1]}x{image.shape[0]} pixels is no JPEG')
    return data.reshape(-1).astype(np.uint8, copy=False)
