"""What is true of each frame of the recording."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError


class GroundTruthError(ValueError):
    """A ground-truth file that cannot be read; the text says why."""


class _Frame(BaseModel):
    model_config = ConfigDict(extra='forbid')

    camera: str
    stamp_ns: int
    answers: dict[str, str | None]


class _File(BaseModel):
    frames: list[_Frame]


class GroundTruth:
    """The right answers to some questions about each frame of a recording."""

    def __init__(self, answers: Mapping[tuple[str, int], Mapping[str, str | None]]) -> None:
        """Take for each camera and stamp (ns) the answer to each question; None: not scored."""
        self._answers = answers

    def answer(self, camera: str, stamp_ns: int, question: str) -> str:
        """Return the right answer; empty where nobody can say."""
        return self._answers.get((camera, stamp_ns), {}).get(question) or ''


def read_ground_truth(path: Path) -> GroundTruth:
    """Read the file beside a recording; raises GroundTruthError if it does not hold one."""
    try:
        file = _File.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise GroundTruthError(f'{path} is no ground-truth file: {reason}') from error
    return GroundTruth({(each.camera, each.stamp_ns): each.answers for each in file.frames})
