"""The node's clock beside a steady one: how long ago something was, and whether it still goes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# How long /clock may stand still, by the machine's clock, and count as paused, in seconds.
PAUSE_S = 5.0
NO_CLOCK = 'use_sim_time is true, but nobody has published a time on /clock yet'


@dataclass(frozen=True)
class Moment:
    """A moment by the node's clock and by the machine's steady one, in nanoseconds."""

    node_ns: int
    steady_ns: int


class NodeClock:
    """The clock that stamps and ages are by: the system's, or a simulation's."""

    def __init__(self, clock: Any, steady_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """
        Take the clock of an rclpy node.

        steady_ns: the machine's steady clock.
        """
        self._clock, self._steady_ns = clock, steady_ns
        self._moved = self.now()

    @property
    def is_simulated(self) -> bool:
        """Return whether it goes by /clock."""
        return bool(self._clock.ros_time_is_active)

    @property
    def says_nothing(self) -> bool:
        """Return whether there is no time yet: ages would be zero, and no time-out would pass."""
        return self.is_simulated and self.now_ns() == 0

    def now_ns(self) -> int:
        """Return its time."""
        return int(self._clock.now().nanoseconds)

    def now(self) -> Moment:
        """Return this moment."""
        return Moment(self.now_ns(), self._steady_ns())

    def since_ns(self, moment: Moment) -> int:
        """
        Return how long ago a moment was.

        The system's clock may be corrected meanwhile; it is never less than what passed by the
        steady one. A simulation passes faster or slower than that, and pauses.
        """
        now = self.now()
        steady_ns = 0 if self.is_simulated else now.steady_ns - moment.steady_ns
        return max(now.node_ns - moment.node_ns, steady_ns, 0)

    def fault(self) -> str:
        """Say what is wrong with it, if anything; it must be asked now and then to know that."""
        now = self.now()
        if now.node_ns != self._moved.node_ns:
            self._moved = now
        if self.says_nothing:
            return NO_CLOCK
        standing_s = (now.steady_ns - self._moved.steady_ns) / 1e9
        if self.is_simulated and standing_s > PAUSE_S:
            return (
                f'/clock has stood still for {standing_s:.0f} s: frames do not grow old, and no '
                'time-out passes, until it goes on'
            )
        return ''
