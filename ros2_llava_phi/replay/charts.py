"""Charts as SVG; their colours are classes, which the page has for light and for dark."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from ros2_llava_phi.errors import counted
from ros2_llava_phi.scoring.calibration import Bin

SIDE = 320
LEFT, RIGHT, TOP, BOTTOM = 56, 22, 12, 36
HISTOGRAM_BARS = 32
# Between the highest bar and the top, for what the lines of a histogram are called.
HEADROOM = 1.35


class Plane:
    """The area of a chart, from data to pixels; both axes begin at 0."""

    def __init__(self, width: float, height: float, x_max: float, y_max: float) -> None:
        """Take the size of the whole chart, and the ends of the axes."""
        self.width, self.height, self.x_max, self.y_max = width, height, x_max, y_max

    def x(self, value: float) -> float:
        """Return where a value lies from the left; within the chart, whatever it is."""
        share = min(max(value / self.x_max, 0), 1)
        return round(LEFT + share * (self.width - LEFT - RIGHT), 2)

    def y(self, value: float) -> float:
        """Return where a value lies from the top; within the chart, whatever it is."""
        share = min(max(value / self.y_max, 0), 1)
        return round(self.height - BOTTOM - share * (self.height - TOP - BOTTOM), 2)

    def svg(
        self,
        content: Sequence[str],
        x_ticks: Sequence[tuple[float, str]],
        y_ticks: Sequence[tuple[float, str]],
        x_title: str,
        y_title: str,
    ) -> Markup:
        """Return the chart with its axes; the page has its figures as text."""
        bottom, right = self.height - BOTTOM, self.width - RIGHT
        parts = [
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(y_title)} over {escape(x_title)}">'
        ]
        for value, label in y_ticks:
            y = self.y(value)
            parts += [
                f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>',
                f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{escape(label)}</text>',
            ]
        for value, label in x_ticks:
            parts.append(
                f'<text x="{self.x(value)}" y="{bottom + 15}" text-anchor="middle">'
                f'{escape(label)}</text>'
            )
        middle = (LEFT + right) / 2
        parts += [
            *content,
            f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>',
            f'<text class="title" x="{middle}" y="{self.height - 4}" text-anchor="middle">'
            f'{escape(x_title)}</text>',
            f'<text class="title" transform="translate(11 {(TOP + bottom) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(y_title)}</text>',
            '</svg>',
        ]
        return Markup(''.join(parts))


def reliability_chart(bins: Sequence[Bin]) -> Markup:
    """Draw how often answers are right over how sure they are; dots grow with their number."""
    plane = Plane(SIDE, 280, 1, 1)
    most = max((each.count for each in bins), default=1)
    content = [
        f'<line class="ideal" x1="{plane.x(0)}" y1="{plane.y(0)}" x2="{plane.x(1)}" '
        f'y2="{plane.y(1)}"/>'
    ]
    for each in bins:
        x, y = plane.x(each.confidence), plane.y(each.accuracy)
        radius = 4 + 8 * math.sqrt(each.count / most)
        content += [
            f'<line class="off" x1="{x}" x2="{x}" y1="{y}" y2="{plane.y(each.confidence)}"/>',
            f'<circle class="dot" cx="{x}" cy="{y}" r="{radius:.1f}"><title>'
            f'{counted(each.count, "answer")}: '
            f'{each.confidence:.0%} sure, {each.accuracy:.0%} right</title></circle>',
        ]
    ticks = _shares(1)
    return plane.svg(content, ticks, ticks, 'confidence', 'share that is right')


def risk_coverage_chart(risks: Sequence[float], scored: int) -> Markup:
    """Draw the share of wrong answers over how many of the surest are kept."""
    y_max = max(0.05, math.ceil(20 * max(risks, default=0)) / 20)
    plane = Plane(SIDE, 280, 1, y_max)
    step = max(1, len(risks) // 400)
    kept = sorted({*range(0, len(risks), step), len(risks) - 1}) if risks else []
    points = [(plane.x((index + 1) / scored), plane.y(risks[index])) for index in kept]
    line = ' '.join(f'{x},{y}' for x, y in points)
    content = []
    if points:
        area = f'{points[0][0]},{plane.y(0)} {line} {points[-1][0]},{plane.y(0)}'
        content = [
            f'<polygon class="area" points="{area}"/>',
            f'<polyline class="line" points="{line}"/>',
            f'<circle class="dot" cx="{points[-1][0]}" cy="{points[-1][1]}" r="4">'
            f'<title>all that were answered: {risks[-1]:.1%} wrong</title></circle>',
        ]
    return plane.svg(
        content, _shares(1), _shares(y_max), 'share of the answers', 'share that is wrong'
    )


def latency_chart(seconds: Sequence[float], percentiles: Mapping[str, float]) -> Markup:
    """Draw how many answers took how long, with percentiles by name as lines."""
    seconds = [each for each in seconds if 0 <= each < math.inf]
    most = max(seconds, default=0) or 0.001
    unit, scale = ('milliseconds', 1000) if most < 10 else ('seconds', 1)
    x_max = most * scale
    counts = [0] * HISTOGRAM_BARS
    for each in seconds:
        counts[min(HISTOGRAM_BARS - 1, int(each / most * HISTOGRAM_BARS))] += 1
    plane = Plane(SIDE, 280, x_max, max(*counts, 1) * HEADROOM)
    wide = x_max / HISTOGRAM_BARS
    content = [
        f'<rect class="bar" x="{plane.x(index * wide) + 0.5}" y="{plane.y(count)}" '
        f'width="{(plane.x(wide) - plane.x(0)) - 1:.2f}" '
        f'height="{plane.y(0) - plane.y(count):.2f}"><title>{counted(count, "answer")} in '
        f'{milliseconds(index * wide / scale)} to {milliseconds((index + 1) * wide / scale)}'
        '</title></rect>'
        for index, count in enumerate(counts)
        if count
    ]
    for row, (name, value) in enumerate(percentiles.items()):
        if not math.isfinite(value):
            continue
        x = plane.x(value * scale)
        anchor = 'end' if x > SIDE / 2 else 'start'
        shift = -4 if anchor == 'end' else 4
        content += [
            f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP}" y2="{plane.y(0)}"/>',
            f'<text class="note" x="{x + shift}" y="{TOP + 10 + 13 * row}" '
            f'text-anchor="{anchor}">{escape(name)} {milliseconds(value)}</text>',
        ]
    x_ticks = [(each, f'{each:g}') for each in _round_numbers(x_max, 5)]
    y_ticks = [(each, f'{each:,.0f}') for each in _round_numbers(max(counts), 4) if each % 1 == 0]
    return plane.svg(content, x_ticks, y_ticks, unit, 'answers')


def milliseconds(seconds: float) -> str:
    """Return a time for a person: milliseconds, from ten seconds on in seconds."""
    value = seconds * 1000
    if value >= 9999.5:
        return f'{seconds:.1f} s'
    return f'{value:.0f} ms' if value >= 9.95 else f'{value:.1f} ms'


def _shares(end: float) -> list[tuple[float, str]]:
    return [(each, f'{100 * each:.3g} %') for each in _round_numbers(end, 5)]


def _round_numbers(end: float, most: int) -> list[float]:
    """Return 0 and at most so many further numbers up to an end that a person would have taken."""
    least = end / most
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= least * 0.999)
    return [place * step for place in range(math.floor(end / step + 0.001) + 1)]
