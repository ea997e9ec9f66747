"""What is refused of every data set, whatever its format: the one place that says so."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.table import Table
from rich.text import Text

from ros2_llava_phi.assistant.question import is_unicode
from ros2_llava_phi.errors import DamagedFrameError, DataError, FrameError, counted
from ros2_llava_phi.imaging.pictures import check_picture_file
from ros2_llava_phi.model.prompt import Mark

from .dialogue import Dialogue, Dropped, Sample
from .records import RecordError

# So many pictures of a hundred may have lost data: what is worse ails as a whole, and where it
# was damaged without showing it, a model learns from that.
MOST_DAMAGED = 0.01
DAMAGED = 'image: it is damaged or cut off'
# Sixteen times what fits into 2048 positions: nothing that was meant to be one conversation.
MOST_CHARACTERS = 131_072
# Pictures that are checked at once: a million tasks that wait would take a gigabyte.
PORTION = 4096
# Of records that were dropped for one reason, so many are named.
EXAMPLES = 3


@dataclass(frozen=True)
class Group:
    """Records that were dropped for one reason: how many, and the first of them."""

    source: str
    reason: str
    count: int
    first: tuple[Dropped, ...]


def check(
    samples: Iterable[Sample], folder: Path, checked: Callable[[], object] = lambda: None
) -> list[Sample]:
    """
    Return the samples; those that cannot be used become Dropped.

    That is, an empty question or answer, more than 131072 characters, text that is no Unicode,
    more or fewer pictures than places, and pictures that lie outside the folder or that
    `read_picture` would refuse.

    folder: where all pictures must lie. checked: called after each picture.
    """
    samples = list(samples)
    used = [each for each in samples if isinstance(each, Dialogue)]
    faults = _picture_faults((path for each in used for path in each.pictures), folder, checked)
    return [_checked(each, faults) for each in samples]


def refuse_damaged(damaged: int, of: int, where: str, first: str) -> None:
    """
    Raise DataError where more pictures lost data than one in a hundred; one is always accepted.

    damaged, of: how many lost data, and how many there are. where: the set, or the recordings.
    first: what the first one has.
    """
    if damaged > max(1, MOST_DAMAGED * of):
        raise DataError(
            f'{where}: {damaged} of {counted(of, "picture")} lost data, more than '
            f'{MOST_DAMAGED:.0%}; mend where they come from, or leave that part out; '
            f'the first: {first}'
        )


def groups(dropped: Iterable[Dropped]) -> list[Group]:
    """Return the dropped records by set and reason, most frequent first."""
    by_reason: dict[tuple[str, str], list[Dropped]] = {}
    for each in dropped:
        by_reason.setdefault((each.source, each.reason), []).append(each)
    found = [
        Group(source, reason, len(records), tuple(records[:EXAMPLES]))
        for (source, reason), records in by_reason.items()
    ]
    return sorted(found, key=lambda group: -group.count)


def dropped_table(dropped: Iterable[Dropped]) -> Table:
    """Return a table of the dropped records: data set, reason, count, the first of them."""
    table = Table('data set', 'reason', 'records', 'first', title='Dropped records')
    for group in groups(dropped):
        first = '\n'.join(f'{each.record} {each.detail}'.strip() for each in group.first)
        # What is no Unicode in the data would end the printing.
        first = first.encode(errors='backslashreplace').decode()
        # As Text: what stands in brackets is no markup of ours.
        table.add_row(Text(group.source), Text(group.reason), f'{group.count:,}', Text(first))
    return table


def _checked(sample: Sample, faults: dict[Path, RecordError]) -> Sample:
    if isinstance(sample, Dropped):
        return sample
    try:
        _check_text(sample)
        for path in sample.pictures:
            if path in faults:
                raise faults[path]
    except RecordError as error:
        return Dropped(sample.source, sample.record, error.reason, error.detail)
    return sample


def _check_text(sample: Dialogue) -> None:
    texts = [text for turn in sample.turns for text in (*turn.request, turn.answer)]
    words = [text for text in texts if isinstance(text, str)]
    characters = sum(map(len, words))
    if characters > MOST_CHARACTERS:
        raise RecordError(f'text: it has more than {MOST_CHARACTERS} characters', f'{characters}')
    if not is_unicode(''.join(words)):
        raise RecordError('text: it is no Unicode: half of a surrogate pair')
    if not all(turn.request for turn in sample.turns):
        raise RecordError('question: it is empty')
    if not all(turn.answer and turn.answer.strip() for turn in sample.turns):
        raise RecordError('answer: it is empty')
    places = texts.count(Mark.PICTURE)
    if places != len(sample.pictures):
        raise RecordError(
            'image: there must be as many pictures as places for them',
            f'{counted(len(sample.pictures), "picture")}, {counted(places, "place")}',
        )


def _picture_faults(
    paths: Iterable[Path], folder: Path, checked: Callable[[], object] = lambda: None
) -> dict[Path, RecordError]:
    """
    Return what is wrong with those pictures of a data set that cannot be used.

    Each is decoded to its end once, JPEG at an eighth of its size, with a thread per core.

    folder: where all of them must lie, symbolic links followed. checked: called after each.
    """
    inside = folder.resolve()

    def fault(path: Path) -> RecordError | None:
        try:
            _check_inside(path, inside)
            check_picture_file(path)
        except RecordError as error:
            return error
        except DamagedFrameError as error:
            return RecordError(DAMAGED, f'{path}: {error}')
        except FrameError as error:
            return RecordError(f'image: {error}', f'{path}: {error.__cause__ or error}')
        finally:
            checked()
        return None

    unique = iter(dict.fromkeys(paths))
    faults: dict[Path, RecordError] = {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        while portion := list(islice(unique, PORTION)):
            found = zip(portion, threads.map(fault, portion), strict=True)
            faults |= {path: error for path, error in found if error}
    return faults


def _check_inside(path: Path, folder: Path) -> None:
    try:
        lies_inside = path.resolve().is_relative_to(folder)
    except (OSError, ValueError, RuntimeError) as error:
        # A NUL in the name, a name too long, links in a circle.
        raise RecordError('image: it is no path', f'{path!s:.200}: {error}') from error
    if not lies_inside:
        raise RecordError('image: it lies outside the folder of the pictures', str(path))
