"""
What was answered from when to when, and what was true: a lane for each question.

Neighbouring answers that say the same are one stretch. Stretches are drawn as lanes over a
recording, and listed below the frames with which they begin. How many are drawn is bounded by the
width of a screen, not by the recording.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from operator import itemgetter
from statistics import median

from markupsafe import escape

from ros2_llava_phi.assistant.answer import CANNOT_TELL, YES_NO
from ros2_llava_phi.errors import counted

from .record import Record, is_right, is_scored, said

# Behind a gap of so many usual steps, a new stretch begins.
GAP = 2.5
# Seconds are to scale where frames fill this share of them, and no more of the steps from frame to
# frame stand still.
FILLED = 0.1
LEAST_STEP_S = 1e-4
# Nor are they where they go back by more than the first, or are beyond the last (30,000 years).
BACK_S, MOST_S = 1.0, 1e12
MOST_TICKS = 10
# Seconds between ticks, from which the first is taken that is not too close.
STEPS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400),
)
# The colours c0 and c1 say yes and no; c1 is the grey of the two.
FREE_COLOURS = ('c0', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7')
# Answers that name a colour have that colour.
NAMED_COLOURS = ('red', 'orange', 'yellow', 'green', 'blue', 'white', 'black', 'grey')
FIXED_COLOURS = {CANNOT_TELL: 'untold', YES_NO[0]: 'c0', YES_NO[1]: 'c1'}
FIXED_COLOURS |= {name: f'n-{name}' for name in NAMED_COLOURS}
# The share of a lane that a letter takes, in per cent, on a wide screen.
LETTER = 0.85

# Of a text of the page, the most letters.
MOST_LETTERS = 160
# What a stretch takes in the list beside its texts.
LISTED_BYTES = 200

# Camera and number of a frame; and of which recording.
Frame = tuple[str, int]
FrameKey = tuple[str, str, int]


@dataclass(frozen=True)
class Stretch:
    """
    Neighbouring answers to one question that say the same, of which the same is true.

    anchor: what a link to it names.
    words: what was said, or the code of the error where there is no answer.
    truth: what would have been right; empty where nobody knows.
    marks: what it counts as: right, wrong or unscored, and abstained; or refused.
    start, end: on the recording's axis.
    """

    anchor: str
    words: str
    truth: str
    marks: tuple[str, ...]
    records: list[Record]
    start: float
    end: float

    @property
    def first(self) -> Record:
        """Return the record of the first frame."""
        return self.records[0]

    @property
    def why(self) -> str:
        """Return why there is no answer; empty where there is."""
        return self.first.error_text or self.first.abstain_reason

    @property
    def sure(self) -> str:
        """Return the confidence, from the least to the greatest, in per cent."""
        sure = [f'{100 * each.confidence:.0f}' for each in self.records]
        least, most = (choose(sure, key=float) for choose in (min, max))
        return f'{least} %' if least == most else f'{least} to {most} %'

    @property
    def when(self) -> str:
        """Return the time of the first frame, and of the last if there are several."""
        first, last = (clock(self.records[place].at_s) for place in (0, -1))
        return first if first == last else f'{first} to {last}'


@dataclass(frozen=True)
class Lane:
    """One question over one recording."""

    entry: int
    camera: str
    question: str
    stretches: list[Stretch]


@dataclass(frozen=True)
class Axis:
    """
    The axis from left to right.

    to_scale: in seconds; else the frames in their order, as their times say too little.
    places: where each frame lies, in seconds or frames.
    step: the usual one from frame to frame.
    """

    to_scale: bool
    places: dict[Frame, float]
    step: float


@dataclass(frozen=True)
class Timeline:
    """
    The lanes of a recording.

    start, end: of the axis.
    ticks: places on it in per cent, and their labels.
    """

    recording: str
    to_scale: bool
    start: float
    end: float
    ticks: list[tuple[float, str]]
    lanes: list[Lane]


@dataclass(frozen=True)
class Moment:
    """A frame, and the stretches that begin with it."""

    frame: FrameKey
    at_s: float
    stretches: list[Stretch]


@dataclass(frozen=True)
class Piece:
    """
    A stretch as it is drawn, or several that are too short to be told apart.

    left, width: in per cent of a lane.
    colour, true_colour: classes of the page; the latter is empty where nobody knows the truth.
    """

    left: float
    width: float
    stretches: list[Stretch]
    colour: str
    true_colour: str

    @property
    def words(self) -> str:
        """Return what was said."""
        if len(self.stretches) == 1:
            return self.stretches[0].words
        return counted(len(self.stretches), 'answer')

    @property
    def wrong(self) -> bool:
        """Return whether anything in it is wrong."""
        return any('wrong' in each.marks for each in self.stretches)

    @property
    def narrow(self) -> bool:
        """Return whether the words have no room."""
        return len(self.words) * LETTER > self.width


def timelines(records: Sequence[Record]) -> list[Timeline]:
    """Return the timeline of each recording."""
    by_name: dict[str, list[Record]] = {}
    for record in records:
        by_name.setdefault(record.recording, []).append(record)
    return [_timeline(number, of_name) for number, of_name in enumerate(by_name.values())]


def pieces(lane: Lane, timeline: Timeline, least: float) -> Iterator[Piece]:
    """Yield what to draw of a lane; neighbours are joined until they take `least` per cent."""
    colours = _colours(lane)
    scale = 100 / (timeline.end - timeline.start)
    groups: list[list[Stretch]] = []
    for stretch in lane.stretches:
        before = groups[-1] if groups else []
        if (
            before
            and (before[-1].end - before[0].start) * scale < least
            and (stretch.end - before[-1].end) * scale < least
        ):
            before.append(stretch)
        else:
            groups.append([stretch])
    for group in groups:
        said_so = {'refused' if 'refused' in each.marks else colours[each.words] for each in group}
        # Of several acceptable answers, the one given is the truth.
        truths = {
            colours[each.words if 'right' in each.marks else each.truth]
            for each in group
            if each.truth
        }
        yield Piece(
            left=round((group[0].start - timeline.start) * scale, 2),
            width=round((group[-1].end - group[0].start) * scale, 2),
            stretches=group,
            colour=_only(said_so),
            true_colour=_only(truths) if truths else '',
        )


def moments(timelines: Sequence[Timeline], most_bytes: int) -> list[Moment]:
    """
    Return what begins with which frame, in order.

    most_bytes: of the page; where they do not suffice, what is wrong comes first.
    """
    every = [each for timeline in timelines for lane in timeline.lanes for each in lane.stretches]
    every.sort(key=lambda each: 'wrong' not in each.marks)
    sizes = accumulate(map(_listed_bytes, every))
    by_frame: dict[FrameKey, list[Stretch]] = {}
    for each, size in zip(every, sizes, strict=True):
        if size <= most_bytes:
            by_frame.setdefault(frame_key(each.first), []).append(each)
    order = {each.recording: place for place, each in enumerate(timelines)}
    found = [Moment(key, each[0].first.at_s, each) for key, each in by_frame.items()]
    return sorted(
        found, key=lambda each: (order[each.frame[0]], each.stretches[0].start, each.frame)
    )


def short(text: str, most: int = MOST_LETTERS) -> str:
    """Return a text that is not longer than so many letters."""
    return text if len(text) <= most else f'{text[: most - 1]}…'


def marks_of(record: Record) -> tuple[str, ...]:
    """Return what a record counts as: right, wrong or unscored, and abstained; or refused."""
    if record.error:
        return ('refused',)
    mark = 'unscored' if not is_scored(record) else 'right' if is_right(record) else 'wrong'
    return (mark, 'abstained') if record.abstained else (mark,)


def frame_key(record: Record) -> FrameKey:
    """Return what tells the frame of a record from all others of a run."""
    return record.recording, record.camera, record.frame


def clock(seconds: float) -> str:
    """Return seconds into a recording as (hours,) minutes and seconds, with tenths if any."""
    if not abs(seconds) < MOST_S:  # nor is it so of NaN
        return '?'
    tenths = round(abs(seconds) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    words = f'{hours}:{minutes:02d}' if hours else f'{minutes}'
    words += f':{rest // 10:02d}' + (f'.{rest % 10}' if rest % 10 else '')
    return f'-{words}' if seconds < 0 and tenths else words


def _timeline(number: int, records: Sequence[Record]) -> Timeline:
    axis = _axis(records)
    by_lane: dict[tuple[int, str], list[Record]] = {}
    for record in records:
        by_lane.setdefault((record.entry, record.camera), []).append(record)
    lanes = [
        Lane(
            entry,
            camera,
            by_lane[entry, camera][0].question,
            _stretches(f'a{number}-{row}', by_lane[entry, camera], axis),
        )
        for row, (entry, camera) in enumerate(sorted(by_lane))
    ]
    start = min(axis.places.values())
    end = max(each.end for lane in lanes for each in lane.stretches)
    return Timeline(
        recording=records[0].recording,
        to_scale=axis.to_scale,
        start=start,
        end=end,
        ticks=_seconds(start, end) if axis.to_scale else _numbers(records, axis),
        lanes=lanes,
    )


def _axis(records: Sequence[Record]) -> Axis:
    at_s = {(each.camera, each.frame): each.at_s for each in records}
    step = _usual_step(at_s)
    if step:
        return Axis(True, at_s, step)
    # As they were asked about; in a live run, the response to a later one may come earlier.
    of_camera = {camera: iter(list(each)) for camera, each in groupby(sorted(at_s), itemgetter(0))}
    frames = [next(of_camera[camera]) for camera, _ in at_s]
    return Axis(False, {frame: float(place) for place, frame in enumerate(frames)}, 1.0)


def _usual_step(at_s: dict[Frame, float]) -> float:
    """Return the seconds from frame to frame; 0 where they cannot be drawn to scale."""
    if not all(abs(each) < MOST_S for each in at_s.values()):
        return 0
    span = max(at_s.values()) - min(at_s.values())
    found = 0.0
    for _, of_camera in groupby(sorted(at_s), itemgetter(0)):
        times = [at_s[frame] for frame in of_camera]
        steps = [after - before for before, after in pairwise(times)]
        if not steps:
            continue
        stands_still = sum(step < LEAST_STEP_S for step in steps)
        if min(steps) < -BACK_S or stands_still > FILLED * len(steps):
            return 0
        usual = median(steps)
        if sum(min(step, GAP * usual) for step in steps) > FILLED * span:
            found = max(found, usual)
    return found


def _stretches(name: str, records: Sequence[Record], axis: Axis) -> list[Stretch]:
    """Join neighbours that are alike; each lasts until the next, or as long as is usual."""
    ordered = sorted(records, key=lambda each: axis.places[each.camera, each.frame])
    places = [axis.places[each.camera, each.frame] for each in ordered]
    steps = [after - before for before, after in pairwise(places)]
    usual = (median(steps) if steps else 0) or axis.step
    stretches: list[Stretch] = []
    for record, place, step in zip(ordered, places, [*steps, usual], strict=True):
        end = place + (step if step <= GAP * usual else usual)
        said_so = record.error or said(record), _truth(record), marks_of(record)
        last = stretches[-1] if stretches else None
        if last and last.end >= place and (last.words, last.truth, last.marks) == said_so:
            last.records.append(record)
            stretches[-1] = replace(last, end=end)
        else:
            anchor = f'{name}-{record.key[2]}'
            stretches.append(Stretch(anchor, *said_so, [record], place, end))
    return stretches


def _truth(record: Record) -> str:
    return ' or '.join(dict.fromkeys(record.truth[:3]))


def _listed_bytes(stretch: Stretch) -> int:
    texts = stretch.first.question, stretch.words, stretch.truth, stretch.why
    return LISTED_BYTES + sum(len(escape(short(each)).encode(errors='replace')) for each in texts)


def _seconds(start: float, end: float) -> list[tuple[float, str]]:
    """Return ticks at whole steps of seconds."""
    least = (end - start) / MOST_TICKS
    step = next(
        (each for each in STEPS if each >= least), math.ceil(least / STEPS[-1]) * STEPS[-1]
    )
    whole = range(math.ceil(start / step), math.floor(end / step) + 1)
    return [((each * step - start) / (end - start) * 100, clock(each * step)) for each in whole]


def _numbers(records: Sequence[Record], axis: Axis) -> list[tuple[float, str]]:
    """Return ticks at frames, with what their clock says."""
    at_s = {axis.places[each.camera, each.frame]: each.at_s for each in records}
    step = math.ceil(len(at_s) / MOST_TICKS)
    return [(place / len(at_s) * 100, clock(at_s[place])) for place in sorted(at_s)[::step]]


def _only(classes: set[str]) -> str:
    return classes.pop() if len(classes) == 1 else 'several'


def _colours(lane: Lane) -> dict[str, str]:
    """Return a class for each answer: the most frequent ones have a colour of their own."""
    lasted: dict[str, float] = {}
    for stretch in lane.stretches:
        for words in {stretch.words, stretch.truth} - {''}:
            lasted[words] = lasted.get(words, 0) + stretch.end - stretch.start
    ranked = sorted(
        (each for each in lasted if each not in FIXED_COLOURS), key=lambda each: -lasted[each]
    )
    free = dict(zip(ranked, FREE_COLOURS, strict=False))
    return {**dict.fromkeys(lasted, 'other'), **free, **FIXED_COLOURS}
