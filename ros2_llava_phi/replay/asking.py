"""What is asked about each frame of a recording, with what is true: offline and live alike."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.bags.bag_reader import picture
from ros2_llava_phi.bags.frames import RecordedFrame, recorded_frames
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.errors import BagError, QuestionsFileError

from .questions import QuestionsFile
from .record import Record, kind_name
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


def find_cameras(
    questions: QuestionsFile, topics: Mapping[str, str], path: Path
) -> tuple[dict[str, str], list[str]]:
    """
    Return the topic of each camera that is asked about, and the camera of each question.

    topics: those of the recording that carry pictures.

    Raises QuestionsFileError for a camera that the recording does not have.
    """
    asked_of: list[str] = []
    cameras: dict[str, str] = {}
    for number, question in enumerate(questions.questions, 1):
        name = question.camera or next(iter(questions.cameras), '')
        topic = _find_topic(name, questions.cameras, topics)
        if topic is None:
            wanted = f'no camera {name!r}' if name else 'more than one camera'
            if name in questions.cameras:
                wanted += f' (topic {questions.cameras[name]})'
            raise QuestionsFileError(
                f'{path} has {wanted} for question {number}; it has pictures on '
                f'{", ".join(topics)}'
            )
        name = name or topic
        cameras[name] = topic
        asked_of.append(name)
    return cameras, asked_of


def _find_topic(name: str, cameras: Mapping[str, str], topics: Mapping[str, str]) -> str | None:
    if not name:
        return next(iter(topics)) if len(topics) == 1 else None
    name = cameras.get(name, name)
    if name in topics:
        return name
    beginning = [topic for topic in topics if topic.strip('/').split('/')[0] == name]
    return beginning[0] if len(beginning) == 1 else None
