"""
BDD-X (Kim et al., ECCV 2018): what a car does in stretches of a video, and why.

A CSV file with a row for each video: Input.Video, an address, then up to fifteen times
Answer.1start, Answer.1end (seconds), Answer.1action, Answer.1justification.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ros2_llava_phi.model.prompt import Turn

from .clips import about_frames, clip_pictures
from .dialogue import Dialogue, Sample, samples
from .records import RecordError, Records, csv_records

FIELDS = ('start', 'end', 'action', 'justification')
MOST_ANSWERS = 15
SUFFIXES = ('.mov', '.mp4', '.avi', '.mkv')
WHAT, WHY = 'What is the ego vehicle doing?', 'Why?'

Seconds = Annotated[float, Field(ge=0, le=3600)]


class _Answer(BaseModel):
    # Not strict: what a CSV file holds is text.
    model_config = ConfigDict(frozen=True)

    start: Seconds
    end: Seconds
    action: str
    justification: str


def read_bddx(path: Path, pictures: Path, frames: int) -> Iterator[Sample]:
    """
    Read BDD-X's CSV file; a stretch of a video is a conversation of two turns, what and why.

    pictures: the folder of the videos, in which frames/ is made for their pictures. frames: how
    many pictures to take of a stretch. scene: the video's name.

    Raises DataError if the file is missing, damaged, or lacks a column.
    """

    def convert(place: str, content: tuple[str, dict[str, str]]) -> Dialogue:
        address, fields = content
        answer = _Answer.model_validate(fields)
        if answer.end < answer.start:
            raise RecordError('end: it is before start', f'{answer.start:g} to {answer.end:g} s')
        video = _video(pictures, address)
        return Dialogue(
            source=path.stem,
            record=place,
            scene=video.stem,
            pictures=tuple(clip_pictures(video, pictures, answer.start, answer.end, frames)),
            turns=(
                Turn(about_frames(frames, WHAT), answer.action),
                Turn((WHY,), answer.justification),
            ),
        )

    return samples(path.stem, _stretches(path), convert)


def _stretches(path: Path) -> Records[tuple[str, dict[str, str]]]:
    needed = ('Input.Video', *(f'Answer.1{field}' for field in FIELDS))
    for place, row in csv_records(path, needed):
        if isinstance(row, RecordError):
            yield place, row
            continue
        for number in range(1, MOST_ANSWERS + 1):
            fields = {field: row.get(f'Answer.{number}{field}', '') for field in FIELDS}
            if any(fields.values()):
                yield f'{place}, Answer.{number}', (row['Input.Video'], fields)


def _video(folder: Path, address: str) -> Path:
    name = PurePosixPath(address).stem
    if not name:
        raise RecordError('Input.Video: it is empty')
    paths = [folder / f'{name}{suffix}' for suffix in SUFFIXES]
    for path in paths:
        # Not Path.is_file, which raises for a name that is too long.
        if os.path.isfile(path):  # noqa: PTH113
            return path
    raise RecordError(f'Input.Video: there is no such file ({", ".join(SUFFIXES)})', name)
