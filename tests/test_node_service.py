"""The service of the node: every way a request can end, and that it ends exactly once."""

# ruff: noqa: E402 (what needs ROS is imported only where there is one)

import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from helpers import wait_for
from node_stand_in import Robot, response

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('llava_phi')

from builtin_interfaces.msg import Duration, Time
from llava_phi.msg import Answer
from llava_phi.srv import Ask
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

Response = Ask.Response


@pytest.fixture
def robot(spin: Callable[[Any], None]) -> Iterator[Robot]:
    robot = Robot(spin, cameras=['front', 'rear'], queue_length=2)
    assert robot.node.bring_up()
    yield robot
    robot.close()


def test_an_answer_names_its_frame(robot: Robot) -> None:
    stamp = robot.show((10, 20, 30))
    got = robot.ask('what colour?')
    assert got.error_code == Response.NONE and got.error_text == ''
    answer = got.answer
    assert answer.text == '10 20 30'
    assert answer.header.stamp == stamp and answer.header.frame_id == 'front_optical'
    assert answer.camera == 'front' and answer.question == 'what colour?'
    assert answer.model == 'stand-in@0123456789ab'
    assert answer.confidence == 0.75 and answer.prompt_tokens == 10 and answer.answer_tokens == 2
    wait_for(lambda: robot.answers, 10, 'the answer on the topic')
    assert str(robot.answers) == str([answer])  # a NaN is not equal to itself


def test_only_the_worker_uses_the_model(robot: Robot) -> None:
    robot.show((1, 2, 3))
    robot.ask('a')
    robot.ask('b')
    assert robot.stand_in.threads == {'vqa_worker'}


def test_typed_values(robot: Robot) -> None:
    robot.show((1, 2, 3))
    yes = robot.ask('is it?', kind=Ask.Request.YES_NO).answer
    assert (
        yes.yes and yes.allowed_answers == ['Yes', 'No'] and list(yes.probabilities) == [0.5] * 2
    )
    assert yes.choice_index == -1 and np.isnan(yes.number)
    choice = robot.ask('which?', kind=Ask.Request.CHOICE, choices=['red', 'blue']).answer
    assert choice.choice_index == 1 and choice.choices == ['red', 'blue'] and not choice.yes
    number = robot.ask('how many?', kind=Ask.Request.NUMBER).answer
    assert number.number == 3.0 and number.choice_index == -1


def test_one_frame_is_looked_at_once(robot: Robot) -> None:
    robot.show((1, 2, 3))
    first, second = robot.ask('a').answer, robot.ask('b').answer
    assert len(robot.stand_in.looked) == 1
    assert first.encode_time.nanosec >= 250_000_000
    assert first.prefill_view_time.nanosec == 125_000_000
    assert second.encode_time.nanosec == 0 and second.prefill_view_time.nanosec == 0
    robot.show((7, 8, 9))
    assert robot.ask('c').answer.text == '7 8 9'
    assert len(robot.stand_in.looked) == 2


def test_one_view_is_kept(robot: Robot) -> None:
    robot.show((1, 2, 3))
    robot.show((4, 5, 6), 'rear')
    for camera, colour in [('front', '1 2 3'), ('rear', '4 5 6')] * 2:
        assert robot.ask('a', camera=camera).answer.text == colour
        wait_for(lambda: robot.stand_in.views_kept() == 1, 10, 'the view before to go')


def test_two_cameras_do_not_mix(robot: Robot) -> None:
    robot.show((100, 0, 0), 'front')
    robot.show((0, 0, 100), 'rear')
    rear = robot.ask('colour?', camera='rear').answer
    assert (rear.text, rear.camera, rear.header.frame_id) == ('0 0 100', 'rear', 'rear_optical')
    assert robot.ask('colour?', camera='front').answer.text == '100 0 0'


def test_the_frame_is_the_newest_when_the_question_has_its_turn(robot: Robot) -> None:
    robot.show((1, 1, 1))
    first = robot.send('hold')
    wait_for(lambda: 'hold' in robot.stand_in.asked, 10, 'the first question')
    second = robot.send('next')
    robot.show((2, 2, 2))
    robot.stand_in.release.set()
    assert response(first).answer.text == '1 1 1'
    assert response(second).answer.text == '2 2 2'


def test_a_picture_that_comes_along(robot: Robot) -> None:
    picture = CompressedImage(format='png')
    picture.data = cv2.imencode('.png', np.full((4, 4, 3), (3, 2, 1), np.uint8))[1].tobytes()
    picture.header.frame_id = 'file'
    got = robot.ask('colour?', image=picture)
    assert got.answer.text == '1 2 3' and got.answer.camera == ''
    assert got.answer.header.frame_id == 'file'
    picture.data = bytes(picture.data)[:-20]
    assert robot.ask('colour?', image=picture).error_code == Response.BAD_FRAME
    both = robot.ask('colour?', image=picture, camera='front')
    assert both.error_code == Response.INVALID_QUESTION and 'leave one' in both.error_text


@pytest.mark.parametrize(
    ('fields', 'code', 'word'),
    [
        ({'question': ' '}, Response.INVALID_QUESTION, 'empty'),
        ({'question': 'a' * 1001}, Response.INVALID_QUESTION, '1001'),
        ({'question': 'a', 'kind': 9}, Response.INVALID_QUESTION, 'kind 9'),
        ({'question': 'a', 'kind': 2, 'choices': ['b']}, Response.INVALID_QUESTION, '1 choice'),
        ({'question': 'a', 'timeout': -1.0}, Response.INVALID_QUESTION, 'timeout'),
        ({'question': 'a', 'camera': 'side'}, Response.UNKNOWN_CAMERA, 'front, rear'),
        ({'question': 'a', 'camera': 'rear'}, Response.NO_FRAME, 'nobody publishes'),
        ({'question': 'too long'}, Response.INVALID_QUESTION, '256 fit'),
        ({'question': 'fail'}, Response.INTERNAL_ERROR, 'RuntimeError'),
        ({'question': 'a', 'max_frame_age': 1e-6}, Response.STALE_FRAME, 'at most 1e-06 s'),
        ({'question': 'a', 'oldest_stamp': Time(sec=2**31 - 1)}, Response.STALE_FRAME, 'before'),
    ],
)
def test_refusals(robot: Robot, fields: dict[str, Any], code: int, word: str) -> None:
    robot.show((1, 2, 3))
    got = robot.ask(**fields)
    assert got.error_code == code
    assert word in got.error_text
    nothing = Answer(question=fields['question'], choice_index=-1)
    got.answer.number, nothing.number = 0.0, 0.0
    assert got.answer == nothing
    assert robot.ask('and now?').error_code == Response.NONE
    assert len(robot.answers) <= 1


def test_a_frame_that_cannot_be_decoded(robot: Robot) -> None:
    robot.show((1, 2, 3))
    broken = Image(height=4, width=6, step=18, encoding='rgb8', data=bytes(10))
    broken.header.stamp = robot.node.get_clock().now().to_msg()
    robot.publishers['front'].publish(broken)
    wait_for(lambda: robot.node._cameras['front'].received == 2, 10, 'the broken frame')
    got = robot.ask('colour?')
    assert got.error_code == Response.BAD_FRAME and '10 bytes' in got.error_text


def test_a_wrong_type_of_message_is_explained(robot: Robot, ros_domain: int) -> None:
    # One DDS participant cannot have two types on a topic: the publisher needs its own.
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    other = rclpy.create_node('other', context=context)
    other.create_publisher(CompressedImage, 'rear/image_raw', 1)
    wait_for(
        lambda: robot.node.get_publishers_info_by_topic('/rear/image_raw'), 20, 'the publisher'
    )
    got = robot.ask('colour?', camera='rear')
    other.destroy_node()
    rclpy.shutdown(context=context)
    assert got.error_code == Response.NO_FRAME
    assert 'carries sensor_msgs/msg/CompressedImage' in got.error_text


def test_publishers_of_the_right_type_count(robot: Robot, ros_domain: int) -> None:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    other = rclpy.create_node('other', context=context)
    other.create_publisher(CompressedImage, 'rear/image_raw', 1)
    robot.peer.create_publisher(Image, 'rear/image_raw', 1)
    wait_for(
        lambda: len(robot.node.get_publishers_info_by_topic('/rear/image_raw')) == 2,
        20,
        'both publishers',
    )
    got = robot.ask('colour?', camera='rear')
    other.destroy_node()
    rclpy.shutdown(context=context)
    assert got.error_code == Response.NO_FRAME
    assert 'no message came since the node was activated' in got.error_text


def test_a_stale_frame_of_a_camera_that_went_silent(robot: Robot) -> None:
    robot.show((1, 2, 3))
    got = robot.ask('a', max_frame_age=1e-6)
    assert got.error_text.endswith('s are accepted')  # it delivered a moment ago
    time.sleep(1.2)
    got = robot.ask('a', max_frame_age=1e-6)
    assert got.error_code == Response.STALE_FRAME
    assert '/front/image_raw has a publisher, but no message came for' in got.error_text
    robot.peer.destroy_publisher(robot.publishers['front'])
    wait_for(
        lambda: not robot.node.get_publishers_info_by_topic('/front/image_raw'), 20, 'the end'
    )
    got = robot.ask('a', max_frame_age=1e-6)
    assert got.error_code == Response.STALE_FRAME
    assert 'nobody publishes /front/image_raw' in got.error_text


def test_a_stale_frame_of_a_camera_that_delivers_is_not_called_silent(robot: Robot) -> None:
    robot.show((1, 2, 3), stamp=Time(sec=1))
    got = robot.ask('a', max_frame_age=3600.0)
    assert got.error_code == Response.STALE_FRAME
    assert got.error_text.endswith('at most 3600 s are accepted')


def test_stamps_are_told_to_the_nanosecond(robot: Robot) -> None:
    robot.show((1, 2, 3), stamp=Time(sec=1_700_000_000, nanosec=123_456_789))
    got = robot.ask('a', max_frame_age=2e9, oldest_stamp=Time(sec=1_700_000_001))
    assert got.error_code == Response.STALE_FRAME
    assert 'the stamp 1700000000.123456789,' in got.error_text


def test_a_full_queue(robot: Robot) -> None:
    robot.show((1, 2, 3))
    held = [robot.send('hold')]
    wait_for(lambda: 'hold' in robot.stand_in.asked, 10, 'the first question')
    held += [robot.send('hold 2'), robot.send('hold 3')]
    full = robot.ask('one too many')
    assert full.error_code == Response.QUEUE_FULL and '2 questions' in full.error_text
    robot.stand_in.release.set()
    assert [response(one).error_code for one in held] == [Response.NONE] * 3


def test_a_waiting_question_times_out_without_the_worker(robot: Robot) -> None:
    robot.show((1, 2, 3))
    first = robot.send('ignore the time')
    wait_for(lambda: robot.stand_in.asked, 10, 'the first question')
    late = robot.ask('too late', timeout=0.2)
    assert late.error_code == Response.TIMEOUT and '0.2 s' in late.error_text
    assert not first.done()
    robot.stand_in.release.set()
    assert response(first).error_code == Response.NONE
    assert 'too late' not in robot.stand_in.asked


def test_time_outs_pass_while_others_keep_asking(spin: Callable[[Any], None]) -> None:
    robot = Robot(spin, queue_length=1000)
    assert robot.node.bring_up()
    robot.show((1, 2, 3))
    first = robot.send('ignore the time', timeout=600.0)
    wait_for(lambda: robot.stand_in.asked, 10, 'the first question')
    late = robot.send('too late', timeout=0.2)

    def another() -> bool:
        robot.send('more', timeout=600.0)
        return bool(late.done())

    try:
        wait_for(another, 8, 'the refusal')
    finally:
        robot.close()
    assert response(late).error_code == Response.TIMEOUT
    assert response(first).error_code in (Response.NONE, Response.NOT_ACTIVE)


def test_a_closed_question_times_out_at_once_a_free_text_is_cut_short(robot: Robot) -> None:
    robot.show((1, 2, 3))
    closed = robot.ask('hold', kind=Ask.Request.YES_NO, timeout=0.2)
    assert closed.error_code == Response.TIMEOUT and 'at work' in closed.error_text
    free = robot.ask('hold', timeout=0.2)
    assert free.error_code == Response.NONE and free.answer.cut_short == Answer.TIME_LIMIT


def test_a_closed_answer_that_comes_too_late_is_not_given(robot: Robot) -> None:
    robot.show((1, 2, 3))
    late = robot.ask('ignore the time', kind=Ask.Request.YES_NO, timeout=0.2)
    assert late.error_code == Response.TIMEOUT
    robot.stand_in.release.set()
    assert robot.ask('next').error_code == Response.NONE
    wait_for(lambda: robot.answers, 10, 'the answer on the topic')
    assert [answer.question for answer in robot.answers] == ['next']


def test_deactivating_refuses_what_is_open(robot: Robot) -> None:
    robot.show((1, 2, 3))
    held = [robot.send('hold', timeout=60.0)]
    wait_for(lambda: robot.stand_in.asked, 10, 'the first question')
    held.append(robot.send('waits', timeout=60.0))
    wait_for(lambda: robot.node._worker and robot.node._worker.waiting, 10, 'the second question')
    assert robot.stand_in.views_kept() == 1
    robot.node.trigger_deactivate()
    wait_for(lambda: not robot.stand_in.views_kept(), 10, 'the view to be forgotten')
    codes = [response(one).error_code for one in held]
    assert codes == [Response.NOT_ACTIVE] * 2
    refused = robot.ask('now?')
    assert refused.error_code == Response.NOT_ACTIVE and 'inactive' in refused.error_text
    robot.node.trigger_activate()
    assert robot.ask('old frames are forgotten?').error_code == Response.NO_FRAME
    robot.show((4, 5, 6))
    assert robot.ask('colour?').answer.text == '4 5 6'


def test_a_burst_of_several_clients_gets_one_response_each(robot: Robot) -> None:
    robot.show((1, 2, 3))
    clients = [
        robot.peer.create_client(Ask, 'vqa_node/ask', qos_profile=QoSProfile(depth=100))
        for _ in range(4)
    ]
    for client in clients:
        assert client.wait_for_service(20)
    got: dict[str, list[int]] = {}
    sent = []
    for number in range(15):
        for index, client in enumerate(clients):
            name = f'{index}/{number}'
            got[name] = []
            future = client.call_async(Ask.Request(question=name, max_frame_age=Duration(sec=300)))
            future.add_done_callback(
                lambda done: got[done.result().answer.question].append(done.result().error_code)
            )
            sent.append(future)
    wait_for(lambda: all(got.values()), 30, 'all responses')
    assert all(len(codes) == 1 for codes in got.values())
    codes = {code for one in got.values() for code in one}
    assert codes <= {Response.NONE, Response.QUEUE_FULL} and Response.NONE in codes
    answered = sum(one == [Response.NONE] for one in got.values())
    assert len(robot.stand_in.asked) == answered
    wait_for(lambda: robot.node.unsent == 0, 10, 'the last response')
