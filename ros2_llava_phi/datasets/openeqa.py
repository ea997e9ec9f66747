"""
OpenEQA (Majumdar et al., CVPR 2024): questions about walks through ScanNet and HM3D scenes.

    [{"question": "...", "answer": "...", "category": "object recognition",
      "question_id": "...", "episode_history": "hm3d-v0/000-hm3d-BFRyYbPCCPE"}]
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ros2_llava_phi.model.prompt import Turn

from .clips import about_frames, evenly
from .dialogue import Dialogue, Sample, samples
from .records import (
    PathWithin,
    Record,
    RecordError,
    Records,
    Text,
    converted,
    json_records,
)

# hm3d-v0/000-hm3d-BFRyYbPCCPE, scannet-v0/002-scannet-scene0709_00: a walk's number, and the
# place; ScanNet's last two digits tell scans of one place apart.
EPISODE = re.compile(r'.*/\d+-(?:hm3d|scannet)-(.+?)(?:_\d\d)?')


class OpenEqaQuestion(Record):
    """A question of OpenEQA; only the benchmark needs the id and the category."""

    question: Text
    answer: Text = ''
    episode_history: PathWithin
    question_id: Text | None = None
    category: Text | None = None


def openeqa_questions(path: Path) -> Records[OpenEqaQuestion]:
    """Yield a file's questions; raises DataError if it is missing, damaged, or holds no list."""
    return converted(json_records(path), lambda _, record: OpenEqaQuestion.model_validate(record))


def read_openeqa(path: Path, pictures: Path, frames: int) -> Iterator[Sample]:
    """
    Read a file of OpenEQA; a question is a conversation.

    pictures: the folder of the episode histories, with hm3d-v0/ and scannet-v0/ in it. frames:
    how many pictures of a history to take. scene: the place, which several histories may show.
    kind: the category.

    Raises DataError if the file is missing, damaged, or holds no list.
    """

    @cache
    def history(name: str) -> list[Path]:
        folder = pictures / name
        return sorted(folder.glob('*-rgb.png')) or sorted(folder.glob('*.jpg'))

    def convert(place: str, asked: OpenEqaQuestion) -> Dialogue:
        try:
            seen = evenly(history(asked.episode_history), frames)
        except (OSError, ValueError) as error:
            raise RecordError('episode_history: it is no path', str(error)) from error
        if not seen:
            raise RecordError(
                'episode_history: there are no pictures *-rgb.png or *.jpg',
                asked.episode_history,
            )
        shown = EPISODE.fullmatch(asked.episode_history)
        return Dialogue(
            source=path.stem,
            record=place,
            scene=shown[1] if shown else asked.episode_history,
            pictures=tuple(seen),
            turns=(Turn(about_frames(len(seen), asked.question), asked.answer),),
            kind=asked.category or '',
        )

    return samples(path.stem, openeqa_questions(path), convert)
