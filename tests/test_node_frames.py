"""What a node does with frames that it should not answer about, and what it says about them."""

# ruff: noqa: E402 (what needs ROS is imported only where there is one)

from collections.abc import Callable

import numpy as np
import pytest
from damaged_frames import as_jpeg
from helpers import wait_for
from node_stand_in import Reports, Robot
from PIL import Image as PillowImage

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('llava_phi')

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from llava_phi.srv import Ask
from rclpy.lifecycle import TransitionCallbackReturn
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

Response = Ask.Response


def test_diagnostics_of_stamps_ahead_of_the_clock(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot()
    find = Reports(robot).find
    assert robot.node.bring_up()
    robot.show((1, 2, 3), stamp=Time(sec=2**31 - 1))
    ahead = 's ahead of the clock of the node'
    wait_for(
        lambda: find('camera front', DiagnosticStatus.WARN, 'message', ahead), 20, 'a warning'
    )


def test_diagnostics_of_a_clock_that_stands_still(
    make_robot: Callable[..., Robot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('ros2_llava_phi.node.node_clock.PAUSE_S', 0.5)
    robot = make_robot(use_sim_time=True)
    find = Reports(robot).find
    clock = robot.peer.create_publisher(Clock, '/clock', 1)
    wait_for(clock.get_subscription_count, 20, 'the subscription to /clock')
    clock.publish(Clock(clock=Time(sec=100)))
    still = '/clock has stood still for'
    wait_for(lambda: find('questions', DiagnosticStatus.WARN, 'message', still), 20, 'a warning')


class CompressedRobot:
    """A robot whose camera is compressed, and what it is shown."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot
        assert robot.node.bring_up()
        topic = '/front/image_raw/compressed'
        self.publisher = robot.peer.create_publisher(CompressedImage, topic, 1)
        wait_for(self.publisher.get_subscription_count, 20, 'the subscription')

    def show(self, data: bytes, named: str = 'jpeg') -> None:
        """Publish a picture as it is, until the node has it."""
        camera = self.robot.node._cameras['front']
        message = CompressedImage(format=named, data=data)
        message.header.stamp = self.robot.node.get_clock().now().to_msg()
        seen = camera.received
        self.publisher.publish(message)
        wait_for(lambda: camera.received > seen, 20, 'the frame')


@pytest.fixture
def compressed(make_robot: Callable[..., Robot]) -> CompressedRobot:
    return CompressedRobot(make_robot(front__transport='compressed'))


def test_frames_that_lost_data_are_refused_and_their_share_is_reported(
    compressed: CompressedRobot,
) -> None:
    robot, find = compressed.robot, Reports(compressed.robot).find
    whole = as_jpeg(PillowImage.new('RGB', (64, 48), (200, 30, 30)))
    compressed.show(whole)
    assert robot.ask('a').error_code == Response.NONE
    # Cut off, with an end: OpenCV and Pillow make a picture of that.
    compressed.show(whole[: len(whole) - 20] + b'\xff\xd9')
    for _ in range(3):
        bad = robot.ask('a')
        assert bad.error_code == Response.BAD_FRAME and 'the JPEG lost data' in bad.error_text
    assert robot.stand_in.asked == ['a']
    lost = 'refused since the last report: the JPEG lost data'
    wait_for(lambda: find('camera front', DiagnosticStatus.WARN, 'message', lost), 20, 'a warning')
    assert find('camera front', DiagnosticStatus.WARN, 'frames refused [%]', '50.0')
    for _ in range(2):
        compressed.show(whole[:-2] + bytes(20) + whole[-2:])
        assert robot.ask('a').error_code == Response.NONE
    key = 'frames with extraneous bytes'
    wait_for(lambda: find('camera front', DiagnosticStatus.OK, key, '2'), 20, 'the count')
    assert find('camera front', DiagnosticStatus.OK, 'frames refused [%]', '25.0')


@pytest.mark.parametrize('start', [b'\0', b'\0\1\0\0abcde', b'\xff' * 12])
def test_a_message_that_is_damaged_from_its_stamp_on_is_a_bad_frame(
    make_robot: Callable[..., Robot], start: bytes
) -> None:
    robot = make_robot()
    assert robot.node.bring_up()
    publisher = robot.peer.create_publisher(Image, '/front/image_raw', 1)
    wait_for(publisher.get_subscription_count, 20, 'the subscription')
    publisher.publish(start)
    wait_for(lambda: robot.node._cameras['front'].received, 20, 'the frame')
    assert robot.ask('a').error_code == Response.BAD_FRAME


@pytest.mark.parametrize('named', ['h264', 'hevc', '16UC1; compressedDepth png', 'z16; png'])
def test_a_camera_that_sends_video_or_depth_is_refused_with_a_sentence(
    compressed: CompressedRobot, named: str
) -> None:
    find = Reports(compressed.robot).find
    compressed.show(b'\0\0\0\x01\x67' + bytes(40), named)
    bad = compressed.robot.ask('a')
    assert bad.error_code == Response.BAD_FRAME
    assert ('is video' if named[0] == 'h' else 'is not a picture') in bad.error_text
    useless = 'sends what cannot be used: '
    wait_for(lambda: find('camera front', DiagnosticStatus.WARN, 'message', useless), 20, 'it')


def test_without_simplejpeg_the_node_does_not_configure(
    make_robot: Callable[..., Robot],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr('ros2_llava_phi.imaging.jpeg._lacking', 'simplejpeg is missing')
    robot = make_robot()
    assert robot.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    said = 'configuring failed: simplejpeg is missing'
    wait_for(lambda: said in ''.join(capfd.readouterr()), 20, 'the sentence')


@pytest.mark.parametrize('bits', [16, 12])
def test_a_camera_says_how_many_of_its_bits_are_significant(
    make_robot: Callable[..., Robot], bits: int
) -> None:
    robot = make_robot(front__significant_bits=bits)
    assert robot.node.bring_up()
    publisher = robot.peer.create_publisher(Image, '/front/image_raw', 1)
    wait_for(publisher.get_subscription_count, 20, 'the subscription')
    message = Image(height=4, width=6, step=12, encoding='mono16')
    message.data = np.full((4, 6), 0x800, '<u2').tobytes()
    publisher.publish(message)
    wait_for(lambda: robot.node._cameras['front'].received, 20, 'the frame')
    got = robot.ask('a')
    if bits == 12:
        assert got.answer.text == '128 128 128'
    else:
        assert got.error_code == Response.BAD_FRAME
        assert 'end at 2048 of 65535' in got.error_text and 'has 12 bits' in got.error_text
