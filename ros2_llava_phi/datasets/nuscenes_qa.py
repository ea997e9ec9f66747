r"""
NuScenes-QA (Qian et al., arXiv 2305.14836): short answers about nuScenes' key frames.

    {"questions": [{"sample_token": "...", "question": "...", "answer": "no", "num_hop": 0,
                    "template_type": "exist"}]}

Which pictures a sample has, and which scene it is of, say nuScenes' own tables.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from ros2_llava_phi.assistant.question import SHORT_ANSWER
from ros2_llava_phi.errors import DataError
from ros2_llava_phi.model.prompt import Turn

from .dialogue import Dialogue, Sample, samples
from .nuscenes import (
    CAMERAS,
    about_cameras,
    below_nuscenes,
    find_tables,
    pictures_of_samples,
    scenes_of_samples,
)
from .records import (
    Record,
    RecordError,
    Records,
    Text,
    converted,
    kind_of,
    list_records,
    read_json,
)


def _as_text(answer: Any) -> Any:
    return str(answer) if type(answer) is int else answer


class NuScenesQuestion(Record):
    """A question of NuScenes-QA; a number that answers it is a text, too."""

    sample_token: Text
    question: Text
    answer: Annotated[Text, BeforeValidator(_as_text)]
    template_type: Text | None = None
    num_hop: int | None = None


def nuscenes_questions(path: Path) -> Records[NuScenesQuestion]:
    """Yield a file's questions; raises DataError if it is missing, damaged or something else."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f'{path} holds {kind_of(content)}; NuScenes-QA has an object: questions')
    records = list_records(content.get('questions'), f"{path}, field 'questions'")
    yield from converted(records, lambda _, record: NuScenesQuestion.model_validate(record))


def read_nuscenes_qa(path: Path, pictures: Path) -> Iterator[Sample]:
    """
    Read a file of NuScenes-QA; a question is a conversation, about the six cameras.

    Answers are single words, and the requests say so in LLaVA-1.5's words.

    pictures: nuScenes' folder, with samples/ and tables such as v1.0-trainval/ in it. scene:
    nuScenes' scene token. kind: template_type.

    Raises DataError if the file or a table is missing or damaged.
    """
    scenes: dict[str, str] = {}
    files: dict[str, dict[str, str]] = {}
    for table in find_tables(pictures, 'sample.json'):
        scenes |= scenes_of_samples(table)
    for table in find_tables(pictures, 'sample_data.json'):
        files |= pictures_of_samples(table, CAMERAS)

    def convert(place: str, asked: NuScenesQuestion) -> Dialogue:
        if asked.sample_token not in scenes:
            raise RecordError("sample_token: nuScenes' tables do not have it", asked.sample_token)
        names = files.get(asked.sample_token, {})
        cameras = [camera for camera in CAMERAS if camera in names]
        if not cameras:
            raise RecordError('sample_token: it has no pictures', asked.sample_token)
        request = about_cameras(cameras, f'{asked.question}\n{SHORT_ANSWER}')
        return Dialogue(
            source=path.stem,
            record=place,
            scene=scenes[asked.sample_token],
            pictures=tuple(below_nuscenes(pictures, names[camera]) for camera in cameras),
            turns=(Turn(request, asked.answer),),
            kind=asked.template_type or '',
        )

    return samples(path.stem, nuscenes_questions(path), convert)
