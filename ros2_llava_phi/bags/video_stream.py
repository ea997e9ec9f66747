"""
Decode the video of a camera that was recorded packet by packet, H.264 or H.265, with PyAV.

A picture builds on those before it, back to the last key frame. One that lost data is refused,
and so is what may build on it, until the next key frame.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.errors import DamagedFrameError, FrameError, InstallationError
from ros2_llava_phi.imaging.pixels import MOST_PIXELS

from .h264_numbers import FrameNumbers
from .nal_units import START_CODE, SYNTAX, AccessUnit, is_length_prefixed, read_access_unit

# Before 17, it takes the colours of BT.709 for those of BT.601.
PYAV = 'av>=17'
# What is in the names that drivers and encoders have for a codec, but for punctuation.
NAMES = {'h264': ('h264', 'avc', 'x264'), 'hevc': ('h265', 'hevc', 'x265')}
# Beyond this, pictures are decoded though nobody asked for one.
MOST_BYTES = 64 * 2**20
MOST_PARAMETER_SETS = 64
# What is usual between two messages is the median of so many.
PERIODS = 15
# In FFmpeg's words, at whatever level it says them.
LOST = ('Could not find ref', 'Missing reference', 'reference picture missing')
DAMAGED = ('bytestream overread', 'concealing')
# Encoders are sloppy there; the picture is none the worse for it.
HARMLESS = ('SEI type',)
BEFORE = (
    'it builds on pictures from before the first key frame of the recording; have the encoder '
    'send key frames more often'
)
NOTHING = 'no picture came of it'
MISSING = 'pictures that it builds on are missing'
BUILDS_ON = 'it builds on a picture that is missing or damaged, up to the next key frame'


def codec_of(name: str) -> str:
    """Return FFmpeg's name of the codec that a message names; empty for none that is read."""
    plain = re.sub(r'[^a-z0-9]', '', name.lower())
    return next((codec for codec, names in NAMES.items() if any(n in plain for n in names)), '')


class VideoPicture:
    """The picture of one message, decoded when somebody asks for it."""

    def __init__(self, group: '_Group | None' = None, problem: FrameError | None = None) -> None:
        """Take the group of pictures that it belongs to, or why there is no picture."""
        self._group, self._problem = group, problem
        self._frame: Any = None

    def rgb(self) -> NDArray[np.uint8]:
        """
        Return it as uint8 [height, width, 3], by the colour space and range that the stream names.

        Raises DamagedFrameError where it lost data, FrameError where it builds on what is not
        there.
        """
        if self._group is not None and not self.is_settled:
            self._group.decode(self)
        if self._frame is None:
            raise self._problem or FrameError(NOTHING)
        return np.asarray(self._frame.to_ndarray(format='rgb24'), np.uint8)

    @property
    def is_settled(self) -> bool:
        """Return whether there is a picture, or a reason why not."""
        return self._frame is not None or self._problem is not None

    def settle(self, frame: Any = None, problem: FrameError | None = None) -> None:
        """Take what came of it, unless something came before."""
        if not self.is_settled:
            self._frame, self._problem = frame, problem


class VideoStream:
    """The messages of one camera in the order of recording."""

    def __init__(self, codec: str, topic: str, read_ahead: Callable[[], bool]) -> None:
        """
        Begin before the first message.

        codec: FFmpeg's name of it.
        read_ahead: reads the recording's next message, and says whether there was one. Some
        pictures come out of the decoder behind later ones.

        Raises InstallationError where PyAV is missing.
        """
        self._decoders = _Decoders(codec, topic)
        self._codec, self._read_ahead = codec, read_ahead
        self._length_prefixed: bool | None = None
        self._parameter_sets: dict[bytes, None] = {}
        self._group: _Group | None = None
        # The group before, and the key frame behind it, while leading pictures may follow.
        self._before: _Group | None = None
        self._key_packet = b''
        self._numbers = FrameNumbers() if codec == 'h264' else None
        self._newest_ns = 0
        self._periods: deque[int] = deque(maxlen=PERIODS)

    def add(self, data: bytes, stamp_ns: int) -> VideoPicture:
        """Take the data of the next message, and give its picture, not yet decoded."""
        if self._length_prefixed is None:
            self._length_prefixed = is_length_prefixed(data)
        unit = read_access_unit(data, SYNTAX[self._codec], bool(self._length_prefixed))
        known = b''.join(START_CODE + each for each in self._parameter_sets)
        self._remember(unit.parameter_sets)
        if not unit.first_slice:
            return VideoPicture(problem=FrameError('the message holds no picture'))
        is_behind_a_loss = self._is_behind_a_loss(unit, stamp_ns)
        if unit.is_leading:
            return self._add_leading(unit)
        if self._before is not None:
            self._before.is_complete = True
            self._before = None
        if unit.is_key:
            return self._add_key(unit, known)
        if self._group is None:
            return VideoPicture(problem=FrameError(BEFORE))
        if is_behind_a_loss:
            return self._group.refuse(FrameError(MISSING))
        return self._group.add(unit.packet, unit.pictures)

    def _add_key(self, unit: AccessUnit, parameter_sets: bytes) -> VideoPicture:
        self._before, self._group = self._group, _Group(self._decoders, self._read_ahead)
        self._key_packet = unit.packet
        return self._group.add(parameter_sets + unit.packet, unit.pictures)

    def _add_leading(self, unit: AccessUnit) -> VideoPicture:
        """Add what follows a key frame and builds on pictures before it: to the group of those."""
        if self._before is None:
            return VideoPicture(problem=FrameError(BEFORE))
        if self._key_packet:
            self._before.add(self._key_packet, 1)
            self._key_packet = b''
        return self._before.add(unit.packet, unit.pictures)

    def _remember(self, parameter_sets: tuple[bytes, ...]) -> None:
        """Keep what a later group needs, the newest last."""
        if self._numbers is not None:
            self._numbers.learn(parameter_sets)
        for each in parameter_sets:
            self._parameter_sets.pop(each, None)
            self._parameter_sets[each] = None
        while len(self._parameter_sets) > MOST_PARAMETER_SETS:
            del self._parameter_sets[next(iter(self._parameter_sets))]

    def _is_behind_a_loss(self, unit: AccessUnit, stamp_ns: int) -> bool:
        """Return whether H.264 pictures are missing; of H.265, the decoder knows."""
        if self._numbers is None:
            return False
        is_missing = self._numbers.is_behind_a_loss(unit.first_slice)
        passed_ns, self._newest_ns = stamp_ns - self._newest_ns, stamp_ns
        if len(self._periods) == PERIODS:
            # As many as make no difference to the numbers may be missing: nobody can tell.
            is_missing |= passed_ns >= self._numbers.modulus * median(self._periods) > 0
        self._periods.append(passed_ns)
        return is_missing


class _Group:
    """
    Pictures from one key frame to the next, decoded from its first on and only as far as needed.

    is_complete: no more of it comes.
    """

    def __init__(self, decoders: '_Decoders', read_ahead: Callable[[], bool]) -> None:
        self._decoders, self._read_ahead = decoders, read_ahead
        self._decoder: Any = None
        self._queue: deque[tuple[int, bytes]] = deque()
        self._bytes = self._count = 0
        # Whom nobody holds any more, nobody will ask for.
        self._pictures: WeakValueDictionary[int, VideoPicture] = WeakValueDictionary()
        self._is_broken = self.is_complete = False

    def add(self, packet: bytes, pictures: int) -> VideoPicture:
        """Take the next packet; there should be one picture in it."""
        if self._is_broken:
            return VideoPicture(problem=FrameError(BUILDS_ON))
        if pictures != 1:
            what = f'{pictures} pictures' if pictures else 'a part of a picture'
            return self.refuse(
                DamagedFrameError(f'the message holds {what}, where one whole is right')
            )
        picture = VideoPicture(self)
        self._pictures[self._count] = picture
        self._queue.append((self._count, packet))
        self._count += 1
        self._bytes += len(packet)
        while self._bytes > MOST_BYTES:
            self._feed()
        return picture

    def refuse(self, problem: FrameError) -> VideoPicture:
        """Take what is no picture; nothing that is added behind it is one, either."""
        problem = FrameError(BUILDS_ON) if self._is_broken else problem
        self._is_broken = True
        return VideoPicture(problem=problem)

    def decode(self, picture: VideoPicture) -> None:
        """Decode as far as it takes to settle a picture."""
        while not picture.is_settled:
            if self._queue:
                self._feed()
            elif self.is_complete or self._is_broken or not self._read_ahead():
                self._finish()

    def _feed(self) -> None:
        number, packet = self._queue.popleft()
        self._bytes -= len(packet)
        if self._decoder is None:
            self._decoder = self._decoders.take()
        frames, complaint = self._decoders.decode(self._decoder, packet, number)
        if complaint:
            self._settle(number, problem=complaint)
            for later, _ in self._queue:
                self._settle(later, problem=FrameError(BUILDS_ON))
            self._queue.clear()
            self._bytes = 0
            self._is_broken = True
        self._deliver(frames)
        if complaint:
            self._finish()

    def _finish(self) -> None:
        """Take what the decoder still holds; nothing comes behind it."""
        if self._decoder is not None:
            self._deliver(self._decoders.give_back(self._decoder))
            self._decoder = None
        for number in list(self._pictures):
            self._settle(number, problem=FrameError(NOTHING))

    def _deliver(self, frames: list[Any]) -> None:
        for frame in frames:
            if frame.is_corrupt:
                self._settle(frame.pts, problem=DamagedFrameError('its data are damaged'))
            self._settle(frame.pts, frame)

    def _settle(self, number: int, frame: Any = None, problem: FrameError | None = None) -> None:
        picture = self._pictures.pop(number, None)
        if picture is not None:
            picture.settle(frame, problem)


class _Decoders:
    """The decoders of one stream: one for each group that is being decoded, used again after."""

    def __init__(self, codec: str, topic: str) -> None:
        try:
            import av
        except ModuleNotFoundError as error:
            name = 'H.264' if codec == 'h264' else 'H.265'
            raise InstallationError(
                f"{topic} carries {name} video, which needs PyAV: pip install '{PYAV}'"
            ) from error
        self._av: Any = av
        self._codec = codec
        self._idle: list[Any] = []

    def take(self) -> Any:
        """Return a decoder that knows nothing of other groups."""
        if self._idle:
            return self._idle.pop()
        decoder = self._av.CodecContext.create(self._codec, 'r')
        # With threads, complaints come late, and on others.
        decoder.thread_count = 1
        decoder.options = {
            'err_detect': 'crccheck+bitstream+buffer+explode',
            'max_pixels': str(MOST_PIXELS),
        }
        return decoder

    def decode(
        self, decoder: Any, packet: bytes, number: int
    ) -> tuple[list[Any], FrameError | None]:
        """Return the frames that come out, numbered as their packets, and what is wrong."""
        given = self._av.Packet(packet)
        given.pts = number
        frames: list[Any] = []
        with self._heard() as said:
            try:
                frames = decoder.decode(given)
            except self._av.error.FFmpegError as error:
                said.append((self._av.logging.ERROR, '', str(error)))
        return frames, self._complaint(said)

    def give_back(self, decoder: Any) -> list[Any]:
        """Return the frames that a decoder still holds, and have it forget everything."""
        with self._heard():
            try:
                frames: list[Any] = decoder.decode(None)
            except self._av.error.FFmpegError:
                frames = []
            decoder.flush_buffers()
        self._idle.append(decoder)
        return frames

    @contextmanager
    def _heard(self) -> Iterator[list[tuple[int, str, str]]]:
        """Collect what FFmpeg says: much of what it finds wrong, it says and nothing else."""
        logging = self._av.logging
        before = logging.get_level(), logging.get_skip_repeated()
        logging.set_level(logging.DEBUG)
        logging.set_skip_repeated(False)
        try:
            with logging.Capture() as said:
                yield said
        finally:
            logging.set_level(before[0])
            logging.set_skip_repeated(before[1])

    def _complaint(self, said: list[tuple[int, str, str]]) -> FrameError | None:
        for level, _, text in said:
            if text.startswith(LOST):
                return FrameError(MISSING)
            is_error = level <= self._av.logging.ERROR and not text.startswith(HARMLESS)
            if is_error or text.startswith(DAMAGED):
                reason = ' '.join(text.split())
                return DamagedFrameError(f'its data are damaged (FFmpeg: {reason})')
        return None
