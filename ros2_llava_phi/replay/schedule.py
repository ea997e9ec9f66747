"""When a question is asked: decide, frame by frame, which questions a frame is asked."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.bags.frame_choice import FrameChoice
from ros2_llava_phi.bags.frames import RecordedFrame

from .questions import When

Picture = Callable[[], NDArray[np.uint8] | None]


class Schedule:
    """The questions of a file over the frames of one recording, in the order of recording."""

    def __init__(self, whens: Sequence[When], cameras: Sequence[str]) -> None:
        """Take when each question is asked, and of which camera."""
        self._cameras = cameras
        self._decisions = [_Decision(when) for when in whens]

    def due(self, frame: RecordedFrame, picture: Picture) -> list[int]:
        """
        Return the indices of the questions that a frame is asked.

        picture: decodes the frame, or returns None if it cannot be; only called where the
        picture decides.
        """
        return [
            index
            for index, (camera, decision) in enumerate(
                zip(self._cameras, self._decisions, strict=True)
            )
            if camera == frame.camera and decision.is_due(frame, picture)
        ]


class _Decision:
    """Whether one question is due, which may depend on the frames before."""

    def __init__(self, when: When) -> None:
        self._when = when
        self._waiting = sorted(when.at_s)
        self._choice = FrameChoice(
            rate_hz=1 / when.every_s if when.every_s else None, change=when.on_change or 0.0
        )

    def is_due(self, frame: RecordedFrame, picture: Picture) -> bool:
        when = self._when
        if frame.at_s < when.from_s or (when.to_s is not None and frame.at_s >= when.to_s):
            return False
        if when.at_stamps_ns:
            return frame.message.stamp_ns in when.at_stamps_ns
        if when.at_s:
            passed = [at_s for at_s in self._waiting if at_s <= frame.at_s]
            self._waiting = self._waiting[len(passed) :]
            return bool(passed)
        if when.on_change:
            shown = picture()
            return shown is not None and self._choice.is_new(shown)
        return self._choice.is_due(frame.message.recorded_ns)
