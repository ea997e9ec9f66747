"""The messages in which recordings hold a camera's pictures: raw, compressed, and as video."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rosbags.typesys import Stores, get_typestore

from ros2_llava_phi.errors import DamagedFrameError
from ros2_llava_phi.files import protobuf
from ros2_llava_phi.imaging.formats import format_of

from .bag import (
    CDR,
    COMPRESSED_IMAGE,
    COMPRESSED_VIDEO,
    FFMPEG_PACKET,
    IMAGE,
    Channel,
    RawMessage,
)
from .cdr import read_timestamp
from .message_fields import MessageTypes
from .stamps import to_ns

_ros_types = get_typestore(Stores.ROS2_JAZZY)


@dataclass(frozen=True)
class CompressedPicture:
    """
    What a message says of one compressed picture.

    format: of a CompressedImage, its `format`; of video, the codec as the message names it.
    """

    format: str
    data: bytes


@dataclass(frozen=True)
class CameraMessage:
    """
    A camera's message.

    picture: a sensor_msgs/Image, or what is compressed.
    """

    stamp_ns: int
    frame_id: str
    picture: Any

    @property
    def names_video(self) -> str:
        """Return the codec that it names, unless its data is a picture by itself; else empty."""
        if not isinstance(self.picture, CompressedPicture):
            return ''
        return '' if format_of(self.picture.data) in ('JPEG', 'PNG') else self.picture.format


class CameraMessages:
    """Reads the messages of some cameras."""

    def __init__(self, channels: Iterable[Channel]) -> None:
        """Learn the types of these channels; raises BagError for one that nobody can read."""
        self._types = MessageTypes()
        for each in channels:
            if each.type in (COMPRESSED_VIDEO, FFMPEG_PACKET):
                self._types.learn(each)

    def read(self, raw: RawMessage) -> CameraMessage:
        """Return what a message says; raises whatever damaged bytes lead to."""
        if raw.channel.encoding != CDR:
            return _read_protobuf(raw.cdr)
        message: Any
        if raw.type in (IMAGE, COMPRESSED_IMAGE):
            try:
                message = _ros_types.deserialize_cdr(raw.cdr, raw.type)
            except Exception as error:
                raise DamagedFrameError(f'the message is not whole: {error}') from error
        else:
            message = self._types.deserialise(raw)
        if raw.type == COMPRESSED_VIDEO:
            picture = CompressedPicture(message.format, bytes(message.data))
            return CameraMessage(to_ns(message.timestamp), message.frame_id, picture)
        header = message.header
        if raw.type == FFMPEG_PACKET:
            message = CompressedPicture(message.encoding, bytes(message.data))
        elif raw.type == COMPRESSED_IMAGE:
            message = CompressedPicture(message.format, bytes(message.data))
        return CameraMessage(to_ns(header.stamp), header.frame_id, message)


def _read_protobuf(data: bytes) -> CameraMessage:
    """Return a foxglove.CompressedVideo; fields 1 to 4: timestamp, frame_id, data and format."""
    found: dict[int, Any] = dict(protobuf.fields(data))
    picture = CompressedPicture(found.get(4, b'').decode(), found.get(3, b''))
    stamp_ns = read_timestamp(found.get(1, b''))
    return CameraMessage(stamp_ns, found.get(2, b'').decode(), picture)
