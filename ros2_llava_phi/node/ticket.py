"""One request on its way to exactly one response."""

import threading
import time
from collections.abc import Callable
from typing import Any

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.bags.clock import was_set_back

from .messages import AskedFor, answered, refused
from .refusal import Reason, RefusalError


class Ticket:
    """
    A request that was accepted, and the one response it gets.

    asked: what is asked for.
    under_way: whether the model is at work on it.
    """

    def __init__(
        self, asked: AskedFor, now_ns: Callable[[], int], respond: Callable[[Any], None]
    ) -> None:
        """Start the time-out now; `respond` is called once, from any thread, with the response."""
        self.asked = asked
        self.under_way = False
        self._now_ns = now_ns
        self._respond = respond
        self._received_ns = now_ns()
        self._received = time.perf_counter()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Return whether the response was given."""
        return self._closed

    @property
    def waited(self) -> float:
        """Return the seconds since the request came."""
        return time.perf_counter() - self._received

    @property
    def overdue(self) -> bool:
        """Return whether the time-out passed, or the clock was set back to before the request."""
        now_ns = self._now_ns()
        late = now_ns - self._received_ns >= self.asked.timeout_ns
        return late or was_set_back(now_ns, self._received_ns)

    @property
    def hopeless(self) -> bool:
        """Return whether the time-out passed and nothing can come any more, not even in part."""
        return self.overdue and not (self.under_way and self.asked.question.kind == Kind.FREE_TEXT)

    def answer(self, answer: Any) -> bool:
        """Respond with an Answer message; return False if there was a response already."""
        return self._close(answered(answer))

    def refuse(self, refusal: RefusalError) -> bool:
        """Respond with a refusal; return False if there was a response already."""
        return self._close(refused(refusal.reason, refusal.sentence, self.asked.question.text))

    def time_out(self) -> RefusalError:
        """Return the refusal for a time-out that passed."""
        limit = self.asked.timeout_ns / 1e9
        doing = 'the model was still at work' if self.under_way else 'its turn had not come'
        return RefusalError(
            Reason.TIMEOUT, f'no answer within the time-out of {limit:g} s: {doing}'
        )

    def _close(self, response: Any) -> bool:
        with self._lock:
            if self._closed:
                return False
            self._closed = True
        self._respond(response)
        return True
