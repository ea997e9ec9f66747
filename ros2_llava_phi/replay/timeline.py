"""
The timeline: answers over a recording and the truth below them, a lane of SVG for each question.

Its colours are classes, which the page has for light and for dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from markupsafe import Markup, escape

from ros2_llava_phi.assistant.answer import CANNOT_TELL, YES_NO

from .record import Record, is_right, is_scored, said

# Behind a gap of so many usual distances, a new stretch begins.
GAP = 2.5

WIDTH, NAMES, RIGHT = 1040, 236, 12
LANE, ANSWERS, TRUTHS = 46, 20, 7
# The colours c0 and c1 say yes and no; c1 is the grey of the two.
FREE_COLOURS = ('c0', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7')
# Answers that name a colour have that colour.
NAMED_COLOURS = ('red', 'orange', 'yellow', 'green', 'blue', 'white', 'black', 'grey')
LETTER = 6.6
# Seconds between the marks of the time axis, from which the first is taken that is not too close.
STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


@dataclass(frozen=True)
class Stretch:
    """
    A time in which the same is said; words are empty where nobody knows.

    refused: whether the words are the code of an error, not an answer.
    """

    from_s: float
    to_s: float
    words: str
    refused: bool = False


@dataclass(frozen=True)
class Lane:
    """
    One question over one recording.

    wrong: the times in which its answers are wrong.
    """

    entry: int
    question: str
    camera: str
    answers: list[Stretch]
    truths: list[Stretch]
    wrong: list[Stretch]


def lanes(records: Sequence[Record]) -> list[Lane]:
    """Return a lane for each question about one recording, in the order of the file."""
    by_entry: dict[int, list[Record]] = {}
    for record in records:
        by_entry.setdefault(record.entry, []).append(record)
    return [_lane_of(of_entry) for _, of_entry in sorted(by_entry.items())]


def timeline_chart(lanes: Sequence[Lane], seconds: float) -> Markup:
    """Draw lanes over a recording of that length."""
    seconds = max([seconds, *(each.to_s for lane in lanes for each in lane.answers)]) or 1.0
    scale = (WIDTH - NAMES - RIGHT) / seconds
    height = LANE * len(lanes) + 30
    parts = [f'<svg class="timeline" viewBox="0 0 {WIDTH} {height}" role="img">']
    step = next((each for each in STEPS if each * scale >= 64), STEPS[-1])
    for mark in range(0, int(seconds) + 1, step):
        x = NAMES + mark * scale
        parts += [
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 22}"/>',
            f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{clock(mark)}</text>',
        ]
    for row, lane in enumerate(lanes):
        parts += _lane_svg(lane, row * LANE + 8, scale)
    return Markup(''.join([*parts, '</svg>']))


def clock(seconds: float) -> str:
    """Return seconds into a recording as minutes and seconds, with tenths if there are any."""
    minutes, rest = divmod(seconds, 60)
    return f'{int(minutes)}:{rest:04.1f}' if rest % 1 else f'{int(minutes)}:{int(rest):02d}'


def _lane_of(records: Sequence[Record]) -> Lane:
    records = sorted(records, key=lambda each: each.at_s)
    times = [each.at_s for each in records]
    answers = [(each.error or said(each), bool(each.error)) for each in records]
    truths = [(' or '.join(each.truth[:3]), False) for each in records]
    wrong = [
        ('wrong' if is_scored(each) and not is_right(each) else '', False) for each in records
    ]
    return Lane(
        entry=records[0].entry,
        question=records[0].question,
        camera=records[0].camera,
        answers=_stretches(times, answers),
        truths=_stretches(times, truths),
        wrong=[each for each in _stretches(times, wrong) if each.words],
    )


def _stretches(times: Sequence[float], sayings: Sequence[tuple[str, bool]]) -> list[Stretch]:
    """Join neighbours that say the same, and are refused or not; each lasts until the next."""
    steps = [after - before for before, after in pairwise(times)]
    usual = median(steps) if steps else 1.0
    stretches: list[Stretch] = []
    for index, (at_s, said_then) in enumerate(zip(times, sayings, strict=True)):
        step = steps[index] if index < len(steps) else usual
        to_s = at_s + (step if step <= GAP * usual else usual)
        last = stretches[-1] if stretches else None
        if last and (last.words, last.refused) == said_then and last.to_s >= at_s:
            stretches[-1] = Stretch(last.from_s, to_s, *said_then)
        else:
            stretches.append(Stretch(at_s, to_s, *said_then))
    return stretches


def _lane_svg(lane: Lane, y: float, scale: float) -> list[str]:
    colours = _colours(lane)
    name = lane.question if len(lane.question) <= 34 else f'{lane.question[:33]}…'
    parts = [
        f'<text class="name" x="0" y="{y + 14}">{escape(name)}<title>{escape(lane.question)}'
        f'</title></text><text class="camera" x="0" y="{y + 29}">{escape(lane.camera)}</text>'
    ]
    for stretch in lane.answers:
        colour = 'refused' if stretch.refused else colours[stretch.words]
        parts.append(_rect(stretch, y, ANSWERS, scale, colour, 'answered'))
        room = (stretch.to_s - stretch.from_s) * scale - 8
        if len(stretch.words) * LETTER <= room:
            parts.append(
                f'<text class="said {colour}" x="{_x(stretch, scale) + 5:.1f}" '
                f'y="{y + 14}">{escape(stretch.words)}</text>'
            )
    for stretch in lane.truths:
        if stretch.words:
            colour = colours.get(stretch.words, 'other')
            parts.append(_rect(stretch, y + ANSWERS + 2, TRUTHS, scale, colour, 'true'))
    for stretch in lane.wrong:
        parts.append(_rect(stretch, y - 5, 3, scale, 'wrong', ''))
    return parts


def _rect(stretch: Stretch, y: float, height: float, scale: float, colour: str, what: str) -> str:
    wide = max(1.0, (stretch.to_s - stretch.from_s) * scale - 0.6)
    title = f'{clock(stretch.from_s)} to {clock(stretch.to_s)}: {stretch.words}'
    title += f' ({what})' if what else ''
    return (
        f'<rect class="{colour}" x="{_x(stretch, scale):.1f}" y="{y}" width="{wide:.1f}" '
        f'height="{height}" rx="2"><title>{escape(title)}</title></rect>'
    )


def _x(stretch: Stretch, scale: float) -> float:
    return NAMES + stretch.from_s * scale


def _colours(lane: Lane) -> dict[str, str]:
    """Return a class for each answer: the most frequent ones have a colour of their own."""
    lasted: dict[str, float] = {}
    for stretch in (*lane.answers, *lane.truths):
        if stretch.refused:
            continue
        lasted[stretch.words] = lasted.get(stretch.words, 0) + stretch.to_s - stretch.from_s
    fixed = {CANNOT_TELL: 'untold', '': 'unknown', YES_NO[0]: 'c0', YES_NO[1]: 'c1'}
    fixed |= {name: f'n-{name}' for name in NAMED_COLOURS}
    ranked = sorted((each for each in lasted if each not in fixed), key=lambda each: -lasted[each])
    free = dict(zip(ranked, FREE_COLOURS, strict=False))
    return {**dict.fromkeys(lasted, 'other'), **free, **fixed}
