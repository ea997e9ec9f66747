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

from .dialogue import Dialogue, Sample, samples
from .nuscenes import CAMERAS, about_cameras, below_nuscenes
from .records import Record, RecordError, Records, Text, converted, kind_of, read_json

STAGES = ('perception', 'prediction', 'planning', 'behavior')


class DriveLmQuestion(Record):
    """
    A question of DriveLM.

    image_paths: by camera, as the file has them: from a folder beside nuScenes'.
    answer: empty where the file is the challenge's, whose answers are secret.
    tags: for which figures of the challenge it counts; see benchmark/drivelm_scorer.py.
    """

    scene: Text
    stage: str
    image_paths: dict[Text, Text]
    question: Text = Field(alias='Q')
    answer: Text = Field('', alias='A')
    tags: list[int] | None = Field(None, alias='tag')


def drivelm_questions(path: Path) -> Records[DriveLmQuestion]:
    """
    Yield a file's questions, each under the id that DriveLM's evaluation has: scene_frame_number.

    Raises DataError if the file is missing, damaged, or no object of scenes.
    """

    def checked(place: str, content: Any) -> DriveLmQuestion:
        scene, stage, frame, asked = content
        if not isinstance(asked, dict):
            raise RecordError('the record: it must be an object', stage)
        around = {'scene': scene, 'stage': stage, 'image_paths': frame.get('image_paths')}
        return DriveLmQuestion.model_validate({**asked, **around})

    return converted(_questions(path), checked)


def read_drivelm(path: Path, pictures: Path) -> Iterator[Sample]:
    """
    Read a file of DriveLM-nuScenes; a question is a conversation, about all of its cameras.

    pictures: nuScenes' folder, the one that has samples/ in it. record: the id that DriveLM's
    evaluation has, scene_frame_number. scene: nuScenes' scene token. kind: the stage.

    Raises DataError if the file is missing, damaged, or no object of scenes.
    """

    def convert(place: str, asked: DriveLmQuestion) -> Dialogue:
        paths = asked.image_paths
        cameras = [name for name in CAMERAS if name in paths]
        cameras += [name for name in paths if name not in CAMERAS]
        if not cameras:
            raise RecordError('image_paths: it names no camera')
        return Dialogue(
            source=path.stem,
            record=place,
            scene=asked.scene,
            pictures=tuple(below_nuscenes(pictures, paths[name]) for name in cameras),
            turns=(Turn(about_cameras(cameras, asked.question), asked.answer),),
            kind=asked.stage,
        )

    return samples(path.stem, drivelm_questions(path), convert)


def _questions(path: Path) -> Records[tuple[str, str, dict[str, Any], Any]]:
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
