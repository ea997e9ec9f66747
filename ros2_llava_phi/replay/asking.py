"""What is asked about each frame of a recording, with what is true: offline and live alike."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..assistant.frame import Frame
from .bag import BagError
from .bag_reader import picture
from .frames import RecordedFrame, find_cameras, recorded_frames
from .questions import QuestionsFile
from .record import Record, kind_name
from .recording import Recording
from .schedule import Schedule
from .truth import Truths


class Decoded:
    """A frame's picture, decoded when somebody asks for it, and only once."""

    def __init__(self, recorded: RecordedFrame) -> None:
        """Take the frame as it was recorded."""
        self._recorded = recorded

    @cached_property
    def frame(self) -> Frame | BagError:
        """Return the frame, or why its picture cannot be decoded."""
        message = self._recorded.message
        try:
            image = picture(message)
        except BagError as error:
            return error
        return Frame(image, message.stamp_ns, message.frame_id, self._recorded.camera)

    def image(self) -> NDArray[np.uint8] | None:
        """Return the picture, uint8 [height, width, 3], or None if it cannot be decoded."""
        return None if isinstance(self.frame, BagError) else self.frame.image


class Asking:
    """The questions of a file put to one recording."""

    def __init__(self, recording: Recording, questions: QuestionsFile) -> None:
        """Find the cameras and labels; raises errors with a sentence where there are none."""
        topics = recording.image_topics()
        self.cameras, self._camera_of = find_cameras(questions, topics, recording.path)
        self.recording, self.file, self.questions = recording, questions, questions.questions
        self._truths = Truths(questions, recording)

    def frames(self) -> Iterator[tuple[RecordedFrame, Decoded, list[int]]]:
        """Yield every frame of the cameras, with the indices of the questions due for it."""
        schedule = Schedule([each.when for each in self.questions], self._camera_of)
        for frame in recorded_frames(self.recording, self.cameras):
            decoded = Decoded(frame)
            yield frame, decoded, schedule.due(frame, decoded.image)

    def record(self, index: int, frame: RecordedFrame) -> Record:
        """Return the record of the question of that index about a frame, still without answer."""
        question = self.questions[index]
        return Record(
            recording=self.recording.name,
            camera=frame.camera,
            frame=frame.number,
            stamp_ns=frame.message.stamp_ns,
            at_s=frame.at_s,
            frame_id=frame.message.frame_id,
            entry=index + 1,
            question=question.question,
            kind=kind_name(question.kind),
            choices=question.choices,
            truth=self._truths.answers(index, frame),
        )
