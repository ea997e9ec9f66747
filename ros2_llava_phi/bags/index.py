"""What the files of a recording hold: every message in the order of writing, and its time."""

from array import array
from collections import Counter
from collections.abc import Collection, Generator, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.errors import counted

from .bag import Channel, RawMessage
from .clock import (
    SteadyTimes,
    Times,
    in_line,
    never_falling,
    steady_stamps,
    steady_times,
    steps_between,
)
from .stamps import FURTHEST_NS
from .storage import StorageFile, opened


class Index:
    """
    The messages of some files.

    channels: all of them.
    losses: half a sentence about each file that is not readable to its end.
    clock: the times of recording by a clock that does not jump, in the order of writing.
    channel_of: the number of each message's channel.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        """Read through the files once; raises BagError for one that cannot be opened."""
        self._files = files
        self.channels: list[Channel] = []
        self.losses: list[str] = []
        found = array('q')
        for number, file in enumerate(files):
            with opened(file) as storage:
                self._scan(number, storage, found)
        rows = np.frombuffer(found, np.int64).reshape(-1, 6)
        self._places = rows[:, :3]
        self.channel_of = rows[:, 3]
        self._recorded = np.clip(rows[:, 4], -FURTHEST_NS, FURTHEST_NS)
        self._stamps = rows[:, 5]
        steps = steps_between(self._stamps, self.channel_of)
        self.clock = steady_times(self._recorded, self.channel_of, steps)
        stamped = self._stamps != 0
        ahead = self.clock.times[stamped] - self._stamps[stamped]
        times = in_line(self.clock.times, self._recorded, ahead)
        self.clock.times = never_falling(times, self.channel_of)

    def counts(self) -> Counter[str]:
        """Return how many messages each topic has."""
        counts: Counter[str] = Counter()
        for channel, count in enumerate(np.bincount(self.channel_of)):
            counts[self.channels[channel].topic] += int(count)
        return counts

    def start_ns(self) -> int:
        """Return the time of the first message; 0 where there is none."""
        return int(self.clock.times.min(initial=np.iinfo(np.int64).max)) if len(self) else 0

    def __len__(self) -> int:
        return len(self.channel_of)

    def messages(
        self, channels: Collection[Channel]
    ) -> Generator[tuple[int, RawMessage], None, None]:
        """Yield the messages of channels with their numbers, in the order of their times."""
        wanted = [self.channels.index(each) for each in channels]
        numbers = np.flatnonzero(np.isin(self.channel_of, wanted))
        numbers = numbers[np.argsort(self.clock.times[numbers], kind='stable')]
        files = self._places[numbers, 0].tolist()
        last = {file: place for place, file in enumerate(files)}
        open_files: dict[int, tuple[StorageFile, ExitStack]] = {}
        with ExitStack() as everything:
            for place, (number, file) in enumerate(zip(numbers.tolist(), files, strict=True)):
                if file not in open_files:
                    stack = everything.enter_context(ExitStack())
                    open_files[file] = stack.enter_context(opened(self._files[file])), stack
                _, at, inside = self._places[number].tolist()
                cdr = open_files[file][0].read(at, inside)
                channel = self.channels[self.channel_of[number]]
                times = int(self._recorded[number]), int(self.clock.times[number])
                yield number, RawMessage(channel, *times, cdr)
                if last[file] == place:
                    open_files.pop(file)[1].close()

    @cached_property
    def stamp_clocks(self) -> dict[int, tuple[NDArray[np.intp], SteadyTimes]]:
        """Return of each channel of a camera its messages, and their stamps by a steady clock."""
        clocks = {}
        for channel, each in enumerate(self.channels):
            if each.has_pictures:
                numbers = np.flatnonzero(self.channel_of == channel)
                times = self.clock.times[numbers]
                clocks[channel] = numbers, steady_stamps(self._stamps[numbers], times)
        return clocks

    @cached_property
    def steady_stamps(self) -> Times:
        """Return of each message of a camera its stamp by a steady clock; 0 of others."""
        stamps = np.zeros(len(self), np.int64)
        for numbers, clock in self.stamp_clocks.values():
            stamps[numbers] = np.where(self._stamps[numbers] != 0, clock.times, 0)
        return stamps

    def _scan(self, number: int, storage: StorageFile, found: 'array[int]') -> None:
        """Append file, place, number there, channel, time and stamp of each message."""
        own: dict[int, int] = {}
        count, first_ns, last_ns = 0, 0, 0
        for place, inside, channel, recorded_ns, stamp_ns in storage.scan():
            if channel not in own:
                own[channel] = self._number(storage.channels[channel])
            found.extend((number, place, inside, own[channel], recorded_ns, stamp_ns))
            first_ns = recorded_ns if not count else min(first_ns, recorded_ns)
            last_ns = max(last_ns, recorded_ns) if count else recorded_ns
            count += 1
        for each in storage.channels:
            self._number(each)
        if storage.loss:
            extent = 'nothing in it is readable'
            if count:
                seconds = (last_ns - first_ns) / 1e9
                readable = f'{counted(count, "message")} in it {"is" if count == 1 else "are"}'
                extent = f'{readable} readable, the last one {seconds:.1f} s into it'
            self.losses.append(f'{self._files[number].name} {storage.loss}; {extent}')

    def _number(self, channel: Channel) -> int:
        if channel not in self.channels:
            self.channels.append(channel)
        return self.channels.index(channel)
