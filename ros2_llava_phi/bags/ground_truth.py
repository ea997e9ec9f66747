"""What is true of each frame of a recording: a JSON file beside it."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError, model_validator

from ros2_llava_phi.errors import DataError, counted
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.files.settings import StrictSettings, first_problem

# The answers to some questions, by the question's text; None where nobody can say.
Answers = Mapping[str, str | None]


class _Frame(StrictSettings):
    camera: str
    stamp_ns: int
    answers: list[str | None]


class _File(StrictSettings):
    questions: list[str]
    frames: list[_Frame]

    @model_validator(mode='after')
    def _answers_fit(self) -> '_File':
        for frame in self.frames:
            if len(frame.answers) != len(self.questions):
                raise ValueError(
                    f'the frame of {frame.camera} at {frame.stamp_ns} ns has '
                    f'{counted(len(frame.answers), "answer")} to '
                    f'{counted(len(self.questions), "question")}'
                )
        return self


class GroundTruth:
    """The right answers to the same questions about each frame of a recording."""

    def __init__(self, frames: Mapping[tuple[str, int], Answers]) -> None:
        """Take the answers by camera and stamp in nanoseconds."""
        self._frames = frames

    def answer(self, camera: str, stamp_ns: int, question: str) -> str:
        """Return the right answer; empty where nobody can say."""
        return self._frames.get((camera, stamp_ns), {}).get(question) or ''

    def answers(self, question: str) -> list[str]:
        """Return the different right answers to a question, about whatever frame."""
        found = (answers.get(question) for answers in self._frames.values())
        return list(dict.fromkeys(filter(None, found)))


def write_ground_truth(path: Path, frames: Mapping[tuple[str, int], Answers]) -> None:
    """
    Write the answers by camera and stamp in nanoseconds; every frame has the same questions.

    Raises DataError if the file cannot be written; it is as it was before, then.
    """
    questions = list(next(iter(frames.values()), {}))
    rows = [
        _Frame(camera=camera, stamp_ns=stamp_ns, answers=[answers[each] for each in questions])
        for (camera, stamp_ns), answers in frames.items()
    ]
    content = _File(questions=questions, frames=rows).model_dump_json() + '\n'
    write_atomically(path, content, DataError)


def read_ground_truth(path: Path) -> GroundTruth:
    """Read the file beside a recording; raises DataError if it does not hold one."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f'there is no ground-truth file {path}') from error
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise DataError(f'the ground-truth file {path} cannot be read: {reason}') from error
    try:
        file = _File.model_validate_json(content)
    except ValidationError as error:
        raise DataError(f'{path} is no ground-truth file: {first_problem(error)}') from error
    return GroundTruth(
        {
            (each.camera, each.stamp_ns): dict(zip(file.questions, each.answers, strict=True))
            for each in file.frames
        }
    )
