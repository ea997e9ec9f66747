"""The worst mistakes, with the frames that they were made about."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.bags.frames import recorded_frames

from .asking import Asking, Decoded
from .marking import is_right, is_scored
from .record import Record

MOST = 12
# Of one question, so that not all are the same mistake.
MOST_OF_A_QUESTION = 3
WIDTH, JPEG_QUALITY = 480, 82


@dataclass(frozen=True)
class Mistake:
    """A wrong answer, and its frame as a URI."""

    record: Record
    source: str


def worst(records: Sequence[Record]) -> list[Record]:
    """Return the surest of the wrong answers, a few of each question, not of one moment."""
    chosen: list[Record] = []
    wrong = [each for each in records if is_scored(each) and not is_right(each)]
    for record in sorted(wrong, key=lambda each: -each.confidence):
        alike = [each for each in chosen if each.entry == record.entry]
        near = [each for each in alike if _is_near(each, record)]
        if len(alike) < MOST_OF_A_QUESTION and not near:
            chosen.append(record)
        if len(chosen) == MOST:
            break
    return chosen


def gallery(records: Sequence[Record], askings: Sequence[Asking]) -> list[Mistake]:
    """Return the worst mistakes with their frames, read from the recordings again."""
    chosen = worst(records)
    sources: dict[tuple[str, str, int], str] = {}
    for asking in askings:
        wanted = {_frame_key(each) for each in chosen if each.recording == asking.recording.name}
        if not wanted:
            continue
        for frame in recorded_frames(asking.recording, asking.cameras):
            key = asking.recording.name, frame.camera, frame.number
            image = Decoded(frame).image() if key in wanted else None
            if image is not None:
                sources[key] = data_uri(image)
    return [Mistake(each, sources.get(_frame_key(each), '')) for each in chosen]


def data_uri(image: NDArray[np.uint8]) -> str:
    """Return a picture, made small, as a JPEG inside a URI."""
    height, width = image.shape[:2]
    if width > WIDTH:
        size = WIDTH, max(1, round(height * WIDTH / width))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}'


def _frame_key(record: Record) -> tuple[str, str, int]:
    return record.recording, record.camera, record.frame


def _is_near(one: Record, other: Record) -> bool:
    return one.recording == other.recording and abs(one.at_s - other.at_s) < 2
