"""What rclpy of Humble cannot bear, on a later rclpy: the node has to do without it."""

# ruff: noqa: E402 (what needs ROS is imported only where there is one)

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_for

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('llava_phi')

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.exceptions import InvalidHandle
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String

from ros2_llava_phi.client.distributions import between_rounds


def test_only_the_executor_destroys_a_subscription_and_never_one_that_it_is_about_to_take_from(
    ros: Any,
) -> None:
    # Humble's executor, unlike later ones, survives no other way.
    node = rclpy.create_node('eyes', context=ros)
    executor: Any = SingleThreadedExecutor(context=ros)
    found, destroyed = threading.Event(), threading.Event()
    whole: list[Any] = []
    take = executor._take_subscription

    def take_later(subscription: Any) -> Any:
        if subscription is ours:
            found.set()
            destroyed.wait(20)
            with contextlib.suppress(InvalidHandle), subscription.handle:
                whole.append(subscription)
        return take(subscription)

    executor._take_subscription = take_later
    executor.add_node(node)
    ours = node.create_subscription(String, 'words', lambda _: None, 1)
    publisher = node.create_publisher(String, 'words', 1)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    wait_for(publisher.get_subscription_count, 20, 'the subscription')
    publisher.publish(String(data='a'))
    assert found.wait(20)
    between_rounds(node, lambda: node.destroy_subscription(ours))
    destroyed.set()
    wait_for(lambda: ours not in list(node.subscriptions), 20, 'the end of the subscription')
    assert whole == [ours]
    executor.shutdown(timeout_sec=1.0)
    spinning.join(20)
    node.destroy_node()


# Humble's waits for what was never responded to, later ones do not: rclpy/executors.py of each.
SHUTDOWN_AS_IN_HUMBLE = """
import runpy, sys
from rclpy.executors import Executor

shutdown = Executor.shutdown


def as_in_humble(self, timeout_sec=None):
    return self._work_tracker.wait(timeout_sec) and shutdown(self, timeout_sec)


Executor.shutdown = as_in_humble
runpy.run_path(sys.argv[1], run_name='__main__')
"""


def test_a_transition_that_was_interrupted_keeps_no_process_of_humble_alive(node: Any) -> None:
    change = node.create_client(ChangeState, 'vqa_node/change_state')
    tests = Path(__file__).parent
    command = [sys.executable, '-c', SHUTDOWN_AS_IN_HUMBLE, 'node_stand_in.py', '--ros-args']
    command += ['-p', 'model:=loads for ever', '-p', 'autostart:=false']
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tests)
    asking = threading.Thread(target=ask_until_it_ends, args=(change, running), daemon=True)
    try:
        assert change.wait_for_service(60)
        asking.start()
        assert running.stderr is not None
        assert any('loading the model' in line for line in running.stderr)
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    finally:
        running.kill()
        running.wait()
    asking.join(10)


def ask_until_it_ends(change: Any, running: 'subprocess.Popen[str]') -> None:
    """Ask again and again: a request gets lost while two processes discover each other."""
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    while running.poll() is None:
        change.call_async(request)
        time.sleep(1)
