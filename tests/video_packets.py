"""Video as cameras record it: packets of pictures that show their own number, and bags of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ros2_llava_phi.bags.bag import COMPRESSED_IMAGE, COMPRESSED_VIDEO, FFMPEG_PACKET
from ros2_llava_phi.bags.message_fields import DEFINITIONS

WIDTH, HEIGHT, BARS = 128, 96, 8
START_NS = 1_700_000_000 * 10**9
PERIOD_NS = 50_000_000
ENCODERS = {'h264': 'libx264', 'hevc': 'libx265'}


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Return a picture whose bars say its number; below them something moves, red on grey."""
    image = np.full((height, width, 3), 60, np.uint8)
    bar = width // BARS
    for index in range(BARS):
        if number >> index & 1:
            image[: height // 2, index * bar : (index + 1) * bar] = 230
    x = number * 7 % (width - 24)
    image[height // 2 + 8 : height - 8, x : x + 24] = (200, 30, 30)
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """Return the number that a decoded picture shows."""
    height, width = image.shape[:2]
    bar = width // BARS
    levels = [
        image[4 : height // 2 - 4, index * bar + 3 : (index + 1) * bar - 3].mean()
        for index in range(BARS)
    ]
    return sum((level > 145) << index for index, level in enumerate(levels))


@dataclass(frozen=True)
class Packet:
    """One picture, encoded: its number, and whether it is a key frame."""

    data: bytes
    number: int
    is_key: bool


@cache
def encode(
    codec: str,
    count: int = 40,
    gop: int = 12,
    b_frames: int = 0,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    more: str = '',
    space: Colorspace = Colorspace.ITU601,
    full: bool = False,
) -> tuple[Packet, ...]:
    """
    Return the packets of so many pictures in the order of decoding.

    more: settings of x264, x265. space, full: the colours' matrix, and their range.
    """
    encoder: Any = av.CodecContext.create(ENCODERS[codec], 'w')
    encoder.width, encoder.height = size
    encoder.pix_fmt = 'yuv420p'
    encoder.time_base, encoder.framerate = Fraction(1, 20), Fraction(20)
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = gop, b_frames, 1
    settings = f'keyint={gop}:bframes={b_frames}:scenecut=0:log-level=none'
    if codec == 'hevc':
        settings += ':pools=none:frame-threads=1'
    encoder.options = {
        'preset': 'veryfast',
        f'{ENCODERS[codec].removeprefix("lib")}-params': f'{settings}:{more}'.rstrip(':'),
    }
    given: list[Any] = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(picture(number, *size), format='rgb24')
        frame = frame.reformat(
            format='yuv420p',
            dst_colorspace=space,
            dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        )
        frame.pts = number
        given += encoder.encode(frame)
    given += encoder.encode(None)
    return tuple(Packet(bytes(each), each.pts, each.is_keyframe) for each in given)


def length_prefixed(data: bytes) -> bytes:
    """Return a packet as MP4 files have it, lengths instead of start codes."""
    units = [each.rstrip(b'\x00') for each in data.split(b'\x00\x00\x01')[1:]]
    return b''.join(len(each).to_bytes(4, 'big') + each for each in units)


def write_video(
    path: Path,
    packets: Sequence[bytes],
    kind: str = COMPRESSED_VIDEO,
    named: str = 'h264',
    topic: str = '/front/video',
    definition: str = '',
) -> Path:
    """Write a recording of one camera, a packet a message; definition: instead of the usual."""
    types = get_typestore(Stores.ROS2_JAZZY)
    if kind in DEFINITIONS:
        types.register(get_types_from_msg(definition or DEFINITIONS[kind].text, kind))
    known: Any = types.types
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(topic, kind, typestore=types)
        for index, packet in enumerate(packets):
            stamp_ns = START_NS + index * PERIOD_NS
            time = known['builtin_interfaces/msg/Time'](stamp_ns // 10**9, stamp_ns % 10**9)
            header = known['std_msgs/msg/Header'](time, 'front_optical')
            data = np.frombuffer(packet, np.uint8)
            if kind == COMPRESSED_IMAGE:
                message = known[kind](header, named, data)
            elif kind == COMPRESSED_VIDEO:
                message = known[kind](time, 'front_optical', data, named)
            elif kind == FFMPEG_PACKET:
                fields = {
                    'header': header,
                    'width': WIDTH,
                    'height': HEIGHT,
                    'encoding': named,
                    'pts': index,
                    'flags': 0,
                    'is_bigendian': False,
                    'data': data,
                }
                has = known[kind].__dataclass_fields__
                message = known[kind](**{name: fields[name] for name in fields if name in has})
            writer.write(connection, stamp_ns, types.serialize_cdr(message, kind))
    return path
