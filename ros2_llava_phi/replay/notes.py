"""Notes about a recording that its figures should be read with."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from ros2_llava_phi.bags.clock import was_set_back
from ros2_llava_phi.bags.recorded_frame import RecordedFrame
from ros2_llava_phi.bags.recording import Recording

from .questions import AskedQuestion


class RecordingNotes(BaseModel):
    """
    A recording, and what there is to know about it before its figures are believed.

    frames: of each camera, as far as readable.
    notes: sentences: what was lost, clocks that jump, questions that found no frame.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    frames: dict[str, int]
    seconds: float
    notes: tuple[str, ...]


class NoteTaker:
    """Watches frames and questions go by, and sums up what was odd."""

    def __init__(self, recording: Recording, cameras: Mapping[str, str]) -> None:
        """Watch these cameras of a recording, given as name and topic."""
        self.name = recording.name
        self._recording, self._cameras = recording, cameras
        self.frames: Counter[str] = Counter()
        self._newest: dict[str, int] = {}
        self._set_back: Counter[str] = Counter()
        self._unstamped: Counter[str] = Counter()
        self._asked: Counter[int] = Counter()
        self._seconds = 0.0
        # Frames are decoded later, and then find out.
        self._flaws: dict[str, list[list[str]]] = {}

    def see(self, frame: RecordedFrame, due: Sequence[int]) -> None:
        """Take note of a frame, and the indices of the questions due for it."""
        camera, stamp_ns = frame.camera, frame.stamp_ns
        self.frames[camera] += 1
        self._asked.update(due)
        self._flaws.setdefault(camera, []).append(frame.flaws)
        self._seconds = max(self._seconds, frame.at_s)
        if not stamp_ns:
            self._unstamped[camera] += 1
            return
        self._set_back[camera] += was_set_back(stamp_ns, self._newest.get(camera, 0))
        self._newest[camera] = stamp_ns

    def notes(self, questions: Sequence[AskedQuestion]) -> RecordingNotes:
        """Return what there is to say, once all frames were seen."""
        notes = [f'Not all of it can be read: {each}.' for each in self._recording.losses]
        for camera, topic in self._cameras.items():
            if not self.frames[camera]:
                notes.append(f'There is no frame of {camera} ({topic}).')
            if self._set_back[camera]:
                notes.append(
                    f'The clock of {camera} jumps back {self._set_back[camera]} times; the order '
                    'of recording counts.'
                )
            if self._unstamped[camera]:
                notes.append(
                    f'{self._unstamped[camera]} of {self.frames[camera]} frames of {camera} have '
                    'a stamp of zero; the time of recording counts.'
                )
            if flawed := sum(map(bool, self._flaws.get(camera, ()))):
                notes.append(
                    f'{flawed} frames of {camera} have extraneous bytes, as webcams write them; '
                    'they lost nothing.'
                )
        for index, question in enumerate(questions):
            if not self._asked[index]:
                notes.append(f'Question {index + 1} ({question.question}) fits no frame.')
        return RecordingNotes(
            name=self._recording.name,
            frames={camera: self.frames[camera] for camera in self._cameras},
            seconds=self._seconds,
            notes=tuple(notes),
        )
