"""Notes about a recording that its figures should be read with."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from ros2_llava_phi.bags.recorded_frame import RecordedFrame, count_by_reason
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.errors import counted

from .questions import AskedQuestion
from .record import Record

BAD_FRAME = 'BAD_FRAME'
# With these, a frame was decoded.
SEEN = ('', 'INVALID_QUESTION')


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
        self._unstamped: Counter[str] = Counter()
        self._asked: Counter[int] = Counter()
        self._seconds = 0.0
        # Frames are decoded later, and then find out.
        self._flaws: dict[str, list[list[str]]] = {}

    def see(self, frame: RecordedFrame, due: Sequence[int]) -> None:
        """Take note of a frame, and the indices of the questions due for it."""
        self.frames[frame.camera] += 1
        self._asked.update(due)
        self._flaws.setdefault(frame.camera, []).append(frame.flaws)
        self._seconds = max(self._seconds, frame.at_s)
        self._unstamped[frame.camera] += not frame.stamp_ns

    def notes(self, questions: Sequence[AskedQuestion]) -> RecordingNotes:
        """Return what there is to say, once all frames were seen."""
        notes = [f'Not all of it can be read: {each}.' for each in self._recording.losses]
        notes += self._recording.notes(self._cameras.values())
        for camera, topic in self._cameras.items():
            if not self.frames[camera]:
                notes.append(f'There is no frame of {camera} ({topic}).')
            if self._unstamped[camera]:
                notes.append(
                    f'{self._unstamped[camera]} of {counted(self.frames[camera], "frame")} of '
                    f'{camera} with a stamp of zero; the time of recording counts.'
                )
            if flawed := sum(map(bool, self._flaws.get(camera, ()))):
                notes.append(
                    f'{counted(flawed, "frame")} of {camera} with extraneous bytes, as webcams '
                    'write them; nothing is lost by that.'
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


def decoding_notes(records: Iterable[Record]) -> dict[str, list[str]]:
    """Return by recording, of each camera, how many frames cannot be decoded, and why."""
    notes: dict[str, list[str]] = {}
    for (recording, camera), frames in _frames_asked_about(records).items():
        reasons = [each for each in frames.values() if each]
        if reasons:
            notes.setdefault(recording, []).append(
                f'{len(reasons)} of the {len(frames)} frames of {camera} that were asked about '
                f'cannot be decoded: {count_by_reason(reasons)}.'
            )
    return notes


def blind_cameras(records: Iterable[Record]) -> list[str]:
    """Return of each camera of which no frame that was asked about can be decoded why not."""
    return [
        f'no frame of {camera} in {recording} can be decoded: {count_by_reason(frames.values())}'
        for (recording, camera), frames in _frames_asked_about(records).items()
        if all(frames.values())
    ]


def _frames_asked_about(records: Iterable[Record]) -> dict[tuple[str, str], dict[int, str]]:
    """Return, by recording and camera, why each frame cannot be decoded; empty if it can be."""
    cameras: dict[tuple[str, str], dict[int, str]] = {}
    for each in records:
        if each.error in SEEN or each.error == BAD_FRAME:
            frames = cameras.setdefault((each.recording, each.camera), {})
            frames[each.frame] = each.error_text if each.error == BAD_FRAME else ''
    return cameras
