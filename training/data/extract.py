"""Make a data set of recordings: pictures, and a sheet with the questions to answer."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ros2_llava_phi.engine.new_folder import new_folder
from ros2_llava_phi.replay.bag import BagError
from ros2_llava_phi.replay.bag_reader import CameraMessage, picture, read_camera_messages
from ros2_llava_phi.replay.frame_choice import FrameChoice

from .conversation import DataError
from .sheet import Row, write_sheet

FRAMES, SHEET = 'frames', 'questions.csv'
JPEG_QUALITY = 95
NO_QUESTION = (('', '', ''),)


@dataclass
class Extracted:
    """
    What became of the frames of the recordings.

    kept, undecodable: how many, by topic. why: what the first that cannot be decoded has.
    """

    seen: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    undecodable: Counter[str] = field(default_factory=Counter)
    why: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Extraction:
    """
    How to make a data set of recordings.

    topics: only these; all that carry pictures if there are none.
    rate_hz: at most so many frames a second and camera; None for no limit.
    change: the share of the picture, 0..1, that must have changed.
    scene_s: cut recordings into scenes of so many seconds; None for a scene each.
    questions: question, kind and choices of the rows of each frame.
    suffix: '.jpg' or '.png'.
    """

    topics: Collection[str] = ()
    rate_hz: float | None = None
    change: float = 0.0
    scene_s: float | None = None
    questions: Sequence[tuple[str, str, str]] = NO_QUESTION
    suffix: str = '.jpg'


def extract(
    bags: Sequence[Path],
    out: Path,
    how: Extraction,
    seen: Callable[[], object] = lambda: None,
) -> Extracted:
    """
    Write the frames of recordings into a new folder, with a questions sheet.

    seen: called after each camera message.

    Raises BagError for recordings that are missing, damaged, or without pictures on the topics;
    what can be read of them, and of the others, is written all the same. Raises DataError if there
    is no frame at all; nothing is written then.
    """
    result = Extracted()
    rows: list[Row] = []
    damages: list[BagError] = []
    with new_folder(out):
        for bag in bags:
            try:
                for row in _frames(bag, out, how, result, seen):
                    rows += [_asked(row, *question) for question in how.questions]
            except BagError as error:
                damages.append(error)
        if not rows:
            raise damages[0] if damages else DataError(_why_none(bags, result))
        write_sheet(out / SHEET, rows)
    if damages:
        problems = '; '.join(map(str, damages))
        raise BagError(
            f'{problems}; the {result.kept.total()} frames that could be read are in {out}'
        )
    return result


def _frames(
    bag: Path, out: Path, how: Extraction, result: Extracted, seen: Callable[[], object]
) -> Iterator[Row]:
    name = bag.resolve().name if bag.is_dir() else bag.stem
    choices: dict[str, FrameChoice] = {}
    first_ns: int | None = None
    for message in read_camera_messages(bag, how.topics):
        result.seen += 1
        seen()
        first_ns = message.recorded_ns if first_ns is None else first_ns
        choice = choices.setdefault(message.topic, FrameChoice(how.rate_hz, how.change))
        if not choice.is_due(message.recorded_ns):
            continue
        try:
            pixels = picture(message)
        except BagError as error:
            result.undecodable[message.topic] += 1
            result.why.setdefault(message.topic, str(error))
            continue
        duplicates = choice.duplicates
        if not choice.is_new(pixels):
            result.duplicates += choice.duplicates - duplicates
            continue
        number = result.kept.total()
        result.kept[message.topic] += 1
        path = Path(FRAMES, _slug(message.topic), f'{number:06}{how.suffix}')
        _write_picture(out / path, pixels)
        yield Row(
            path.as_posix(), _scene(name, message, first_ns, how), message.topic, _s(message)
        )


def _asked(row: Row, question: str, kind: str, choices: str) -> Row:
    return Row(row.frame, row.scene, row.camera, row.stamp, question, kind, choices)


def _scene(name: str, message: CameraMessage, first_ns: int, how: Extraction) -> str:
    if how.scene_s is None:
        return name
    return f'{name}-{max(0, message.recorded_ns - first_ns) / 1e9 // how.scene_s:04.0f}'


def _s(message: CameraMessage) -> str:
    # Without a float, which would not hold all of the milliseconds' digits for ever.
    return f'{message.stamp_ns // 10**9}.{message.stamp_ns % 10**9 // 10**6:03}'


def _slug(topic: str) -> str:
    return re.sub(r'\W+', '_', topic).strip('_')


def _write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=JPEG_QUALITY)


def _why_none(bags: Sequence[Path], result: Extracted) -> str:
    names = ', '.join(str(bag) for bag in bags)
    if result.why:
        return f'{names}: no frame can be decoded; {"; ".join(result.why.values())}'
    return f'{names}: there are no frames on the image topics'
