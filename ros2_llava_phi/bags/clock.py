"""
The time of a recording whose clock may jump: seconds count from what can be trusted.

The order in which messages were written can be trusted, and a clock for as long as it runs. Where
a message's time does not follow on those before it - more than a second back, or further ahead
than any pause - the clock was set, or that time is wrong: there, no more time passes than another
clock says, or than usually does between two messages of that topic.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .stamps import NS

Times = NDArray[np.int64]

# Less than this is a correction, or messages that overtook each other.
SET_BACK_NS = NS
# No recorder pauses longer, unless messages are always so far apart.
LONGEST_PAUSE_NS = 60 * NS
LONGEST_PAUSE_STEPS = 10
# Of the settings that a clock had, so many of the last are tried for a message.
SETTINGS_TRIED = 8
# A step is out of the usual from so many usual ones on; a source with some steps, of which most
# differ by less than a half, is regular.
UNUSUAL_STEPS = 3
REGULAR_STEPS, REGULAR_SHARE, REGULAR_STEP = 3, 0.8, 0.5
# A setting by which less than this part of the messages go as by the most frequent one is rare.
FEW = 4
# Who was held up catches up within so many messages; a clock that was set ahead stays so.
CATCHING_UP = 30
# What a Time message can hold: seconds of 32 bits with a sign.
LAST_NS = 2**31 * NS


def was_set_back(now_ns: int, before_ns: int) -> bool:
    """
    Return whether a clock was set back by more than a second, as by a recording that starts over.

    before_ns: what the same clock said before.
    """
    return now_ns < before_ns - SET_BACK_NS


@dataclass(frozen=True)
class Jump:
    """
    Where a clock was set.

    source, index: which message is the first behind it. by_ns: how far, ahead if positive.
    """

    source: int
    index: int
    by_ns: int


@dataclass
class SteadyTimes:
    """
    Times that do not jump.

    times: nanoseconds, as given where the clock ran for longest.
    jumps: in the order of messages.
    apart: the sources whose clock never was that of the others, and by how much it is ahead.
    untimed: how many messages of a source have no time.
    """

    times: Times
    jumps: list[Jump] = field(default_factory=list)
    apart: dict[int, int] = field(default_factory=dict)
    untimed: dict[int, int] = field(default_factory=dict)


def steady_times(times: Times, sources: NDArray[np.int64], steps: Times) -> SteadyTimes:
    """
    Return the times of messages by a clock that does not jump.

    times: int64 [n] nanoseconds, in the order of writing.
    sources: int64 [n] numbers; the clock of one may jump alone.
    steps: int64 [n] nanoseconds since the message before of the same source by another clock;
    0 where nobody knows.
    """
    if not len(times):
        return SteadyTimes(times)
    messages = _Messages(times, sources, steps)
    if messages.are_steady():
        return SteadyTimes(times)
    settings = _find_settings(messages)
    _place_settings(messages, settings)
    return _apply_settings(messages, settings)


def never_falling(times: Times, sources: NDArray[np.int64]) -> Times:
    """Return times that never fall from one message of a source to the next."""
    times = times.copy()
    for source in np.unique(sources):
        its = sources == source
        times[its] = np.maximum.accumulate(times[its])
    return times


def steps_between(stamps: Times, sources: NDArray[np.int64]) -> Times:
    """
    Return what has passed from stamp to stamp of the same source, and 0 where that is doubtful.

    stamps: int64 [n] nanoseconds in the order of writing; 0 where there is none.
    """
    before = previous(sources)
    steps = np.where(before >= 0, stamps - stamps[before], 0)
    doubtful = (steps <= 0) | (stamps == 0) | (stamps[before] == 0)
    # Between a step ahead and one back, the stamp itself is wrong.
    beside = doubtful.copy()
    follows = before >= 0
    beside[follows] |= doubtful[before[follows]] & (before[before[follows]] >= 0)
    beside[before[follows]] |= doubtful[follows]
    return np.where(beside, 0, steps)


def previous(sources: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return of each message the index of the one before of the same source, or -1."""
    order = np.argsort(sources, kind='stable')
    before = np.full(len(sources), -1, np.int64)
    same = sources[order[1:]] == sources[order[:-1]]
    before[order[1:][same]] = order[:-1][same]
    return before


class _Messages:
    """Messages in the order of writing, and when each was due."""

    def __init__(self, times: Times, sources: NDArray[np.int64], steps: Times) -> None:
        self.times, self.sources = times, sources
        self.before = previous(sources)
        self._own = np.where(self.before >= 0, times - times[self.before], 0)
        self._usual = np.zeros(int(sources.max()) + 1, np.int64)
        self._is_regular = np.zeros(len(self._usual), np.bool_)
        for source in np.unique(sources):
            self._learn_usual(source, np.sort(self._own[(sources == source) & (self._own > 0)]))
        usual = self._usual[self._usual > 0]
        densest = int(usual.min()) if len(usual) else 0
        self.longest_ns = max(LONGEST_PAUSE_NS, LONGEST_PAUSE_STEPS * densest)
        steps = np.where(steps <= self.longest_ns, steps, 0)
        self.due = np.where(steps > 0, steps, self._usual[sources])
        # A clock that stands still says no more than one at zero.
        still = (self.before >= 0) & (self._own == 0)
        self.untimed = still & ((steps > 0) | (times == 0))
        self.is_set = self._set_by_less_than_a_pause(steps)

    def _learn_usual(self, source: int, forward: Times) -> None:
        if len(forward):
            # The lower middle: a step that there was, and rather one without a pause in it.
            usual = forward[(len(forward) - 1) // 2]
            near = np.abs(forward - usual) < REGULAR_STEP * usual
            is_regular = len(forward) >= REGULAR_STEPS and near.mean() > REGULAR_SHARE
            self._is_regular[source] = is_regular
            if is_regular or usual <= LONGEST_PAUSE_NS:
                self._usual[source] = usual

    def are_steady(self) -> bool:
        """Return whether the clock does not jump at all."""
        between = np.diff(self.times)
        return bool(
            not self.is_set.any()
            and not self.untimed.any()
            and self._own.min() >= 0
            and between.min(initial=0) >= -SET_BACK_NS
            and between.max(initial=0) <= self.longest_ns
            and 0 <= self.times[0] < LAST_NS
        )

    def earliest_ns(self, index: int, last_ns: int) -> int:
        """Return when a message can come at the earliest behind the last of its source."""
        due_ns = last_ns + int(self.due[index])
        if self._is_regular[self.sources[index]]:
            return min(last_ns, due_ns - SET_BACK_NS)
        return last_ns - SET_BACK_NS

    def _set_by_less_than_a_pause(self, steps: Times) -> NDArray[np.bool_]:
        """Return where a clock was set by so little that only another clock shows it."""
        found = np.zeros(len(self.times), np.bool_)
        after = np.full(len(self.times), -1, np.int64)
        after[self.before[self.before >= 0]] = np.flatnonzero(self.before >= 0)
        known = (self.before >= 0) & ((steps > 0) | self._is_regular[self.sources])
        ahead = np.where(known, self._own - self.due, 0)
        usual = self._usual[self.sources]
        unusual = (self._own > UNUSUAL_STEPS * usual) | (self._own < usual // UNUSUAL_STEPS)
        for index in np.flatnonzero((np.abs(ahead) > SET_BACK_NS) & unusual & ~self.untimed):
            left, place = int(ahead[index]), int(after[index])
            sign = 1 if left > 0 else -1
            returns = False
            for _ in range(CATCHING_UP):
                if place < 0 or sign * left <= SET_BACK_NS:
                    break
                left += int(ahead[place])
                # Who catches up hurries, but does not go back.
                returns |= sign * int(self._own[place]) < -SET_BACK_NS
                place = int(after[place])
            stays = sign * left > SET_BACK_NS
            if returns if not stays else steps[index] > 0:
                # Others may have sent since: it was where the clock moves most at once.
                since = int(self.before[index])
                moved = sign * np.diff(self.times[since : index + 1])
                found[since + 1 + int(np.argmax(moved))] = True
        return found


class _Settings:
    """
    How a clock was set, by number: 0 is the first.

    of: the setting that each message goes by; -1 for those without a time.
    first: of each setting, its first message. offsets: what it is ahead of the steady time.
    """

    def __init__(self) -> None:
        self.of: list[int] = []
        self.first: list[int] = []
        self.offsets: list[int] = []


def _find_settings(messages: _Messages) -> _Settings:
    """Follow the messages, and find out by which setting each goes; offsets are a first guess."""
    settings = _Settings()
    offsets = settings.offsets
    steady: list[int] = []
    recent: list[int] = []
    now_ns = 0
    rows = zip(
        messages.times.tolist(),
        messages.before.tolist(),
        messages.due.tolist(),
        messages.untimed.tolist(),
        messages.is_set.tolist(),
        strict=True,
    )
    for index, (raw_ns, before, due, untimed, is_set) in enumerate(rows):
        last_ns = steady[before] if before >= 0 else None
        due_ns = now_ns if last_ns is None else last_ns + due
        if untimed:
            settings.of.append(-1)
            now_ns = due_ns
            steady.append(now_ns)
            continue
        tried = recent[:-1] if is_set else recent
        earliest_ns = -SET_BACK_NS if last_ns is None else messages.earliest_ns(index, last_ns)
        latest_ns = max(now_ns, due_ns) + messages.longest_ns
        fitting = [each for each in tried if earliest_ns <= raw_ns - offsets[each] <= latest_ns]
        if fitting:
            come_ns = {each: raw_ns - offsets[each] for each in fitting}
            chosen = _choose(come_ns, now_ns, due_ns, last_ns is None)
        else:
            chosen = len(offsets)
            alone = index == 0 or messages.sources[index - 1] == messages.sources[index]
            begins_ns = due_ns if alone else max(now_ns, last_ns or 0)
            offsets.append(raw_ns - begins_ns)
            settings.first.append(index)
        if recent[-1:] != [chosen]:
            recent = [*(each for each in recent if each != chosen), chosen][-SETTINGS_TRIED:]
        settings.of.append(chosen)
        now_ns = raw_ns - offsets[chosen]
        steady.append(now_ns)
    return settings


def _choose(come_ns: dict[int, int], now_ns: int, due_ns: int, is_first: bool) -> int:
    """Return by which setting a message comes, the latest in use being the last of them."""
    latest = next(reversed(come_ns))
    if abs(come_ns[latest] - now_ns) <= SET_BACK_NS:
        return latest
    if is_first:
        near = {each: at for each, at in come_ns.items() if at >= now_ns - SET_BACK_NS}
        # A topic that is written behind the others begins again with the first setting.
        if not near:
            return min(come_ns)
        come_ns = near
    return min(reversed(come_ns), key=lambda each: abs(come_ns[each] - due_ns))


def _place_settings(messages: _Messages, settings: _Settings) -> None:
    """Let each setting begin when the first message of the densest source behind it was due."""
    times, before, due = messages.times, messages.before, messages.due
    offsets, of = settings.offsets, np.array(settings.of, np.int64)
    crosses = (before >= 0) & (of[before] >= 0) & (of[before] < of) & (due > 0)
    crossing: list[dict[int, int]] = [{} for _ in offsets]
    for index in np.flatnonzero(crosses).tolist():
        crossing[of[index]].setdefault(int(messages.sources[index]), index)
    for setting, first in enumerate(settings.first[1:], 1):
        last = settings.of[first - 1]
        now_ns = int(times[first]) - offsets[setting]
        if 0 <= last < setting:
            now_ns = int(times[first - 1]) - offsets[last]
        for index in sorted(crossing[setting].values(), key=lambda each: int(due[each])):
            last_ns = int(times[before[index]]) - offsets[of[before[index]]]
            offset = int(times[index]) - last_ns - int(due[index])
            # Not by a source that was silent meanwhile: nothing goes back behind what has come.
            if int(times[first]) - offset >= now_ns - int(due[index]):
                offsets[setting] = offset
                break


def _apply_settings(messages: _Messages, settings: _Settings) -> SteadyTimes:
    """Return the times by the settings as they were placed, and what there is to say of them."""
    before, of = messages.before, np.array(settings.of, np.int64)
    offsets = np.array(settings.offsets, np.int64)
    steady = messages.times - offsets[of]
    for index in np.flatnonzero(messages.untimed).tolist():
        last, step_ns = int(before[index]), int(messages.due[index])
        steady[index] = steady[last] + step_ns if step_ns else max(steady[index - 1], steady[last])
    longest = int(np.argmax(np.bincount(of[of >= 0])))
    base_ns = int(offsets[longest])
    if not 0 <= int(steady.min()) + base_ns < LAST_NS:
        base_ns = NS - int(steady.min())
    result = SteadyTimes(steady + base_ns)
    linked = {longest}
    crosses = (before >= 0) & (of >= 0) & (of[before] >= 0) & (of[before] != of)
    for index in np.flatnonzero(crosses).tolist():
        linked |= {int(of[index]), int(of[before[index]])}
        by_ns = int(offsets[of[index]] - offsets[of[before[index]]])
        if abs(by_ns) > SET_BACK_NS:
            result.jumps.append(Jump(int(messages.sources[index]), index, by_ns))
    for source in np.unique(messages.sources).tolist():
        its_settings = np.unique(of[messages.sources == source]).tolist()
        if len(its_settings) == 1 and not linked & set(its_settings):
            result.apart[source] = int(offsets[its_settings[0]]) - int(offsets[longest])
        if untimed := int(messages.untimed[messages.sources == source].sum()):
            result.untimed[source] = untimed
    return result


def steady_stamps(stamps: Times, times: Times) -> SteadyTimes:
    """
    Return the stamps of one source by a clock that does not jump, in line with the recorder's.

    stamps: int64 [n] nanoseconds, in the order of writing. times: when each was recorded, steady.
    """
    if not len(stamps):
        return SteadyTimes(stamps)
    steady = steady_times(
        stamps, np.zeros(len(stamps), np.int64), np.diff(times, prepend=times[0])
    )
    steady.times = in_line(steady.times, stamps, steady.times - times)
    return steady


def in_line(steady: Times, raw: Times, ahead: Times) -> Times:
    """
    Return steady times as that setting of their clock had them that agrees with another clock.

    raw: the times as they were. ahead: what steady times are ahead of the other clock, any number.

    Where no setting agrees, the nearest counts of those by which a good part of the times go.
    """
    if not len(ahead):
        return steady
    offsets, counts = np.unique(raw - steady, return_counts=True)
    far = np.abs(np.median(ahead) + offsets)
    if far.min() > LONGEST_PAUSE_NS:
        far[counts < counts.max() / FEW] = np.inf
    shifted = steady + offsets[int(np.argmin(far))]
    return shifted if 0 <= int(shifted.min()) < LAST_NS else steady
