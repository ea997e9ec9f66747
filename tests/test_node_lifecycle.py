"""Transitions, names, clock, quality of service, diagnostics, and the process as a whole."""

# ruff: noqa: E402 (what needs ROS is imported only where there is one)

import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import wait_for
from node_stand_in import (
    AT_WORK,
    IDENTITY,
    Reports,
    Robot,
    StandIn,
    image_message,
    response,
    response_to,
)

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('llava_phi')

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from llava_phi.msg import ModelInfo
from llava_phi.srv import Ask
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from ros2_llava_phi.errors import FileError, ModelError
from ros2_llava_phi.node.node_clock import NodeClock
from ros2_llava_phi.node.vqa_node import VqaNode

Response = Ask.Response

# The longest that a process may take to come up, or to go, in seconds; it imports a lot.
START = 120


def test_model_info_reaches_who_comes_late(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot()
    assert robot.node.bring_up()
    infos: list[Any] = []
    late = rclpy.create_node('late')
    latched = robot.node._model_info.qos_profile
    late.create_subscription(ModelInfo, '/vqa_node/model_info', infos.append, latched)
    assert robot.peer.executor is not None
    robot.peer.executor.add_node(late)
    (info,) = wait_for(lambda: infos, 20, 'the model info')
    assert (info.name, info.weights_hash) == (IDENTITY.name, IDENTITY.weights_hash)
    assert (info.image_size, info.image_tokens, info.context_length) == (32, 4, 256)
    late.destroy_node()


def test_who_waits_sees_plans_being_built(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot(model='/exports/road')
    robot.load.clear()
    change_state = robot.peer.create_client(ChangeState, 'vqa_node/change_state')
    assert change_state.wait_for_service(20)
    configure = Transition(id=Transition.TRANSITION_CONFIGURE)
    configured = change_state.call_async(ChangeState.Request(transition=configure))
    wait_for(lambda: robot.infos, 20, 'the model info')
    assert robot.infos[-1].name == '/exports/road'
    assert robot.infos[-1].status == 'building plans: decoder: Building, 3 of 12'
    robot.load.set()
    assert response(configured).success
    wait_for(lambda: robot.infos[-1].status == 'ready', 20, 'the model')
    assert robot.infos[-1].name == IDENTITY.name


def test_plans_are_not_built_where_they_must_not(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot(build_plans=False)
    assert robot.node.bring_up()
    wait_for(lambda: robot.infos, 20, 'the model info')
    assert [info.status for info in robot.infos] == ['ready']


def test_every_state_answers(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot()
    get_state = robot.peer.create_client(GetState, 'vqa_node/get_state')
    change_state = robot.peer.create_client(ChangeState, 'vqa_node/change_state')
    assert get_state.wait_for_service(20) and change_state.wait_for_service(20)

    def go(transition: int) -> int:
        request = ChangeState.Request(transition=Transition(id=transition))
        assert response(change_state.call_async(request)).success
        return int(response(get_state.call_async(GetState.Request())).current_state.id)

    assert robot.ask('a').error_code == Response.NOT_ACTIVE
    for _ in range(3):
        assert go(Transition.TRANSITION_CONFIGURE) == State.PRIMARY_STATE_INACTIVE
        assert robot.ask('a').error_code == Response.NOT_ACTIVE
        assert go(Transition.TRANSITION_ACTIVATE) == State.PRIMARY_STATE_ACTIVE
        robot.show((1, 2, 3))
        assert robot.ask('a').error_code == Response.NONE
        assert go(Transition.TRANSITION_DEACTIVATE) == State.PRIMARY_STATE_INACTIVE
        assert go(Transition.TRANSITION_CLEANUP) == State.PRIMARY_STATE_UNCONFIGURED
        assert robot.ask('a').error_code == Response.NOT_ACTIVE
    assert go(Transition.TRANSITION_CONFIGURE) == State.PRIMARY_STATE_INACTIVE
    for _ in range(2):
        assert go(Transition.TRANSITION_ACTIVATE) == State.PRIMARY_STATE_ACTIVE
        robot.show((1, 2, 3))
        assert robot.ask('a').error_code == Response.NONE
        assert go(Transition.TRANSITION_DEACTIVATE) == State.PRIMARY_STATE_INACTIVE
    assert go(Transition.TRANSITION_ACTIVATE) == State.PRIMARY_STATE_ACTIVE
    assert go(Transition.TRANSITION_ACTIVE_SHUTDOWN) == State.PRIMARY_STATE_FINALIZED
    assert 'finalized' in robot.ask('a').error_text


def test_nobody_waits_while_the_model_loads(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot()
    get_state = robot.peer.create_client(GetState, 'vqa_node/get_state')
    change_state = robot.peer.create_client(ChangeState, 'vqa_node/change_state')
    assert get_state.wait_for_service(20) and change_state.wait_for_service(20)
    robot.load.clear()
    configure = Transition(id=Transition.TRANSITION_CONFIGURE)
    configured = change_state.call_async(ChangeState.Request(transition=configure))
    wait_for(
        lambda: (
            response(get_state.call_async(GetState.Request())).current_state.id
            == State.TRANSITION_STATE_CONFIGURING
        ),
        20,
        'the node to configure',
    )
    refused = robot.ask('a')
    assert refused.error_code == Response.NOT_ACTIVE and 'configuring' in refused.error_text
    assert not configured.done()
    robot.load.set()
    assert response(configured).success


def is_state(client: Any, state: int) -> bool:
    return bool(response(client.call_async(GetState.Request())).current_state.id == state)


def test_a_load_can_be_aborted_without_a_signal(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot()
    get_state = robot.peer.create_client(GetState, 'vqa_node/get_state')
    change_state = robot.peer.create_client(ChangeState, 'vqa_node/change_state')
    abort = robot.peer.create_client(Trigger, 'vqa_node/abort_loading')
    for client in (get_state, change_state, abort):
        assert client.wait_for_service(20)

    def go(transition: int) -> Any:
        request = ChangeState.Request(transition=Transition(id=transition))
        return change_state.call_async(request)

    def start_to_load() -> Any:
        before = robot.node._loading
        configured = go(Transition.TRANSITION_CONFIGURE)
        wait_for(lambda: robot.node._loading is not before, 20, 'the load')
        assert is_state(get_state, State.TRANSITION_STATE_CONFIGURING)
        return configured

    refused = response(abort.call_async(Trigger.Request()))
    assert not refused.success and 'unconfigured' in refused.message
    robot.load.clear()
    for _ in range(2):  # the second load waits for the first to end
        configured = start_to_load()
        assert response(abort.call_async(Trigger.Request())).success
        assert not response(configured).success
        assert is_state(get_state, State.PRIMARY_STATE_UNCONFIGURED)
    robot.load.set()
    assert response(go(Transition.TRANSITION_CONFIGURE)).success
    assert response(go(Transition.TRANSITION_ACTIVATE)).success
    robot.show((1, 2, 3))
    assert robot.ask('a').error_code == Response.NONE
    assert response(go(Transition.TRANSITION_DEACTIVATE)).success
    assert response(go(Transition.TRANSITION_CLEANUP)).success

    # What a lifecycle manager sends does the same, whichever state it takes the node to be in.
    robot.load.clear()
    configured = start_to_load()
    assert response(go(Transition.TRANSITION_INACTIVE_SHUTDOWN)).success
    assert not response(configured).success
    assert is_state(get_state, State.PRIMARY_STATE_FINALIZED)


def test_a_shutdown_does_not_wait_for_a_load_that_waits(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot()
    client = robot.peer.create_client(ChangeState, 'vqa_node/change_state')
    assert client.wait_for_service(20)
    robot.load.clear()
    ids = [Transition.TRANSITION_CONFIGURE] * 3 + [Transition.TRANSITION_INACTIVE_SHUTDOWN]
    responses = []
    for one in ids:
        responses.append(client.call_async(ChangeState.Request(transition=Transition(id=one))))
        wait_for(lambda: robot.node._loading is not None, 20, 'the load')
    assert [response(one).success for one in responses] == [False, False, False, True]


def test_a_load_can_be_aborted_before_it_begins(
    make_robot: Callable[..., Robot], monkeypatch: pytest.MonkeyPatch
) -> None:
    robot = make_robot()
    aborted = []
    monkeypatch.setattr(
        'ros2_llava_phi.node.vqa_node.find_cv_bridge',
        lambda: aborted.append(robot.node.abort_loading()),
    )
    for _ in range(2):
        assert robot.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert aborted == [True, True] and robot.node.close(20)
    assert not robot.stand_in.threads and not robot.infos


def test_one_model_is_in_memory_at_most(ros: Any) -> None:
    models: list[weakref.ref[StandIn]] = []

    def load(*_: object) -> Any:
        assert not any(model() for model in models)
        model = StandIn()
        models.append(weakref.ref(model))
        return model

    node = VqaNode(load)
    for _ in range(2):
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        assert node._loading is not None and node._loading.ended(20)
        assert models.pop()() is None
    node.destroy_node()


def test_an_aborted_load_ends_with_its_next_step(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot()
    ended: list[BaseException] = []

    def build(*arguments: Any) -> Any:
        try:
            while True:
                arguments[4]('decoder: Building', 3, 12)
        except BaseException as error:
            ended.append(error)
            raise

    robot.node._load = build
    bringing_up = threading.Thread(target=robot.node.bring_up)
    bringing_up.start()
    wait_for(lambda: robot.infos, 20, 'the progress')
    assert robot.node.abort_loading()
    bringing_up.join(20)
    wait_for(lambda: ended, 20, 'the build to end')
    assert not robot.node.abort_loading()


@pytest.mark.parametrize(
    ('error', 'shown'),
    [
        (ModelError('there is no model x'), 'failed: there is no model x'),
        (FileError('the cache can be written by others'), 'failed: the cache can be written'),
        (KeyError('y'), 'Traceback'),
    ],
)
def test_a_model_that_does_not_load(
    ros: Any, capfd: pytest.CaptureFixture[str], error: Exception, shown: str
) -> None:
    def load(*_: object) -> Any:
        raise error

    node = VqaNode(load)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert node._state_machine.current_state[1] == 'unconfigured'
    assert shown in capfd.readouterr().err
    assert not node._cameras
    node.destroy_node()


def test_a_topic_that_cannot_be(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot(front__topic='a{nobody}')
    assert robot.node.trigger_configure() == TransitionCallbackReturn.FAILURE


def test_a_namespace_and_the_params_file(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot(namespace='/robot1')
    assert robot.node.bring_up()
    robot.show((1, 2, 3))
    assert robot.node._cameras['front'].topic == '/robot1/front/image_raw'
    assert robot.ask('a').answer.text == '1 2 3'


def test_quality_of_service_can_be_overridden(make_robot: Callable[..., Robot]) -> None:
    name = 'qos_overrides./front/image_raw.subscription.reliability'
    robot = make_robot(**{name: 'reliable'})
    assert robot.node.bring_up()
    (front,) = robot.node.get_subscriptions_info_by_topic('/front/image_raw')
    assert front.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    robot.show((1, 2, 3))
    assert robot.ask('a').answer.text == '1 2 3'


def test_a_quality_of_service_that_does_not_match_is_explained(
    make_robot: Callable[..., Robot],
) -> None:
    robot = make_robot(**{'qos_overrides./front/image_raw.subscription.reliability': 'reliable'})
    assert robot.node.bring_up()
    robot.peer.create_publisher(
        Image, 'front/image_raw', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    wait_for(
        lambda: robot.node.get_publishers_info_by_topic('/front/image_raw'), 20, 'the publisher'
    )
    got = robot.ask('a')
    assert got.error_code == Response.NO_FRAME
    assert 'does not match: Best effort publisher and reliable subscription' in got.error_text
    robot.show((1, 2, 3))
    assert robot.ask('a').answer.text == '1 2 3'


def test_best_effort_is_the_default(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot()
    assert robot.node.bring_up()
    (front,) = robot.node.get_subscriptions_info_by_topic('/front/image_raw')
    assert front.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_time_is_the_clock_of_the_simulation(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot(use_sim_time=True, max_frame_age=1.0)
    assert robot.node.bring_up()
    clock = robot.peer.create_publisher(Clock, '/clock', 1)

    def set_clock(seconds: float) -> Time:
        stamp = Time(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))

        def arrived() -> bool:
            clock.publish(Clock(clock=stamp))
            return bool(robot.node.get_clock().now().to_msg() == stamp)

        wait_for(arrived, 20, f'the clock to show {seconds} s')
        return stamp

    without = robot.ask('a')
    assert without.error_code == Response.NO_CLOCK and '/clock' in without.error_text
    robot.show((1, 2, 3), stamp=set_clock(100.0))
    set_clock(100.5)
    answer = robot.ask('a').answer
    assert (answer.frame_age.sec, answer.frame_age.nanosec) == (0, 500_000_000)
    set_clock(102.0)
    stale = robot.ask('a')
    assert stale.error_code == Response.STALE_FRAME and '2.000 s old' in stale.error_text

    # A question waits as long as the clock stands still, and no longer than it says after that.
    robot.show((1, 2, 3), stamp=set_clock(103.0))
    held = robot.send('hold', kind=Ask.Request.YES_NO, timeout=5.0)
    wait_for(lambda: 'hold' in robot.stand_in.asked, 10, 'the question')
    assert not held.done()
    set_clock(108.5)
    assert response(held).error_code == Response.TIMEOUT

    # The recording starts over: nothing waits for ever, nothing old is taken for new.
    held = robot.send('hold 2', kind=Ask.Request.YES_NO, timeout=5.0, max_frame_age=60.0)
    wait_for(lambda: 'hold 2' in robot.stand_in.asked, 10, 'the question')
    set_clock(50.0)
    assert response(held).error_code == Response.TIMEOUT
    gone = robot.ask('a')
    assert gone.error_code == Response.NO_FRAME and 'clock was set back' in gone.error_text
    set_clock(103.0)
    assert robot.ask('a').error_code == Response.NO_FRAME
    robot.show((4, 5, 6), stamp=Time(sec=103))
    assert robot.ask('a').answer.text == '4 5 6'


def test_frames_without_stamp_and_with_a_stamp_in_the_future_grow_old(
    make_robot: Callable[..., Robot],
) -> None:
    robot = make_robot()
    assert robot.node.bring_up()
    for stamp in (Time(), Time(sec=2**31 - 1), Time(sec=-5)):
        robot.show((1, 2, 3), stamp=stamp)
        assert robot.ask('a').error_code == Response.NONE
        frame = robot.node._cameras['front'].newest()
        assert frame is not None
        later: Any = SimpleNamespace(nanoseconds=frame.received.node_ns + 5_000_000_000)
        clock = SimpleNamespace(ros_time_is_active=True, now=lambda later=later: later)
        assert frame.age_ns(NodeClock(clock)) == 5_000_000_000


def test_diagnostics_of_what_goes_wrong(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot(max_frame_age=3600.0, queue_length=1)
    find = Reports(robot).find
    assert robot.node.bring_up()
    robot.show((1, 2, 3), stamp=Time(sec=1))
    old = 'by their stamps, frames are'
    wait_for(lambda: find('camera front', DiagnosticStatus.WARN, 'message', old), 20, 'a warning')
    robot.show((1, 2, 3))
    wait_for(
        lambda: find('camera front', DiagnosticStatus.OK, 'message', 'delivers'), 20, 'all well'
    )
    robot.ask('fail')
    wait_for(
        lambda: find('questions', DiagnosticStatus.ERROR, 'INTERNAL_ERROR', '1'), 20, 'the error'
    )
    wait_for(lambda: find('questions', DiagnosticStatus.OK, 'INTERNAL_ERROR', '1'), 20, 'its end')
    robot.ask('hold', kind=Ask.Request.YES_NO, timeout=0.1)
    wait_for(lambda: find('questions', DiagnosticStatus.WARN, 'TIMEOUT', '1'), 20, 'a warning')


def test_diagnostics_of_a_clock_that_says_nothing(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot(use_sim_time=True)
    find = Reports(robot).find
    wait_for(
        lambda: find('questions', DiagnosticStatus.WARN, 'message', '/clock'), 20, 'a warning'
    )


def test_diagnostics(make_robot: Callable[..., Robot]) -> None:
    robot = make_robot()
    find = Reports(robot).find
    wait_for(
        lambda: find('questions', DiagnosticStatus.OK, 'state', 'unconfigured'), 20, 'a report'
    )
    assert robot.node.bring_up()
    wait_for(
        lambda: find('camera front', DiagnosticStatus.WARN, 'topic', '/front/image_raw'),
        20,
        'a warning of a silent camera',
    )
    robot.show((1, 2, 3))
    robot.ask('a')
    robot.ask('')
    wait_for(lambda: find('questions', DiagnosticStatus.OK, 'ANSWERED', '1'), 20, 'the count')
    assert find('questions', DiagnosticStatus.OK, 'INVALID_QUESTION', '1')


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the node with the stand-in as a process of its own."""
    program = Path(__file__).with_name('node_stand_in.py')
    running = subprocess.Popen(
        [sys.executable, str(program), '--ros-args', *arguments], stderr=subprocess.PIPE, text=True
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_cleanly(node: Any, number: signal.Signals) -> None:
    client = node.create_client(Ask, 'eyes/ask')
    params = Path(__file__).parent.parent / 'config' / 'vqa.yaml'
    with process('--params-file', str(params), '-r', '__node:=eyes') as running:
        assert client.wait_for_service(START)
        active = wait_for(
            lambda: response_to(client, Ask.Request(question='a')).error_code == Response.NO_FRAME,
            START,
            'the node to be active',
        )
        assert active
        publisher = node.create_publisher(Image, 'front/image_raw', 1)

        def publish() -> None:
            publisher.publish(image_message((1, 2, 3), node.get_clock().now().to_msg()))

        timer = node.create_timer(0.1, publish)
        wait_for(
            lambda: response_to(client, Ask.Request(question='a')).error_code == Response.NONE,
            START,
            'an answer',
        )
        waiting = [client.call_async(Ask.Request(question=text)) for text in ('hold', 'then')]
        assert response(client.call_async(Ask.Request(question=''))).error_code
        running.send_signal(number)
        running.send_signal(number)
        assert [response(one).error_code for one in waiting] == [Response.NOT_ACTIVE] * 2
        _, errors = running.communicate(timeout=START)
        timer.cancel()
    assert running.returncode == 0
    assert 'Traceback' not in errors


def test_a_wrong_parameter_ends_the_process_with_a_sentence(ros_domain: int) -> None:
    with process('-p', 'queue_length:=0') as running:
        _, errors = running.communicate(timeout=START)
    assert running.returncode == 2
    assert errors.startswith('vqa_node: the parameter queue_length cannot be 0')
    assert errors.count('\n') == 1


def test_a_signal_ends_the_process_though_its_clock_stands_still(node: Any) -> None:
    client = node.create_client(Ask, 'vqa_node/ask')
    with process('-p', 'use_sim_time:=true') as running:
        assert client.wait_for_service(START)
        wait_for(
            lambda: response_to(client, Ask.Request(question='a')).error_code == Response.NO_CLOCK,
            START,
            'the node to be active',
        )
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=START)
    assert running.returncode == 0
    assert 'Traceback' not in errors


@pytest.mark.parametrize('autostart', ['true', 'false'])
def test_a_signal_ends_the_process_though_it_is_loading(node: Any, autostart: str) -> None:
    change = node.create_client(ChangeState, 'vqa_node/change_state')
    get_state = node.create_client(GetState, 'vqa_node/get_state')
    with process('-p', 'model:=loads for ever', '-p', f'autostart:={autostart}') as running:
        assert change.wait_for_service(START) and get_state.wait_for_service(START)
        configure = Transition(id=Transition.TRANSITION_CONFIGURE)

        def is_configuring() -> bool:
            if autostart == 'false':
                change.call_async(ChangeState.Request(transition=configure))
            state = response_to(get_state, GetState.Request()).current_state
            return bool(state.id == State.TRANSITION_STATE_CONFIGURING)

        wait_for(is_configuring, START, 'the node to configure')
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=START)
    assert running.returncode == 0
    assert 'Traceback' not in errors


def hears_signals(process: subprocess.Popen[str]) -> bool:
    """Return whether a process has a handler of its own for SIGTERM, and so for SIGINT."""
    status = Path(f'/proc/{process.pid}/status').read_text()
    caught = int(
        next(line for line in status.splitlines() if line.startswith('SigCgt')).split()[1], 16
    )
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize('seed', range(2))
@pytest.mark.parametrize('moment', ['starting', 'loading', 'answering'])
def test_it_ends_with_0_whatever_signals_come_and_when(node: Any, moment: str, seed: int) -> None:
    """The model is at a step, or a load, that never ends: what is waited for is bounded."""
    chance = random.Random(f'{moment} {seed}')
    model = 'loads for ever' if moment == 'loading' else 'quick'
    client = node.create_client(Ask, 'vqa_node/ask')
    publisher = node.create_publisher(Image, 'front/image_raw', 1)

    def publish() -> None:
        publisher.publish(image_message((1, 2, 3), node.get_clock().now().to_msg()))

    timer = node.create_timer(0.1, publish)
    held = None
    with process('-p', f'model:={model}', '-p', 'max_frame_age:=60.0') as running:
        wait_for(lambda: hears_signals(running), START, 'the handlers')
        if moment == 'starting':
            time.sleep(chance.uniform(0, 2))
        else:
            assert client.wait_for_service(START)
            expected = Response.NOT_ACTIVE if moment == 'loading' else Response.NONE
            wait_for(
                lambda: response_to(client, Ask.Request(question='a')).error_code == expected,
                START,
                'a response',
            )
        if moment == 'answering':
            held = client.call_async(Ask.Request(question='ignore the time'))
            assert running.stderr is not None
            assert any(AT_WORK in line for line in running.stderr)
        began = time.monotonic()
        for _ in range(chance.randint(2, 9)):
            with contextlib.suppress(ProcessLookupError):
                running.send_signal(chance.choice([signal.SIGINT, signal.SIGTERM]))
            time.sleep(chance.uniform(0.05, 0.4))
        if held is not None:
            assert response(held).error_code == Response.NOT_ACTIVE
        _, errors = running.communicate(timeout=START)
        took = time.monotonic() - began
    timer.cancel()
    assert running.returncode == 0, errors
    assert 'Traceback' not in errors
    # Less than the 10 s after which `ros2 launch` kills, but for a machine at other work.
    assert took < 20


def test_who_only_repeats_it_ends_the_process_within_seconds(node: Any) -> None:
    client = node.create_client(Ask, 'vqa_node/ask')
    with process('-p', 'model:=loads for ever') as running:
        assert client.wait_for_service(START)
        refused = response_to(client, Ask.Request(question='a'))
        assert refused.error_code == Response.NOT_ACTIVE
        while running.poll() is None:
            running.send_signal(signal.SIGINT)
            time.sleep(0.05)
    assert running.returncode == 0


def test_an_impossible_transition_is_refused(node: Any) -> None:
    change = node.create_client(ChangeState, 'vqa_node/change_state')
    with process('-p', 'autostart:=false'):
        assert change.wait_for_service(START)

        def go(transition: int) -> bool:
            request = ChangeState.Request(transition=Transition(id=transition))
            return bool(response(change.call_async(request)).success)

        activate = Transition(id=Transition.TRANSITION_ACTIVATE)
        assert not response_to(change, ChangeState.Request(transition=activate)).success
        assert go(Transition.TRANSITION_CONFIGURE)
        assert go(Transition.TRANSITION_ACTIVATE)
