"""A real highway, recorded in both formats, played at its real rate into the running node."""

import itertools
import json
import statistics
import sys
import time
from bisect import bisect_right
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip('llava_phi.srv')

from helpers import wait_for
from llava_phi.msg import Answer
from llava_phi.srv import Ask
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.bags.bag import Storage, Transport
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.cli.main import main
from ros2_llava_phi.client.ask_client import AskClient, make_request
from ros2_llava_phi.client.process import camera_parameters, running_node, running_player

VIDEO = Path(__file__).parents[2] / 'shared' / 'data' / 'driving' / 'solidWhiteRight.mp4'
MAX_FRAME_AGE_S = 1.0

pytestmark = pytest.mark.skipif(
    not VIDEO.is_file(),
    reason='the highway recording is not beside the checkout, in ../shared/data/driving/',
)


def record(out: Path, storage: Storage, transport: Transport) -> None:
    """Make the bag with the command that users have."""
    arguments = ['bag-from-video', VIDEO, out, '--storage', storage.value, f'--{transport.value}']
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
        patch.setattr(sys, 'argv', ['llava-phi', *map(str, arguments)])
        main()
    assert left.value.code in (0, None)


def make_questions() -> 'itertools.chain[Ask.Request]':
    """Return questions without end, each with a text of its own."""

    def ask(number: int) -> Ask.Request:
        words = f'{number}: what about the cars?'
        kind = Kind(number % 4)
        choices = ('one', 'many') if kind is Kind.CHOICE else ()
        return make_request(words, kind, choices=choices, max_frame_age_s=MAX_FRAME_AGE_S)

    return itertools.chain(map(ask, itertools.count()))


@pytest.mark.parametrize(
    ('storage', 'transport'),
    [(Storage.MCAP, Transport.COMPRESSED), (Storage.SQLITE3, Transport.RAW)],
)
def test_a_highway_at_its_real_rate(
    node: Node, tmp_path: Path, storage: Storage, transport: Transport
) -> None:
    bag = tmp_path / 'highway'
    record(bag, storage, transport)
    recorded = list(Recording(bag).frames())
    assert len(recorded) == 221
    (topic,) = {frame.camera for frame in recorded}
    published: list[Answer] = []
    node.create_subscription(Answer, '/vqa_node/answers', published.append, QoSProfile(depth=1000))

    answers: list[Answer] = []
    asked_ns: list[int] = []
    answered_ns: list[int] = []
    parameters = camera_parameters({'highway': topic}, transport.value)
    # Best effort loses most of the frames that are bigger than a segment of shared memory.
    parameters += ['-p', f'qos_overrides.{topic}.subscription.reliability:=reliable']
    with (
        (tmp_path / 'log').open('w') as log,
        running_node(parameters, log) as process,
        AskClient() as client,
    ):
        client.wait_until_active(120.0)
        with running_player(bag, log) as player:
            shift_ns = player.wait_for_start()
            # What is published before publisher and subscription have found each other is lost.
            wait_for(
                lambda: client.ask(make_request('?'), 30.0) and published,
                30.0,
                'the first answer on the topic',
            )
            for request in make_questions():
                if time.time_ns() > recorded[-1].stamp_ns + shift_ns:
                    break
                asked_ns.append(time.time_ns())
                response = client.ask(request, 30.0)
                answered_ns.append(time.time_ns())
                assert response.error_code == Ask.Response.NONE, response.error_text
                assert response.answer.question == request.question
                answers.append(response.answer)
            assert player.process.stdout is not None
            summary = json.loads(player.process.stdout.readline())
        last = answers[-1].question
        wait_for(
            lambda: last in [answer.question for answer in published],
            10.0,
            'the last answer on the topic',
        )
    assert summary['played'] == 221
    assert process.returncode == 0
    assert 'Traceback' not in (tmp_path / 'log').read_text()

    # Nothing is lost, nothing answered twice: neither as a response nor on the topic.
    assert len(answers) >= 10
    asked = Counter(answer.question for answer in answers)
    assert set(asked.values()) == {1}
    assert Counter(a.question for a in published if a.question != '?') == asked

    # Every answer names a frame of the bag, none older than asked for, none older than the last.
    stamps = [message.stamp_ns + shift_ns for message in recorded]
    looked_at = [Time.from_msg(answer.header.stamp).nanoseconds for answer in answers]
    assert set(looked_at) <= set(stamps)
    assert looked_at == sorted(looked_at)
    assert len(set(looked_at)) >= 5
    assert {answer.header.frame_id for answer in answers} == {'camera_optical_frame'}
    assert {answer.camera for answer in answers} == {'highway'}

    # The age is that of the frame when it was picked, which was between question and answer.
    ages = [Duration.from_msg(answer.frame_age).nanoseconds for answer in answers]
    for asked_at, answered_at, stamp, age in zip(
        asked_ns, answered_ns, looked_at, ages, strict=True
    ):
        assert asked_at <= stamp + age <= answered_at
        assert age <= MAX_FRAME_AGE_S * 1e9

    # The callbacks keep up, on a busy machine, too: at 25 Hz the frame is within a quarter of a
    # second of the newest. A backlog would show as a lag that grows to the recording's length.
    lags = [
        bisect_right(stamps, asked_at - summary['latest_ns']) - 1 - stamps.index(stamp)
        for asked_at, stamp in zip(asked_ns, looked_at, strict=True)
    ]
    assert statistics.median(lags) <= 6
    assert max(lags) <= 25
