"""Which answers the page shows with their frames, and those frames as JPEG inside URIs."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from ros2_llava_phi.errors import FrameError
from ros2_llava_phi.imaging.pictures import jpeg_uri

from .asking import Asking
from .record import Record, is_right, is_scored
from .timeline import FrameKey, Moment

MOST_MISTAKES, MOST_EXAMPLES, MOST_SMALL = 12, 8, 96
# Of the mistakes, the most of one question, so that not all are the same.
MOST_OF_A_QUESTION = 3
# Of a picture, the most pixels a side: beside an answer, and in the list.
LARGE, SMALL = 480, 200
JPEG_QUALITY = 80

Thing = TypeVar('Thing')


def worst(records: Sequence[Record]) -> list[Record]:
    """Return the surest of the wrong answers, a few of each question, not of one moment."""
    chosen: list[Record] = []
    wrong = [each for each in records if is_scored(each) and not is_right(each)]
    for record in sorted(wrong, key=lambda each: -each.confidence):
        alike = [each for each in chosen if each.entry == record.entry]
        near = [each for each in alike if _is_near(each, record)]
        if len(alike) < MOST_OF_A_QUESTION and not near:
            chosen.append(record)
        if len(chosen) == MOST_MISTAKES:
            break
    return chosen


def examples(records: Sequence[Record]) -> list[Record]:
    """Return a right answer to each of some questions, over time; any where nothing is known."""
    given = [each for each in records if not each.error and not each.abstained]
    right = [each for each in given if is_scored(each) and is_right(each)]
    by_entry: dict[int, list[Record]] = {}
    for record in right if any(map(is_scored, records)) else given:
        by_entry.setdefault(record.entry, []).append(record)
    chosen = _spread(list(by_entry.values()), MOST_EXAMPLES)
    return [each[len(each) * place // len(chosen)] for place, each in enumerate(chosen)]


def illustrated(moments: Sequence[Moment]) -> list[FrameKey]:
    """Return the frames that the list shows: first those with something wrong."""
    wrong = [each for each in moments if _has_wrong(each)]
    others = [each for each in moments if not _has_wrong(each)]
    chosen = _spread(wrong, MOST_SMALL)
    return [each.frame for each in (*chosen, *_spread(others, MOST_SMALL - len(chosen)))]


def read_pictures(
    askings: Sequence[Asking], wanted: Mapping[FrameKey, Collection[int]]
) -> dict[tuple[FrameKey, int], str]:
    """
    Return frames as URIs, by frame and size, read from the recordings again.

    wanted: the sizes of each frame, pixels of its longer side.
    """
    sources: dict[tuple[FrameKey, int], str] = {}
    for asking in askings:
        name = asking.recording.name
        left = {key for key in wanted if key[0] == name}
        if not left:
            continue
        for frame in asking.recording.frames(asking.cameras, asking.file.significant_bits):
            key = name, frame.camera, frame.number
            if key in left:
                left.remove(key)
                with suppress(FrameError):
                    image = frame.frame().image
                    for size in wanted[key]:
                        sources[key, size] = jpeg_uri(image, JPEG_QUALITY, size)
            if not left:
                break
    return sources


def _spread(things: Sequence[Thing], most: int) -> list[Thing]:
    """Return at most so many of some things, from beginning to end."""
    kept = min(most, len(things))
    return [things[place * len(things) // kept] for place in range(kept)]


def _has_wrong(moment: Moment) -> bool:
    return any('wrong' in each.marks for each in moment.stretches)


def _is_near(one: Record, other: Record) -> bool:
    return one.recording == other.recording and abs(one.at_s - other.at_s) < 2
