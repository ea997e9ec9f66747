"""What reading and writing a recording share: storages, transports, and its messages."""

from dataclasses import dataclass
from enum import Enum

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'


class Storage(str, Enum):
    """How a rosbag2 lies on disk; the values are rosbag2's own names."""

    MCAP = 'mcap'
    SQLITE3 = 'sqlite3'


class Transport(str, Enum):
    """How a camera's pictures travel; the values are image_transport's own names."""

    RAW = 'raw'
    COMPRESSED = 'compressed'


def camera_topic(camera: str, transport: str) -> str:
    """Return the topic on which a camera of that name publishes where nobody says otherwise."""
    return f'{camera}/image_raw' + ('/compressed' if transport == Transport.COMPRESSED else '')


@dataclass(frozen=True)
class RawMessage:
    """
    One message, still serialised.

    recorded_ns: when it was recorded.
    cdr: as it went over the wire.
    """

    topic: str
    type: str
    recorded_ns: int
    cdr: bytes


@dataclass(frozen=True)
class Definition:
    """
    What a recording says about a message type.

    encoding: 'ros2msg', 'ros2idl', or empty where it says nothing.
    """

    encoding: str = ''
    text: str = ''


@dataclass(frozen=True)
class Topic:
    """A topic's message type, and how that is defined."""

    type: str
    definition: Definition = Definition()
