"""The one thread that works for all who ask, and the queue before it."""

import threading
from collections import deque
from collections.abc import Callable

from .refusal import Reason, RefusalError
from .ticket import Ticket


class Worker:
    """
    Serve tickets one after another in a thread of its own.

    The thread is the only one that uses the model. The queue is bounded, and every ticket put in
    gets its one response, whatever happens.
    """

    def __init__(self, serve: Callable[[Ticket], None], queue_length: int) -> None:
        """Start the thread; `serve` gives a ticket its response and does not raise."""
        self._serve = serve
        self._queue_length = queue_length
        self._waiting: deque[Ticket] = deque()
        self._serving: Ticket | None = None
        self._stopping: RefusalError | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='vqa_worker')
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Return how many tickets wait."""
        return len(self._waiting)

    def put(self, ticket: Ticket) -> None:
        """Add a ticket to the queue; raises RefusalError if it is full, or the worker stopped."""
        with self._changed:
            if self._stopping is not None:
                raise self._stopping
            if len(self._waiting) >= self._queue_length:
                raise RefusalError(
                    Reason.QUEUE_FULL,
                    f'{self._queue_length} questions are waiting already; ask again later',
                )
            self._waiting.append(ticket)
            self._changed.notify()

    def open_tickets(self) -> list[Ticket]:
        """Return the tickets without a response: the one being served, and those waiting."""
        with self._changed:
            tickets = [*([self._serving] if self._serving else []), *self._waiting]
        return [ticket for ticket in tickets if not ticket.closed]

    def drop_overdue(self) -> bool:
        """Refuse what ran out of time; return whether tickets without a response are left."""
        for ticket in self.open_tickets():
            if ticket.hopeless:
                ticket.refuse(ticket.time_out())
        self._drop_closed()
        return bool(self.open_tickets())

    def stop(self, refusal: RefusalError) -> None:
        """
        Refuse every ticket, also the one being served, and all that come from now on.

        Returns when the thread has ended, which is after the step that the model is at.
        """
        with self._changed:
            self._stopping = refusal
            self._changed.notify()
        for ticket in self.open_tickets():
            ticket.refuse(refusal)
        self._drop_closed()
        self._thread.join()

    def _drop_closed(self) -> None:
        with self._changed:
            self._waiting = deque(ticket for ticket in self._waiting if not ticket.closed)

    def _run(self) -> None:
        while (ticket := self._next()) is not None:
            if not ticket.closed:
                self._serve(ticket)

    def _next(self) -> Ticket | None:
        with self._changed:
            self._serving = None
            self._changed.wait_for(lambda: self._waiting or self._stopping is not None)
            if self._stopping is not None:
                return None
            self._serving = self._waiting.popleft()
            return self._serving
