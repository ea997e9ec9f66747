"""A picture of a recorded video is the one of its own message, or it is refused."""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.reformatter import Colorspace
from mcap.writer import Writer as McapWriter
from numpy.typing import NDArray
from video_packets import (
    PERIOD_NS,
    START_NS,
    Packet,
    encode,
    length_prefixed,
    number_of,
    picture,
    write_video,
)

from ros2_llava_phi.bags.bag import COMPRESSED_IMAGE, COMPRESSED_VIDEO, FFMPEG_PACKET
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.bags.video_stream import VideoPicture, VideoStream, codec_of
from ros2_llava_phi.errors import FrameError, InstallationError

Seen = dict[int, NDArray[np.uint8] | str]
STREAMS: list[dict[str, Any]] = [
    {'codec': 'h264'},
    {'codec': 'h264', 'b_frames': 3},
    {'codec': 'h264', 'b_frames': 3, 'more': 'open-gop=1'},
    {'codec': 'h264', 'more': 'slices=3'},
    {'codec': 'h264', 'gop': 1},
    {'codec': 'h264', 'gop': 250, 'more': 'intra-refresh=1'},
    {'codec': 'hevc'},
    {'codec': 'hevc', 'b_frames': 3},
]


def watch(
    codec: str,
    packets: Sequence[bytes],
    wanted: Callable[[int], bool] = lambda index: True,
    stamps: Sequence[int] = (),
) -> Seen:
    """Return what is seen of the messages that are wanted: a picture, or why there is none."""
    pictures: list[VideoPicture] = []
    coming: Iterator[tuple[int, bytes]] = iter(enumerate(packets))

    def read_ahead() -> bool:
        for index, data in coming:
            stamp_ns = stamps[index] if stamps else START_NS + index * PERIOD_NS
            pictures.append(stream.add(data, stamp_ns))
            return True
        return False

    stream = VideoStream(codec, '/front', read_ahead)
    seen: Seen = {}
    index = 0
    while index < len(pictures) or read_ahead():
        if wanted(index):
            try:
                seen[index] = pictures[index].rgb()
            except FrameError as error:
                seen[index] = str(error)
        pictures[index] = VideoPicture(problem=FrameError('nobody holds it any more'))
        index += 1
    return seen


def data_of(packets: Sequence[Packet]) -> list[bytes]:
    return [each.data for each in packets]


def assert_own_or_refused(seen: Seen, whole: Seen, places: Sequence[int]) -> None:
    """Assert that each picture is that of its own message in the whole stream, to the pixel."""
    for index, image in seen.items():
        if not isinstance(image, str):
            assert np.array_equal(image, whole[places[index]]), f'message {index}'


@pytest.mark.parametrize('how', STREAMS, ids=str)
def test_each_message_has_its_own_picture(how: dict[str, Any]) -> None:
    packets = encode(**how)
    whole = watch(how['codec'], data_of(packets))
    for index, image in whole.items():
        assert not isinstance(image, str), image
        assert number_of(image) == packets[index].number
        assert np.abs(image.astype(int) - picture(packets[index].number)).mean() < 6
    # Whatever is asked about, and however much lies between: the same pictures.
    rng = random.Random(1)
    for _ in range(3):
        some = set(rng.sample(range(len(packets)), 4))
        few = watch(how['codec'], data_of(packets), some.__contains__)
        assert few.keys() == some
        assert all(np.array_equal(few[index], whole[index]) for index in some)


@pytest.mark.parametrize('how', STREAMS, ids=str)
def test_a_recording_that_begins_between_key_frames(how: dict[str, Any]) -> None:
    packets = encode(**how)
    whole = watch(how['codec'], data_of(packets))
    for first in range(1, 30, 6):
        seen = watch(how['codec'], data_of(packets[first:]))
        assert_own_or_refused(seen, whole, range(first, len(packets)))
        keys = [index for index in range(first, len(packets)) if packets[index].is_key]
        if not keys or 'more' in how:
            continue
        # From the first key frame on, all but what is shown before it.
        refused = {first + index for index, image in seen.items() if isinstance(image, str)}
        leading = {each for each in refused if each > keys[0]}
        assert refused - leading == set(range(first, keys[0]))
        assert all(packets[each].number < packets[keys[0]].number for each in leading)


@pytest.mark.parametrize('how', STREAMS, ids=str)
def test_packets_that_are_lost(how: dict[str, Any]) -> None:
    """H.264 numbers pictures modulo 16: fewer lost ones in a row are seen, key frames or not."""
    packets = encode(**how)
    whole = watch(how['codec'], data_of(packets))
    rng = random.Random(2)
    for _ in range(12):
        lost = rng.choice((1, 1, 2, 3, 7))
        at = rng.randrange(1, len(packets) - lost)
        places = [*range(at), *range(at + lost, len(packets))]
        seen = watch(how['codec'], [packets[each].data for each in places])
        assert_own_or_refused(seen, whole, places)
        # What comes before is not touched, and a key frame mends it.
        assert not any(isinstance(seen[index], str) for index in range(max(0, at - 4)))


@pytest.mark.parametrize('how', STREAMS[:6], ids=str)
def test_packets_that_are_cut_off(how: dict[str, Any]) -> None:
    packets = encode(**how)
    whole = watch(how['codec'], data_of(packets))
    rng = random.Random(3)
    for _ in range(12):
        cut = rng.randrange(len(packets))
        data = data_of(packets)
        data[cut] = data[cut][: rng.randrange(len(data[cut]) - 2)]
        seen = watch(how['codec'], data)
        assert isinstance(seen[cut], str)
        assert_own_or_refused(seen, whole, range(len(packets)))


def test_losses_that_the_numbers_of_h264_do_not_show() -> None:
    """Sixteen in a row leave no trace but the time that passed; nor does a camera that waited."""
    packets = encode('h264', count=60, gop=250)
    whole = watch('h264', data_of(packets))
    places = [*range(25), *range(41, 60)]
    stamps = [START_NS + each * PERIOD_NS for each in places]
    seen = watch('h264', [packets[each].data for each in places], stamps=stamps)
    assert_own_or_refused(seen, whole, places)
    assert not any(isinstance(seen[index], str) for index in range(25))
    assert isinstance(seen[25], str)


def test_a_stream_whose_size_changes() -> None:
    small, large = encode('h264', count=15), encode('h264', count=15, size=(192, 144))
    packets = [*small, *large, *small]
    seen = watch('h264', data_of(packets))
    for index, image in seen.items():
        assert not isinstance(image, str), image
        assert image.shape == ((144, 192, 3) if 15 <= index < 30 else (96, 128, 3))
        assert number_of(image) == packets[index].number


@pytest.mark.parametrize('codec', ['h264', 'hevc'])
def test_parameter_sets_that_come_once(codec: str) -> None:
    """As in a message of their own, before the first picture; and pictures far behind it."""
    packets = encode(codec, more='repeat-headers=1')
    sets = {'h264': (7, 8), 'hevc': (32, 33, 34)}[codec]
    bare, once = [], b''
    for packet in packets:
        units = [b'\x00\x00\x01' + each for each in packet.data.split(b'\x00\x00\x01')[1:]]
        kind = {'h264': lambda unit: unit[3] & 31, 'hevc': lambda unit: unit[3] >> 1 & 63}[codec]
        bare.append(b''.join(each for each in units if kind(each) not in sets))
        once = once or b''.join(each for each in units if kind(each) in sets)
    seen = watch(codec, [once, *bare], lambda index: index in (0, 30))
    assert 'holds no picture' in str(seen[0])
    assert not isinstance(seen[30], str) and number_of(seen[30]) == packets[29].number


def test_lengths_instead_of_start_codes() -> None:
    packets = encode('h264', b_frames=2)
    seen = watch('h264', [length_prefixed(each.data) for each in packets])
    whole = watch('h264', data_of(packets))
    assert all(np.array_equal(seen[index], whole[index]) for index in whole)


@pytest.mark.parametrize('name', ['smpte170m', 'bt709'])
@pytest.mark.parametrize('full', [False, True])
def test_colours_are_those_that_the_stream_names(name: str, full: bool) -> None:
    space = Colorspace.ITU709 if name == 'bt709' else Colorspace.ITU601
    more = f'colormatrix={name}:fullrange={"on" if full else "off"}'
    packets = encode('h264', count=1, more=more, space=space, full=full)
    image = watch('h264', data_of(packets))[0]
    assert not isinstance(image, str)
    assert np.abs(image[60:84, 4:20].reshape(-1, 3).mean(axis=0) - (200, 30, 30)).max() < 6


def test_a_message_that_is_no_whole_picture() -> None:
    packets = encode('h264', more='slices=3')
    halves = [packets[1].data[: len(packets[1].data) // 2], b'', b'\x00\x00\x01', b'rubbish' * 9]
    both = packets[1].data + packets[2].data
    for wrong in (*halves, both):
        seen = watch('h264', [packets[0].data, wrong, *data_of(packets[3:])])
        assert isinstance(seen[1], str)
        assert_own_or_refused({0: seen[0]}, watch('h264', data_of(packets)), [0])
        assert 'holds 2 pictures' in str(seen[1]) or wrong != both
        key = next(index for index in range(3, 40) if packets[index].is_key)
        assert all(isinstance(seen[index], str) for index in range(2, key - 1))
        assert not isinstance(seen[key - 1], str)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stream with a single key frame, packets are not kept, and pictures only if held."""
    packets = encode('h264', count=60, gop=250)
    monkeypatch.setattr('ros2_llava_phi.bags.video_stream.MOST_BYTES', 2000)
    seen = watch('h264', data_of(packets), lambda index: index in (3, 58))
    whole = watch('h264', data_of(packets))
    assert all(np.array_equal(seen[index], whole[index]) for index in (3, 58))
    stream = VideoStream('h264', '/front', lambda: False)
    held = [stream.add(each.data, 0) for each in packets]
    assert sum(not each.is_settled for each in held) < 30
    assert np.array_equal(held[0].rgb(), whole[0])


@pytest.mark.parametrize(
    ('name', 'codec'),
    [
        ('h264', 'h264'),
        ('H.264', 'h264'),
        ('avc1', 'h264'),
        ('libx264', 'h264'),
        ('h264_nvenc', 'h264'),
        ('hevc;yuv420p;bgr8;bgr8', 'hevc'),
        ('H265', 'hevc'),
        ('libx265', 'hevc'),
        ('hevc_vaapi', 'hevc'),
        ('jpeg', ''),
        ('rgb8; jpeg compressed bgr8', ''),
        ('av1', ''),
        ('', ''),
    ],
)
def test_names_of_codecs(name: str, codec: str) -> None:
    assert codec_of(name) == codec


@pytest.mark.parametrize('codec', ['h264', 'hevc'])
@pytest.mark.parametrize('kind', [COMPRESSED_IMAGE, COMPRESSED_VIDEO, FFMPEG_PACKET])
def test_every_message_that_carries_video(tmp_path: Path, kind: str, codec: str) -> None:
    packets = encode(codec, b_frames=3)
    named = {'h264': 'h264', 'hevc': 'libx265' if kind == FFMPEG_PACKET else 'hevc'}[codec]
    bag = write_video(tmp_path / 'bag', data_of(packets), kind, named)
    assert Recording(bag).image_topics() == {'/front/video': kind}
    for index, frame in enumerate(Recording(bag, must_be_whole=True).frames()):
        assert number_of(frame.frame().image) == packets[index].number
        assert (frame.stamp_ns, frame.frame_id) == (START_NS + index * PERIOD_NS, 'front_optical')
    # All at once, and backwards.
    frames = list(Recording(bag).frames())
    assert len(frames) == len(packets)
    for frame in reversed(frames):
        assert number_of(frame.frame().image) == packets[frame.number].number


def test_the_definition_in_the_recording_counts(tmp_path: Path) -> None:
    definition = (
        'std_msgs/Header header\nint32 width\nint32 height\nstring encoding\nuint64 pts\n'
        'uint8 flags\nuint8[] data\n'
    )
    packets = encode('h264')
    bag = write_video(
        tmp_path / 'bag', data_of(packets), FFMPEG_PACKET, 'libx264', definition=definition
    )
    for frame in Recording(bag).frames():
        assert number_of(frame.frame().image) == packets[frame.number].number


def varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def write_protobuf(path: Path, packets: Sequence[Packet], stamps: Sequence[int]) -> Path:
    """Write an MCAP file as foxglove's tools do without ROS; a packet every PERIOD_NS."""

    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2]) + varint(len(value)) + value

    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start()
        schema = writer.register_schema('foxglove.CompressedVideo', 'protobuf', b'')
        channel = writer.register_channel('/front', 'protobuf', schema)
        for index, (packet, stamp_ns) in enumerate(zip(packets, stamps, strict=True)):
            seconds, nanoseconds = divmod(stamp_ns, 10**9)
            time = b'\x08' + varint(seconds % 2**64) + b'\x10' + varint(nanoseconds)
            data = field(1, time) + field(2, b'optical') + field(3, packet.data)
            recorded_ns = START_NS + index * PERIOD_NS
            writer.add_message(channel, recorded_ns, data + field(4, b'h264'), recorded_ns)
        writer.finish()
    return path


def test_protobuf_messages(tmp_path: Path) -> None:
    packets = encode('h264')
    stamps = [START_NS + index * PERIOD_NS for index in range(len(packets))]
    frames = list(Recording(write_protobuf(tmp_path / 'a.mcap', packets, stamps)).frames())
    assert [number_of(each.frame().image) for each in frames] == list(range(40))
    assert [each.stamp_ns for each in frames] == stamps and frames[3].frame_id == 'optical'


def test_protobuf_stamps_that_jump_or_are_none(tmp_path: Path) -> None:
    packets = encode('h264', 20)
    stamps = [START_NS + index * PERIOD_NS for index in range(len(packets))]
    day_ns = 86400 * 10**9
    jumped = [each + day_ns * (index > 9) for index, each in enumerate(stamps)]
    recording = Recording(write_protobuf(tmp_path / 'a.mcap', packets, jumped))
    frames = list(recording.frames())
    assert [each.stamp_ns for each in frames] == jumped
    assert [each.on_steady_clock().frame().stamp_ns for each in frames] == stamps
    for seconds in (-1, -(2**63), 2**33, 2**63 - 1):
        stamps[7] = seconds * 10**9
        recording = Recording(write_protobuf(tmp_path / 'a.mcap', packets, stamps))
        found = list(recording.frames())[7].stamp_ns
        assert found == (stamps[7] if seconds == -1 else 0)


def test_without_pyav_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = write_video(tmp_path / 'bag', data_of(encode('h264')))
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(InstallationError, match=r"H\.264 video.*pip install 'av>="):
        list(Recording(bag).frames())


@pytest.mark.parametrize('name', ['', 'jpeg', 'AV1'])
def test_video_whose_format_does_not_say_so_is_told(tmp_path: Path, name: str) -> None:
    (packet,) = encode('h264', 1)
    (frame,) = Recording(
        write_video(tmp_path / 'bag', [packet.data], COMPRESSED_IMAGE, name)
    ).frames()
    told = 'is video that is not read' if name == 'AV1' else 'h264 or h265 must stand there'
    with pytest.raises(FrameError, match=told):
        frame.frame()


def test_video_that_is_not_read_is_named(tmp_path: Path) -> None:
    for kind in (COMPRESSED_VIDEO, FFMPEG_PACKET, COMPRESSED_IMAGE):
        bag = write_video(tmp_path / kind[-9:], [b'\x12\x00\x0a'], kind, 'av1')
        (frame,) = Recording(bag).frames()
        with pytest.raises(FrameError, match="'av1' is video that is not read"):
            frame.frame()
