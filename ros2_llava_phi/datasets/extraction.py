"""Make a data set of recordings: pictures, and a sheet with the questions to answer."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ros2_llava_phi.bags.keyframes import KeyframeSelection
from ros2_llava_phi.bags.recorded_frame import RecordedFrame, count_by_reason
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.errors import BagError, DamagedFrameError, DataError, FrameError, counted
from ros2_llava_phi.files.atomic import new_folder
from ros2_llava_phi.imaging.pixels import MOST_BITS

from .check import refuse_damaged
from .sheet import Row, write_sheet

FRAMES, SHEET = 'frames', 'questions.csv'
JPEG_QUALITY = 95
NO_QUESTION = (('', '', ''),)


@dataclass
class Extracted:
    """
    What became of the frames of the recordings.

    kept, alike: how many, by topic; alike: those that looked like one that was kept, or had not
    changed enough. undecodable: why those that cannot be decoded are not.
    damaged: what those have that lost data. flawed: those with data amiss that lost nothing.
    losses: sentences about what could not be read of recordings that broke off or are damaged.
    """

    seen: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    alike: Counter[str] = field(default_factory=Counter)
    undecodable: dict[str, list[str]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    flawed: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)


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
    significant_bits: of the values of 16-bit pictures, 8..16.
    """

    topics: Collection[str] = ()
    rate_hz: float | None = None
    change: float = 0.0
    scene_s: float | None = None
    questions: Sequence[tuple[str, str, str]] = NO_QUESTION
    suffix: str = '.jpg'
    significant_bits: int = MOST_BITS


def extract(
    bags: Sequence[Path],
    out: Path,
    how: Extraction,
    seen: Callable[[], object] = lambda: None,
) -> Extracted:
    """
    Write the frames of recordings into a new folder, with a questions sheet.

    seen: called after each camera message.

    Recordings that broke off or are damaged give what is readable of them. Raises BagError for
    those that are missing, unreadable, or without pictures on the topics, and where no picture of
    a topic can be decoded; the others are written all the same. Raises DataError if there is no
    frame at all, or too many lost data; nothing is written then.
    """
    result = Extracted()
    rows: list[Row] = []
    damages: list[BagError] = []
    choices: dict[str, KeyframeSelection] = defaultdict(
        lambda: KeyframeSelection(how.rate_hz, how.change)
    )
    with new_folder(out) as folder:
        for bag in bags:
            try:
                for frame, scene in _chosen(bag, how, choices, result, seen):
                    path = _path(frame.camera, result.kept.total(), how.suffix)
                    _write_picture(folder / path, frame.frame().image)
                    result.kept[frame.camera] += 1
                    rows += _rows(path, frame, scene, how.questions)
            except BagError as error:
                damages.append(error)
        if result.damaged:
            tried = result.kept.total() + result.alike.total()
            tried += sum(map(len, result.undecodable.values()))
            where = ', '.join(map(str, bags))
            refuse_damaged(len(result.damaged), tried, where, result.damaged[0])
        if not rows:
            raise damages[0] if damages else DataError(_why_none(bags, result))
        write_sheet(folder / SHEET, rows)
    blind = _blind(result)
    if damages or blind:
        problems = '; '.join([*map(str, damages), *blind])
        raise BagError(
            f'{problems}; what could be read is in {out}: {counted(result.kept.total(), "frame")}'
        )
    return result


def _chosen(
    bag: Path,
    how: Extraction,
    choices: Mapping[str, KeyframeSelection],
    result: Extracted,
    seen: Callable[[], object],
) -> Iterator[tuple[RecordedFrame, str]]:
    """Yield the frames to keep, each with its scene."""
    recording = Recording(bag)
    name = recording.name if bag.is_dir() else bag.stem
    topics = {each: each for each in how.topics}
    for frame in recording.frames(topics, how.significant_bits):
        choice = choices[frame.camera]
        result.seen += 1
        seen()
        if not choice.is_due(frame.message.time_ns):
            continue
        try:
            is_new = choice.is_new(frame.frame().image)
        except FrameError as error:
            result.undecodable.setdefault(frame.camera, []).append(str(error))
            if isinstance(error, DamagedFrameError):
                result.damaged.append(str(error))
            continue
        result.flawed[frame.camera] += bool(frame.flaws)
        if is_new:
            yield frame, _scene(name, frame.at_s, how.scene_s)
        else:
            result.alike[frame.camera] += 1
    result.losses += [f'{bag}: {loss}' for loss in recording.losses]


def _scene(recording: str, at_s: float, scene_s: float | None) -> str:
    if scene_s is None:
        return recording
    return f'{recording}-{int(max(0, at_s) / scene_s):04}'


def _rows(
    path: Path, frame: RecordedFrame, scene: str, questions: Sequence[tuple[str, str, str]]
) -> Iterator[Row]:
    seconds, rest_ns = divmod(frame.stamp_ns, 10**9)
    stamp = f'{seconds}.{rest_ns // 10**6:03}'
    for asked in questions:
        yield Row(path.as_posix(), scene, frame.camera, stamp, *asked)


def _path(topic: str, number: int, suffix: str) -> Path:
    camera = re.sub(r'\W+', '_', topic).strip('_')
    return Path(FRAMES, camera, f'{number:06}{suffix}')


def _write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=JPEG_QUALITY)


def _why_none(bags: Sequence[Path], result: Extracted) -> str:
    names = ', '.join(str(bag) for bag in bags)
    if reasons := [*_blind(result), *result.losses]:
        return f'{names}: {"; ".join(reasons)}'
    return f'{names}: there are no frames on the image topics'


def _blind(result: Extracted) -> list[str]:
    """Return of each topic of which no frame can be decoded why that is so."""
    return [
        f'no frame of {topic} can be decoded: {count_by_reason(why)}'
        for topic, why in result.undecodable.items()
        if not result.kept[topic] and not result.alike[topic]
    ]
