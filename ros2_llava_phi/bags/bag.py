"""What reading and writing a recording share: storages, transports, channels and messages."""

from dataclasses import dataclass
from enum import Enum

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
# Video, a picture a message.
COMPRESSED_VIDEO = 'foxglove_msgs/msg/CompressedVideo'
FFMPEG_PACKET = 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket'
PICTURE_TYPES = (IMAGE, COMPRESSED_IMAGE, COMPRESSED_VIDEO, FFMPEG_PACKET)

# How ROS 2 serialises messages; a recording of other tools may hold JSON or protobuf.
CDR = 'cdr'
PROTOBUF, PROTOBUF_VIDEO = 'protobuf', 'foxglove.CompressedVideo'


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
class Definition:
    """
    What a recording says about a message type.

    encoding: 'ros2msg', 'ros2idl', or empty where it says nothing.
    """

    encoding: str = ''
    text: str = ''


@dataclass(frozen=True)
class Channel:
    """
    Messages of one type on one topic, which may carry several.

    type: such as sensor_msgs/msg/Image.
    encoding: how messages are serialised, 'cdr' in ROS 2.
    """

    topic: str
    type: str
    definition: Definition = Definition()
    encoding: str = CDR

    @property
    def has_pictures(self) -> bool:
        """Return whether its messages are a camera's."""
        if self.encoding == PROTOBUF:
            return self.type == PROTOBUF_VIDEO
        return self.encoding == CDR and self.type in PICTURE_TYPES

    def __str__(self) -> str:
        serialised = '' if self.encoding == CDR else f' as {self.encoding}'
        return f'{self.topic} ({self.type or "no type"}{serialised})'


@dataclass(frozen=True)
class RawMessage:
    """
    One message, still serialised.

    recorded_ns: when it was recorded, by the recorder's clock, however that jumped.
    time_ns: the same by a clock that does not jump (`bags.clock`).
    cdr: as it went over the wire.
    """

    channel: Channel
    recorded_ns: int
    time_ns: int
    cdr: bytes

    @property
    def topic(self) -> str:
        """Return its topic."""
        return self.channel.topic

    @property
    def type(self) -> str:
        """Return its type."""
        return self.channel.type
