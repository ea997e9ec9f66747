"""
How a request gets exactly one response.

A request that is accepted becomes a `Ticket`, which the `Worker` keeps until its turn comes. Then
`Answering` picks the frame, looks at it and asks. Whatever stands in the way is a `RefusalError`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llava_phi.srv import Ask
from std_msgs.msg import Header

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.assistant.view import View
from ros2_llava_phi.bags.clock import was_set_back
from ros2_llava_phi.bags.stamps import NS
from ros2_llava_phi.errors import FrameError, OutOfTimeError, QuestionError, counted
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb

from .cameras import Camera, CapturedFrame
from .messages import AskedFor, answer_message, answered, refused
from .node_clock import NodeClock

# A camera that has not delivered for this long is worth a word.
SILENT_NS = NS


class RefusalError(Exception):
    """
    The reason why a request gets no answer.

    code: one of the error codes of Ask.srv.
    sentence: what was wrong and what would be right, for a person.
    """

    def __init__(self, code: int, sentence: str) -> None:
        """Keep code and sentence."""
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


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
        return self._close(refused(refusal.code, refusal.sentence, self.asked.question.text))

    def time_out(self) -> RefusalError:
        """Return the refusal for a time-out that passed."""
        limit = self.asked.timeout_ns / 1e9
        doing = 'the model was still at work' if self.under_way else 'its turn had not come'
        return RefusalError(
            Ask.Response.TIMEOUT, f'no answer within the time-out of {limit:g} s: {doing}'
        )

    def _close(self, response: Any) -> bool:
        with self._lock:
            if self._closed:
                return False
            self._closed = True
        self._respond(response)
        return True


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
        self._thread = threading.Thread(target=self._run, name='vqa_worker', daemon=True)
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
                    Ask.Response.QUEUE_FULL,
                    'the queue is full: it holds '
                    f'{counted(self._queue_length, "question")} already; ask again later',
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

    def stop(self, refusal: RefusalError, patience: float | None = None) -> bool:
        """
        Refuse every ticket, also the one being served, and all that come from now on.

        Waits for the thread to end, which is after the step that the model is at, but at most
        `patience` seconds. Returns whether it has ended.
        """
        with self._changed:
            self._stopping = refusal
            self._changed.notify()
        for ticket in self.open_tickets():
            ticket.refuse(refusal)
        self._drop_closed()
        self._thread.join(patience)
        return not self._thread.is_alive()

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


@dataclass(frozen=True)
class _Looked:
    """A view, and the message it was made of."""

    captured: CapturedFrame
    view: View


class Answering:
    """Answer tickets with an assistant; for the worker's thread only."""

    def __init__(
        self, assistant: Assistant, cameras: Mapping[str, Camera], clock: NodeClock
    ) -> None:
        """Take over the assistant."""
        self._assistant = assistant
        self._cameras = cameras
        self._clock = clock
        # Only the last: each holds the memory of a full context.
        self._looked: _Looked | None = None

    def forget(self) -> None:
        """Forget the frame looked at."""
        self._looked = None

    def answer(self, ticket: Ticket) -> Any:
        """
        Return the Answer message to a ticket.

        Raises RefusalError where there is none.
        """
        waited = ticket.waited
        if ticket.overdue:
            raise ticket.time_out()
        try:
            view, header, age_ns = self._look(ticket)
            ticket.under_way = True
            answer = self._assistant.ask(
                view,
                ticket.asked.question,
                out_of_time=lambda: ticket.closed or ticket.overdue,
            )
        except FrameError as error:
            raise RefusalError(Ask.Response.BAD_FRAME, str(error)) from error
        except QuestionError as error:
            raise RefusalError(Ask.Response.INVALID_QUESTION, str(error)) from error
        except OutOfTimeError as error:
            raise ticket.time_out() from error
        if ticket.overdue and ticket.asked.question.kind != Kind.FREE_TEXT:
            raise ticket.time_out()
        return answer_message(answer, header, ticket.asked.camera, age_ns, waited)

    def _look(self, ticket: Ticket) -> tuple[View, Header, int]:
        """Return a view of what the ticket asks about, the frame's header, and its age."""
        if ticket.asked.picture is not None:
            return self._look_at_picture(ticket.asked.picture), ticket.asked.picture.header, 0
        captured, age_ns = self._pick(ticket)
        return self._look_at(captured), captured.message.header, age_ns

    def _pick(self, ticket: Ticket) -> tuple[CapturedFrame, int]:
        """Return the camera's newest frame and its age; raises RefusalError if it does not do."""
        camera = self._cameras[ticket.asked.camera]
        captured = camera.newest()
        if captured is None:
            raise RefusalError(
                Ask.Response.NO_FRAME,
                f'there is no frame of the camera {camera.name}: {camera.why_silent()}',
            )
        age_ns = captured.age_ns(self._clock)
        if age_ns > ticket.asked.max_age_ns:
            since_ns = self._clock.since_ns(captured.received)
            silent = since_ns > max(ticket.asked.max_age_ns, SILENT_NS)
            raise RefusalError(
                Ask.Response.STALE_FRAME,
                f'the newest frame of the camera {camera.name} is {age_ns / NS:.3f} s old by the '
                f"node's clock; at most {ticket.asked.max_age_ns / NS:g} s are accepted"
                + (f'; {camera.why_silent()}' if silent else ''),
            )
        if captured.shown_ns < ticket.asked.oldest_stamp_ns:
            seconds, nanoseconds = divmod(captured.shown_ns, NS)
            ahead = captured.shown_ns < captured.stamp_ns
            since = 'a stamp ahead of its receipt, and counts as of' if ahead else 'the stamp'
            raise RefusalError(
                Ask.Response.STALE_FRAME,
                f'the newest frame of the camera {camera.name} has {since} '
                f'{seconds}.{nanoseconds:09d}, which is before the oldest one accepted',
            )
        return captured, age_ns

    def _look_at(self, captured: CapturedFrame) -> View:
        """Return the view of a camera's frame: the one there is, or a new one in its place."""
        if self._looked is None or self._looked.captured is not captured:
            camera = self._cameras[captured.camera]
            self._looked = _Looked(captured, self._view(lambda: camera.decode(captured)))
        return self._looked.view

    def _look_at_picture(self, picture: Any) -> View:
        return self._view(
            lambda: Frame(compressed_to_rgb(picture), frame_id=picture.header.frame_id)
        )

    def _view(self, decode: Callable[[], Frame]) -> View:
        """Decode and look; the time of decoding counts as encoding."""
        start = time.perf_counter()
        frame = decode()
        decoding = time.perf_counter() - start
        # The old view is given up first: a big model has no memory for two.
        self.forget()
        return self._assistant.look(frame, decoding=decoding)
