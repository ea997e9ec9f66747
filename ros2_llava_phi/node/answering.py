"""From a ticket to its answer: pick the frame, look at it, ask."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from std_msgs.msg import Header

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.assistant.view import View
from ros2_llava_phi.errors import FrameError, OutOfTimeError, QuestionError
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb

from .cameras import Camera, CapturedFrame
from .messages import NS, answer_message
from .refusal import Reason, RefusalError
from .ticket import Ticket

# A camera that has not delivered for this long is worth a word.
SILENT_NS = NS


@dataclass(frozen=True)
class _Looked:
    """A view, and the message it was made of."""

    captured: CapturedFrame
    view: View


class Answering:
    """Answer tickets with an assistant; for the worker's thread only."""

    def __init__(
        self, assistant: Assistant, cameras: Mapping[str, Camera], now_ns: Callable[[], int]
    ) -> None:
        """Take over the assistant; `now_ns` is the node's clock."""
        self._assistant = assistant
        self._cameras = cameras
        self._now_ns = now_ns
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
                view, ticket.asked.question, lambda: ticket.closed or ticket.overdue
            )
        except FrameError as error:
            raise RefusalError(Reason.BAD_FRAME, str(error)) from error
        except QuestionError as error:
            raise RefusalError(Reason.INVALID_QUESTION, str(error)) from error
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
                Reason.NO_FRAME,
                f'there is no frame of the camera {camera.name}: {camera.why_silent()}',
            )
        now_ns = self._now_ns()
        age_ns = captured.age_ns(now_ns)
        if age_ns > ticket.asked.max_age_ns:
            silent = now_ns - captured.received_ns > max(ticket.asked.max_age_ns, SILENT_NS)
            raise RefusalError(
                Reason.STALE_FRAME,
                f'the newest frame of the camera {camera.name} is {age_ns / NS:.3f} s old by the '
                f"node's clock; at most {ticket.asked.max_age_ns / NS:g} s are accepted"
                + (f'; {camera.why_silent()}' if silent else ''),
            )
        if captured.stamp_ns < ticket.asked.oldest_stamp_ns:
            seconds, nanoseconds = divmod(captured.stamp_ns, NS)
            raise RefusalError(
                Reason.STALE_FRAME,
                f'the newest frame of the camera {camera.name} has the stamp '
                f'{seconds}.{nanoseconds:09d}, which is before the oldest one accepted',
            )
        return captured, age_ns

    def _look_at(self, captured: CapturedFrame) -> View:
        """Return the view of a camera's frame: the one there is, or a new one in its place."""
        if self._looked is None or self._looked.captured is not captured:
            self._looked = _Looked(captured, self._view(captured.decode))
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
        view = self._assistant.look(frame)
        view.timings = replace(view.timings, encode=view.timings.encode + decoding)
        return view
