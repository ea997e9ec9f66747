"""How a recording's time passes while somebody is told."""

import time
from collections.abc import Callable

from ros2_llava_phi.bags.clock import was_set_back

# The time is told so often while nothing else happens.
CLOCK_PERIOD_S = 0.01


class Pace:
    """Time that begins with the first moment that is waited for."""

    def __init__(self, tell_time: Callable[[int], None], rate: float) -> None:
        """
        Take who is told the time in nanoseconds.

        rate: 2 passes twice as fast as the machine's steady clock.
        """
        self._tell_time, self._rate = tell_time, rate
        self._start_ns = 0
        self._started = 0.0
        self._awaited_ns: int | None = None

    def now_ns(self) -> int:
        """Return the recording's time."""
        passed = time.monotonic() - self._started
        return self._start_ns + round(passed * self._rate * 1e9)

    def begins_anew(self, time_ns: int) -> bool:
        """Return whether time begins with that moment: the first, or one of a clock set back."""
        return self._awaited_ns is None or was_set_back(time_ns, self._awaited_ns)

    def wait_for(self, time_ns: int) -> None:
        """
        Return when that time has come, and tell the time until then.

        Where it begins anew, this moment is its first. Whoever is merely late is told the time as
        it is: it never goes back for that.
        """
        if self.begins_anew(time_ns):
            self._start_ns, self._started = time_ns, time.monotonic()
        self._awaited_ns = time_ns
        while (left_ns := time_ns - self.now_ns()) > 0:
            self._tell_time(self.now_ns())
            time.sleep(min(CLOCK_PERIOD_S, left_ns / self._rate / 1e9))
        self._tell_time(max(time_ns, self.now_ns()))

    def idle(self) -> None:
        """Let a moment pass."""
        self.wait_for(self.now_ns() + round(CLOCK_PERIOD_S * self._rate * 1e9))
