"""The worst mistakes, with the frames that they were made about."""

from collections.abc import Sequence
from dataclasses import dataclass

from ros2_llava_phi.bags.frames import recorded_frames
from ros2_llava_phi.imaging.pictures import jpeg_uri

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
                sources[key] = jpeg_uri(image, JPEG_QUALITY, WIDTH)
    return [Mistake(each, sources.get(_frame_key(each), '')) for each in chosen]


def _frame_key(record: Record) -> tuple[str, str, int]:
    return record.recording, record.camera, record.frame


def _is_near(one: Record, other: Record) -> bool:
    return one.recording == other.recording and abs(one.at_s - other.at_s) < 2
