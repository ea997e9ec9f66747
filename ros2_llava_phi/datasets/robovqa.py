"""
RoboVQA (Sermanet et al., arXiv 2311.00899): tasks about short videos of robots and people.

TFRecord files of SequenceExamples, each with the feature lists `images`, a JPEG for each frame,
and `texts`, of one text with many tasks:

    <task:planning:planning>Q: ... immediate next step? A: <PRED>pick up the cup</PRED>
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ros2_llava_phi.errors import DataError
from ros2_llava_phi.model.prompt import Turn

from .clips import FOLDER, about_frames, evenly, write_once
from .dialogue import Dialogue, Sample, samples
from .records import RecordError, Records
from .tfrecord import feature_lists, read_tfrecord

TASK = re.compile(r'<task:?([:\w]*)>', re.IGNORECASE)
TAG = re.compile(r'</?\w[:\w]*>')
ANSWER = re.compile(r'\bA:')
Task = tuple[str, list[Path], str, str]  # the video, its pictures, the task's name, its text


def read_robovqa(path: Path, pictures: Path, frames: int) -> Iterator[Sample]:
    """
    Read a TFRecord file of RoboVQA, or a folder of them; a task is a conversation.

    What stands before `A:` is the request, what follows the answer, as RoboVQA is scored.

    pictures: a folder, in which frames/ is made for the pictures. frames: how many of a video to
    take. scene: the video. kind: the task's name.

    Raises DataError if a file is missing or damaged.
    """

    def convert(place: str, content: Task) -> Dialogue:
        scene, images, kind, text = content
        words = TAG.sub('', text)
        parts = ANSWER.split(words, maxsplit=1)
        if len(parts) < 2:
            raise RecordError('texts: there is no A: in the task', words[:80])
        request = parts[0].strip().removeprefix('Q:').strip()
        return Dialogue(
            source=path.stem,
            record=place,
            scene=scene,
            pictures=tuple(images),
            turns=(Turn(about_frames(len(images), request), parts[1].strip()),),
            kind=kind,
        )

    return samples(path.stem, _tasks(path, pictures, frames), convert)


def _tasks(path: Path, folder: Path, frames: int) -> Records[Task]:
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    if not files:
        raise DataError(f'{path} is empty; it must hold the TFRecord files of RoboVQA')
    for file in files:
        for number, example in enumerate(read_tfrecord(file)):
            place = f'{file.name} [{number}]'
            try:
                text, images = _video(example)
            except RecordError as error:
                yield place, error
                continue
            paths = _write(images, folder / FOLDER / file.name / str(number), frames)
            pieces = TASK.split(text)
            if pieces[0].strip():
                yield place, RecordError('texts: words in front of the first task', pieces[0][:80])
            for task, (kind, words) in enumerate(zip(pieces[1::2], pieces[2::2], strict=True)):
                if words.strip():
                    yield f'{place}, task {task}', (place, paths, kind, words)


def _video(example: bytes) -> tuple[str, list[bytes]]:
    try:
        lists = feature_lists(example)
        texts = [each.decode() for each in lists.get('texts', [])]
    except ValueError as error:
        raise RecordError('the record: it is no SequenceExample', str(error)) from error
    if not texts or not TASK.search(texts[0]):
        raise RecordError('texts: there is no <task:...>')
    if not lists.get('images'):
        raise RecordError('images: there is none')
    return texts[0], lists['images']


def _write(images: list[bytes], folder: Path, frames: int) -> list[Path]:
    paths = []
    for index in evenly(list(range(len(images))), frames):
        paths.append(folder / f'{index}.jpg')
        write_once(paths[-1], images[index])
    return paths
