"""The player publishes every picture of a bag, in order, as if it was taken now."""

import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from video_packets import PERIOD_NS as VIDEO_PERIOD_NS
from video_packets import START_NS as VIDEO_START_NS
from video_packets import encode, number_of, write_video

pytest.importorskip('llava_phi.srv')

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.bags.bag import COMPRESSED_IMAGE, Storage, Transport
from ros2_llava_phi.bags.bag_writer import write_bag
from ros2_llava_phi.bags.cdr import shift_stamp
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.client import player
from ros2_llava_phi.errors import ClientError
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb

START_NS = 1_600_000_000_999_999_990


def make_bag(path: Path, transport: Transport, count: int = 10) -> Path:
    """Write a bag of two cameras, 20 pictures a second."""

    def frames() -> Iterator[tuple[str, Frame]]:
        for index in range(count):
            for camera in ('front', 'rear'):
                image = np.full((24, 32, 3), 20 * (index % 10), np.uint8)
                stamp_ns = START_NS + index * 50_000_000
                yield f'/{camera}', Frame(image, stamp_ns=stamp_ns, frame_id=f'{camera}_optical')

    write_bag(path, Storage.MCAP, frames(), transport=transport)
    return path


@pytest.fixture
def node(ros: Context) -> Iterator[Node]:
    """Make a node that nobody spins."""
    node = rclpy.create_node('listener', context=ros)
    yield node
    node.destroy_node()


def start_player(bag: Path) -> 'subprocess.Popen[str]':
    """Run the player as a process."""
    return subprocess.Popen(
        [sys.executable, '-m', 'ros2_llava_phi.client.player', str(bag)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize('transport', Transport)
def test_all_pictures_come_shifted_to_now(
    node: Node, tmp_path: Path, transport: Transport
) -> None:
    bag = make_bag(tmp_path / 'bag', transport)
    received: dict[str, list[Image | CompressedImage]] = {'/front': [], '/rear': []}
    kind = Image if transport is Transport.RAW else CompressedImage
    for topic, messages in received.items():
        node.create_subscription(kind, topic, messages.append, QoSProfile(depth=50))
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    before_ns = time.time_ns()
    process = start_player(bag)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    first, summary = (json.loads(line) for line in out.splitlines())
    shift_ns = first['shift_ns']
    assert summary['played'] == 20
    assert before_ns < START_NS + shift_ns < time.time_ns()

    last_ns = START_NS + 9 * 50_000_000 + shift_ns
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not all(
        messages and Time.from_msg(messages[-1].header.stamp).nanoseconds == last_ns
        for messages in received.values()
    ):
        executor.spin_once(timeout_sec=0.1)
    recorded = list(Recording(bag).frames())
    for topic, messages in received.items():
        stamps = [Time.from_msg(each.header.stamp).nanoseconds for each in messages]
        expected = [each.stamp_ns + shift_ns for each in recorded if each.camera == topic]
        # DDS may lose some at the start, while only one side has discovered the other.
        assert len(stamps) >= 5
        assert stamps == [stamp for stamp in expected if stamp in stamps]
        assert stamps[-5:] == expected[-5:]
        assert {each.header.frame_id for each in messages} == {f'{topic[1:]}_optical'}
        if transport is Transport.RAW:
            shades = [20 * expected.index(stamp) for stamp in stamps]
            assert [each.data[0] for each in messages] == shades


@pytest.mark.parametrize('order', ['<', '>'])
def test_shift_stamp_honours_byte_order(order: str) -> None:
    encapsulation = b'\x00\x01\x00\x00' if order == '<' else b'\x00\x00\x00\x00'
    cdr = encapsulation + struct.pack(f'{order}iI', 5, 999_999_999) + b'the rest'
    shifted = shift_stamp(cdr, 2_000_000_001)
    assert shifted == encapsulation + struct.pack(f'{order}iI', 8, 0) + b'the rest'
    assert shift_stamp(shifted, -2_000_000_001) == cdr


def test_a_video_goes_out_as_jpeg(node: Node, tmp_path: Path) -> None:
    packets = encode('h264', count=30)
    bag = write_video(tmp_path / 'bag', [each.data for each in packets])
    received: list[CompressedImage] = []
    quality = QoSProfile(depth=50)
    node.create_subscription(CompressedImage, '/front/video', received.append, quality)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    process = start_player(bag)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, '')
    assert json.loads(out.splitlines()[1])['played'] == 30
    shift_ns = json.loads(out.splitlines()[0])['shift_ns']
    assert len(received) >= 20
    for message in received:
        assert (message.format, message.header.frame_id) == ('jpeg', 'front_optical')
        own_ns = Time.from_msg(message.header.stamp).nanoseconds - shift_ns - VIDEO_START_NS
        assert number_of(compressed_to_rgb(message)) == packets[own_ns // VIDEO_PERIOD_NS].number


def test_nobody_listens(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player, 'PATIENCE_S', 0.2)
    with pytest.raises(ClientError, match='nobody subscribed to /front'):
        player.play(make_bag(tmp_path / 'bag', Transport.RAW), node)


def test_who_listens_for_another_type_is_told_apart_from_nobody(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player, 'PATIENCE_S', 1.0)
    robot = Context()  # a topic has one type within a process of ROS
    rclpy.init(context=robot)
    camera = rclpy.create_node('camera', context=robot)
    camera.create_subscription(CompressedImage, '/front', lambda _: None, QoSProfile(depth=1))
    try:
        with pytest.raises(ClientError, match=f'but to {COMPRESSED_IMAGE}; .*`transport`'):
            player.play(make_bag(tmp_path / 'bag', Transport.RAW), node)
    finally:
        camera.destroy_node()
        rclpy.shutdown(context=robot)


def test_a_bad_bag_is_one_line_and_exit_code_2(ros: Context, node: Node, tmp_path: Path) -> None:
    for topic in ('/front', '/rear'):
        node.create_subscription(Image, topic, lambda _: None, QoSProfile(depth=1))
    damaged = make_bag(tmp_path / 'damaged', Transport.RAW)
    with (damaged / 'damaged.mcap').open('r+b') as file:
        file.seek(100)
        file.write(bytes(1000))
    for bag, sentence in ((damaged, 'damaged'), (tmp_path / 'nothing', 'does not exist')):
        process = start_player(bag)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2
        assert err.startswith('player: ')
        assert sentence in err
        assert err.count('\n') == 1


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(node: Node, tmp_path: Path, number: signal.Signals) -> None:
    bag = make_bag(tmp_path / 'bag', Transport.COMPRESSED, count=1000)
    for topic in ('/front', '/rear'):
        node.create_subscription(CompressedImage, topic, lambda _: None, QoSProfile(depth=1))
    process = start_player(bag)
    assert process.stdout is not None
    assert 'shift_ns' in process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, '')
