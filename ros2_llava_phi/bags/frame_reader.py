"""Read the messages of a recording's cameras, and put the packets of videos into streams."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from ros2_llava_phi.errors import BagError

from .bag import RawMessage
from .camera_messages import CameraMessage, CameraMessages
from .video_stream import VideoPicture, VideoStream, codec_of


@dataclass(frozen=True)
class ReadMessage:
    """
    A camera's message.

    number: its place among those of its topic, from 0.
    stamp_ns, frame_id: what its header says; 0 and empty where it is damaged.
    video: its picture, where it is part of a video.
    """

    message: RawMessage
    number: int
    stamp_ns: int = 0
    frame_id: str = ''
    video: VideoPicture | None = None


class FrameReader:
    """
    Reads as far ahead as the picture of a video takes that somebody asks for.

    cameras: what reads the messages.
    """

    def __init__(
        self,
        messages: Generator[tuple[int, RawMessage], None, None],
        cameras: CameraMessages,
        on_damage: Callable[[RawMessage, Exception], object],
    ) -> None:
        """
        Read these messages, each with whatever number it has.

        on_damage: hears of a message that is damaged, and may raise an error.
        """
        self.cameras = cameras
        self._messages, self._on_damage = messages, on_damage
        self._ahead: deque[tuple[int, ReadMessage]] = deque()
        self._numbers: Counter[str] = Counter()
        self._streams: dict[tuple[str, str], VideoStream] = {}
        self._failure: BagError | None = None

    def read(self) -> Iterator[tuple[int, ReadMessage]]:
        """Yield the messages; raises what reading them raises, behind those before it."""
        try:
            while self._ahead or self._read_one():
                yield self._ahead.popleft()
        finally:
            self._messages.close()
        if self._failure is not None:
            raise self._failure

    def _read_one(self) -> bool:
        """Read another message; returns False if there is none."""
        try:
            index, raw = next(self._messages)
            self._ahead.append((index, self._take(raw)))
        except StopIteration:
            return False
        except BagError as error:
            # Whoever asks for a picture before it shall have that.
            self._failure = error
            self._messages.close()
            return False
        return True

    def _take(self, raw: RawMessage) -> ReadMessage:
        number = self._numbers[raw.topic]
        self._numbers[raw.topic] += 1
        try:
            said = self.cameras.read(raw)
        except Exception as error:
            # That these bytes are no picture comes out where the frame is looked at.
            self._on_damage(raw, error)
            return ReadMessage(raw, number)
        return ReadMessage(raw, number, said.stamp_ns, said.frame_id, self._video(raw, said))

    def _video(self, raw: RawMessage, said: CameraMessage) -> VideoPicture | None:
        codec = codec_of(said.names_video)
        if not codec:
            return None
        key = raw.topic, codec
        if key not in self._streams:
            self._streams[key] = VideoStream(codec, raw.topic, self._read_one)
        return self._streams[key].add(said.picture.data, raw.time_ns)
