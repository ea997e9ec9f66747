"""What there is to say about the clocks of a recording before its figures are believed."""

from collections.abc import Collection, Iterable, Iterator

import numpy as np

from ros2_llava_phi.errors import counted

from .clock import SET_BACK_NS, Jump
from .index import Index
from .stamps import NS

# A recorder that pauses, or a clock that was set ahead: which of them, the times do not tell.
PAUSE_NS = 5 * NS
PAUSE_STEPS = 10
# So many of one kind are told; the others are counted.
MOST = 5
UNITS = ((365.25 * 86400, 'years'), (86400.0, 'days'), (3600.0, 'h'), (60.0, 'min'))


def clock_notes(index: Index) -> list[str]:
    """Return sentences about the clock by which messages were recorded."""
    if not len(index):
        return []
    clock = index.clock
    start_ns = index.start_ns()

    def at(number: int) -> str:
        return f'{(int(clock.times[number]) - start_ns) / NS:.1f} s'

    everyone = set(np.unique(index.channel_of).tolist())
    several = {each for each in everyone if (index.channel_of == each).sum() > 1}
    notes = []
    groups = list(_together(clock.jumps))
    for group in groups[:MOST]:
        sources = {each.source for each in group}
        whose = (
            'the recording' if sources >= several - set(clock.apart) else _topics(index, sources)
        )
        notes.append(
            f'The clock of {whose} is set {_by(group[0].by_ns)} at {at(group[0].index)}; '
            'seconds go on as if it had not been.'
        )
    if len(groups) > MOST:
        notes.append(f'Clocks are set {counted(len(groups) - MOST, "time")} more.')
    for source, by_ns in clock.apart.items():
        notes.append(
            f'{_topics(index, [source])} is recorded by a clock that is '
            f'{_by(by_ns)} of the others; seconds do not count from it.'
        )
    for source, count in clock.untimed.items():
        notes.append(
            f'{counted(count, "message")} on {_topics(index, [source])} without a time of its '
            'own; each is counted a usual step behind the last.'
        )
    return notes + list(_pauses(index))


def stamp_notes(index: Index, topics: Collection[str]) -> list[str]:
    """Return sentences about the stamps in the headers of cameras' messages."""
    notes = []
    start_ns = index.start_ns()
    for source, (numbers, clock) in index.stamp_clocks.items():
        channel = index.channels[source]
        if channel.topic not in topics:
            continue
        for jump in clock.jumps[:MOST]:
            at_s = (int(index.clock.times[numbers[jump.index]]) - start_ns) / NS
            notes.append(
                f'The stamps of {channel.topic} are set {_by(jump.by_ns)} at {at_s:.1f} s '
                f'(frame {jump.index}); the time of recording counts.'
            )
        if len(clock.jumps) > MOST:
            more = len(clock.jumps) - MOST
            notes.append(f'The stamps of {channel.topic} are set {counted(more, "time")} more.')
    return notes


def _together(jumps: Iterable[Jump]) -> Iterator[list[Jump]]:
    """Yield jumps that are one: of several sources, by as much, none of them twice."""
    group: list[Jump] = []
    for jump in jumps:
        is_same = group and abs(group[0].by_ns - jump.by_ns) <= SET_BACK_NS
        if group and (not is_same or jump.source in {each.source for each in group}):
            yield group
            group = []
        group.append(jump)
    if group:
        yield group


def _pauses(index: Index) -> Iterator[str]:
    times = np.sort(index.clock.times)
    steps = np.diff(times)
    usual = np.median(steps) if len(steps) else 0
    long = np.flatnonzero((steps > PAUSE_NS) & (steps > PAUSE_STEPS * usual))
    for each in long[:MOST].tolist():
        from_s, to_s = ((int(times[place]) - int(times[0])) / NS for place in (each, each + 1))
        yield (
            f'Nothing is recorded from {from_s:.1f} s to {to_s:.1f} s: a pause, '
            'or a clock that was set ahead.'
        )
    if len(long) > MOST:
        yield f'{counted(len(long) - MOST, "such pause")} more.'


def _topics(index: Index, sources: Iterable[int]) -> str:
    return ', '.join(dict.fromkeys(index.channels[each].topic for each in sorted(sources)))


def _by(time_ns: int) -> str:
    seconds = abs(time_ns) / NS
    amount = f'{seconds:.1f} s'
    for size, unit in UNITS:
        if seconds >= size:
            amount = f'{seconds / size:.1f} {unit}'
            break
    return f'{"ahead" if time_ns > 0 else "back"} by {amount}'
