r"""
DriveLM-nuScenes (Sima et al., arXiv 2312.14150): a graph of questions about six cameras.

    {scene: {"key_frames": {frame: {"image_paths": {"CAM_FRONT": "../nuscenes/samples/...", ...},
                                    "QA": {"perception": [{"Q": "...", "A": "..."}], ...}}}}}

Objects are named by c-tags, <c1,CAM_BACK,1088.3,497.5>: a number, a camera, and the middle of the
object in that camera's picture of 1600 x 900 pixels. They stay in the text as they are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from ros2_llava_phi.errors import DataError
from ros2_llava_phi.model.prompt import Turn

from .conversation import Conversation, Sample, samples
from .nuscenes import CAMERAS, about_cameras, below_nuscenes
from .records import Record, RecordError, Records, kind_of, read_json

STAGES = ('perception', 'prediction', 'planning', 'behavior')


class _Frame(Record):
    image_paths: dict[str, str]


class _Question(Record):
    question: str = Field(alias='Q')
    answer: str = Field(alias='A')


def read_drivelm(path: Path, pictures: Path) -> Iterator[Sample]:
    """
    Read a file of DriveLM-nuScenes; a question is a conversation, about all of its cameras.

    pictures: nuScenes' folder, the one that has samples/ in it. record: the id that DriveLM's
    evaluation has, scene_frame_number. scene: nuScenes' scene token. kind: the stage.

    Raises DataError if the file is missing, damaged, or no object of scenes.
    """

    def convert(place: str, content: Any) -> Conversation:
        scene, stage, frame, question = content
        paths = _Frame.model_validate(frame).image_paths
        asked = _Question.model_validate(question)
        cameras = [name for name in CAMERAS if name in paths]
        cameras += [name for name in paths if name not in CAMERAS]
        if not cameras:
            raise RecordError('image_paths: it names no camera')
        return Conversation(
            source=path.stem,
            record=place,
            scene=scene,
            pictures=tuple(below_nuscenes(pictures, paths[name]) for name in cameras),
            turns=(Turn(about_cameras(cameras, asked.question), asked.answer),),
            kind=stage,
        )

    return samples(path.stem, _questions(path), convert)


def _questions(path: Path) -> Records:
    scenes = read_json(path)
    if not isinstance(scenes, dict):
        raise DataError(f'{path} holds {kind_of(scenes)}; DriveLM is an object of scenes')
    for scene, content in scenes.items():
        frames = content.get('key_frames') if isinstance(content, dict) else None
        if not isinstance(frames, dict):
            yield scene, RecordError('key_frames: it must be an object of frames')
            continue
        for token, frame in frames.items():
            asked = frame.get('QA') if isinstance(frame, dict) else None
            if not isinstance(asked, dict):
                yield f'{scene}_{token}', RecordError('QA: it must be an object of stages')
                continue
            for number, (stage, question) in enumerate(_of_frame(asked)):
                yield f'{scene}_{token}_{number}', (scene, stage, frame, question)


def _of_frame(asked: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for stage in STAGES:
        questions = asked.get(stage, [])
        # What is no list is a record of its own, and refused as one.
        for question in questions if isinstance(questions, list) else [questions]:
            yield stage, question
