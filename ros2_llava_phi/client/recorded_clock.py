"""The recording's time on /clock: told by us, or by whoever plays the recording."""

import time
from typing import Protocol

from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from ros2_llava_phi.bags.clock import CLOCK_PERIOD_S, Pace
from ros2_llava_phi.errors import NoResponseError

# Longest wait for /clock to move.
CLOCK_PATIENCE_S = 60.0


class RecordedClock(Protocol):
    """The time of the recordings that are played, one after another."""

    def begin(self) -> None:
        """Begin another recording."""

    def wait_for(self, time_ns: int) -> None:
        """Return when that time has come."""

    def idle(self) -> None:
        """Let a moment pass."""


class OwnClock:
    """Time that we make pass, at a rate."""

    def __init__(self, node: Node, rate: float) -> None:
        """Publish on /clock from that node."""
        self._publisher: Publisher = node.create_publisher(Clock, '/clock', QoSProfile(depth=1))
        self._rate = rate
        self.begin()

    def begin(self) -> None:
        """Begin another recording."""
        self._pace = Pace(self._tell_time, self._rate)

    def wait_for(self, time_ns: int) -> None:
        """Return when that time has come."""
        self._pace.wait_for(time_ns)

    def idle(self) -> None:
        """Let a moment pass."""
        self._pace.idle()

    def _tell_time(self, time_ns: int) -> None:
        self._publisher.publish(Clock(clock=to_time(time_ns)))


class OthersClock:
    """Time that somebody else makes pass."""

    def __init__(self, node: Node) -> None:
        """Listen to /clock with that node, which nobody else may spin."""
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._now_ns = -1
        quality = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(Clock, '/clock', self._hear, quality)

    def begin(self) -> None:
        """Begin another recording, which may be an earlier one."""
        self._now_ns = -1

    def wait_for(self, time_ns: int) -> None:
        """Return when that time has come; raises NoResponseError if the clock stands still."""
        heard_ns, deadline = self._now_ns, time.monotonic() + CLOCK_PATIENCE_S
        while self._now_ns < time_ns:
            self._executor.spin_once(timeout_sec=0.1)
            if self._now_ns != heard_ns:
                heard_ns, deadline = self._now_ns, time.monotonic() + CLOCK_PATIENCE_S
            elif time.monotonic() > deadline:
                raise NoResponseError(
                    f'/clock stands still for {CLOCK_PATIENCE_S:g} s; play the recording: '
                    '`ros2 bag play BAG --clock`'
                )

    def idle(self) -> None:
        """Let a moment pass."""
        time.sleep(CLOCK_PERIOD_S)

    def _hear(self, clock: Clock) -> None:
        self._now_ns = clock.clock.sec * 10**9 + clock.clock.nanosec


def to_time(time_ns: int) -> Time:
    """Return nanoseconds as a message."""
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return Time(sec=seconds, nanosec=nanoseconds)
