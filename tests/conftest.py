"""Fixtures that several test modules share.

Tests that take `ros`, or anything built upon it, run on a DDS domain of their own, on this machine
only. They are skipped where no ROS 2 is sourced.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from ros_domain import free_domain

if TYPE_CHECKING:
    from rclpy.context import Context
    from rclpy.node import Node


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a domain that nobody uses; processes started by the test are in it, too."""
    domain = free_domain()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    return domain


@pytest.fixture
def ros(ros_domain: int) -> Iterator['Context']:
    """Return the default context of rclpy, initialised for this test alone."""
    rclpy = pytest.importorskip('rclpy')
    rclpy.init(domain_id=ros_domain)
    yield rclpy.utilities.get_default_context()
    rclpy.try_shutdown()


@pytest.fixture
def spin(ros: 'Context') -> Iterator[Callable[['Node'], None]]:
    """Return a function that has a node spun by a thread, and destroyed after the test."""
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=ros)

    def work() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=work, name='spin', daemon=True)
    nodes: list[Node] = []

    def add(node: 'Node') -> None:
        nodes.append(node)
        executor.add_node(node)
        if not thread.is_alive():
            thread.start()

    yield add
    executor.shutdown()
    if thread.ident is not None:
        thread.join(timeout=10)
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def node(ros: 'Context', spin: Callable[['Node'], None]) -> 'Node':
    """Return a node of the test's own, spinning."""
    import rclpy

    node = rclpy.create_node('test', context=ros)
    spin(node)
    return node
