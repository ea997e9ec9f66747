"""Pictures of videos: which to take, how they are written and asked about."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image

from ros2_llava_phi.bags.video import Video, open_video
from ros2_llava_phi.errors import DataError, VideoError
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.model.prompt import Mark, Piece

from .records import RecordError

# Below the folder of the pictures.
FOLDER = 'frames'
JPEG_QUALITY = 95
Item = TypeVar('Item')


def evenly(items: list[Item], most: int) -> list[Item]:
    """Return at most so many of the items, evenly spread from first to last; one is the middle."""
    if len(items) <= most:
        return items
    if most == 1:
        return [items[len(items) // 2]]
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def about_frames(count: int, question: str) -> tuple[Piece, ...]:
    """Return a request about pictures that follow each other, a line for each, in their order."""
    return (*(Mark.PICTURE, '\n') * (count - 1), Mark.PICTURE, f'\n{question}')


def clip_pictures(
    video: Path, folder: Path, start_s: float, end_s: float, count: int
) -> list[Path]:
    """
    Return pictures of a stretch of a video, evenly spread, each in the middle of its part.

    They are written below frames/ of the folder, unless they are there from an earlier run.

    Raises RecordError if the video is missing, cannot be read, or is too short.
    """
    times_s = [start_s + (place + 0.5) * (end_s - start_s) / count for place in range(count)]
    paths = [folder / FOLDER / video.stem / f'{round(1000 * each)}ms.jpg' for each in times_s]
    if not all(path.is_file() for path in paths):
        try:
            _write_pictures(open_video(video), times_s, paths)
        except VideoError as error:
            raise RecordError('video: it cannot be read', str(error)) from error
    return paths


def write_once(path: Path, content: bytes) -> None:
    """Write a picture, unless an earlier run has; raises DataError if it cannot be written."""
    if not (path.is_file() and path.stat().st_size == len(content)):
        write_atomically(path, content, DataError)


def _write_pictures(video: Video, times_s: Sequence[float], paths: Sequence[Path]) -> None:
    for picture, path in zip(video.pictures_at(times_s), paths, strict=True):
        jpeg = io.BytesIO()
        Image.fromarray(picture).save(jpeg, 'JPEG', quality=JPEG_QUALITY)
        write_once(path, jpeg.getvalue())
