"""The bond with Nav2's lifecycle manager, with a stand-in of bondpy's signature."""

import sys
import threading
import types
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from helpers import wait_for
from node_stand_in import Robot

pytest.importorskip('llava_phi')

from std_msgs.msg import String


class Bond:
    """
    What ros/bond_core's bondpy 4 has of what a node uses, without the other side.

    Its own shutdown must never run: it destroys behind the node's back, and rclpy's executor then
    raises InvalidHandle in every round.
    """

    made: ClassVar[list['Bond']] = []

    def __init__(
        self, node: Any, topic: str, bond_id: str, on_broken: Any = None, on_formed: Any = None
    ) -> None:
        self.node, self.topic, self.id = node, topic, bond_id
        self.on_broken, self.on_formed = on_broken, on_formed
        self.said: list[Any] = []
        self.lock = threading.RLock()
        self.condition = threading.Condition(self.lock)
        self.is_shutdown = False
        self.connect_timer = threading.Timer(3600, lambda: None)
        self.connect_timer.daemon = True
        self.pub = node.create_publisher(String, topic, 1)
        Bond.made.append(self)

    def set_heartbeat_period(self, seconds: float) -> None:
        self.said.append(f'period {seconds}')

    def set_heartbeat_timeout(self, seconds: float) -> None:
        self.said.append(f'timeout {seconds}')

    def set_broken_callback(self, on_broken: Any) -> None:
        self.on_broken = on_broken

    def start(self) -> None:
        self.connect_timer.start()
        self.sub = self.node.create_subscription(String, self.topic, self.said.append, 1)
        self.said.append('alive')

    def break_bond(self) -> None:
        self.said.append('goodbye')
        if self.on_broken is not None:
            self.on_broken()

    def wait_until_broken(self, timeout: Any = None) -> bool:
        assert timeout.nanoseconds <= 10**9
        return True


@pytest.fixture
def bonds(monkeypatch: pytest.MonkeyPatch) -> list[Bond]:
    package, module = types.ModuleType('bondpy'), types.ModuleType('bondpy.bondpy')
    monkeypatch.setattr(module, 'Bond', Bond, raising=False)
    monkeypatch.setitem(sys.modules, 'bondpy', package)
    monkeypatch.setitem(sys.modules, 'bondpy.bondpy', module)
    monkeypatch.setattr(Bond, 'made', [])
    return Bond.made


@pytest.fixture
def robot(make_robot: Callable[..., Robot]) -> Robot:
    return make_robot(namespace='/robot1')


def bond_topics(robot: Robot) -> list[str]:
    ends: list[Any] = [*robot.node.publishers, *robot.node.subscriptions]
    return [end.topic_name for end in ends if end.topic_name.endswith('/bond')]


def test_an_active_node_is_in_a_bond_under_its_name_as_nav2_has_it(
    robot: Robot, bonds: list[Bond]
) -> None:
    robot.node.trigger_configure()
    assert bonds == []
    robot.node.trigger_activate()
    (bond,) = bonds
    assert (bond.node, bond.id) == (robot.node, 'vqa_node')
    assert bond_topics(robot) == ['/robot1/bond', '/robot1/bond']
    assert bond.said == ['period 0.1', 'timeout 4.0', 'alive']


@pytest.mark.parametrize('way', ['trigger_deactivate', 'trigger_shutdown', 'close'])
def test_who_is_active_no_more_says_goodbye_and_leaves_nothing(
    robot: Robot, bonds: list[Bond], way: str
) -> None:
    robot.node.bring_up()
    # What bondpy does when the manager falls silent.
    robot.node.declare_parameter('/bond_disable_heartbeat_timeout', False)
    getattr(robot.node, way)()
    (bond,) = bonds
    assert bond.said[-1] == 'goodbye'
    assert not robot.node.has_parameter('/bond_disable_heartbeat_timeout')
    wait_for(lambda: not bond_topics(robot), 20, 'the end of both')
    assert bond.is_shutdown and bond.connect_timer.finished.is_set()


def test_every_activation_has_a_bond_of_its_own(robot: Robot, bonds: list[Bond]) -> None:
    robot.node.trigger_configure()
    for _ in range(3):
        robot.node.trigger_activate()
        robot.node.trigger_deactivate()
    assert [bond.said[-1] for bond in bonds] == ['goodbye'] * 3


def test_a_manager_that_falls_silent_is_logged_but_not_one_that_never_was(
    robot: Robot, bonds: list[Bond], capfd: pytest.CaptureFixture[str]
) -> None:
    robot.node.bring_up()
    bonds[0].on_broken()
    assert 'bond' not in capfd.readouterr().err
    bonds[0].on_formed()
    bonds[0].on_broken()
    assert 'the bond with the lifecycle manager is broken' in capfd.readouterr().err
    robot.node.trigger_deactivate()
    assert 'broken' not in capfd.readouterr().err


def test_without_bondpy_or_with_that_of_ros_1_a_node_is_active_without_a_bond(
    robot: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'bondpy', None)
    assert robot.node.bring_up()
    assert bond_topics(robot) == []
