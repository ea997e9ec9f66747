"""Read a rosbag2 without ROS: whole, or as much as is readable of it."""

from collections.abc import Collection, Generator, Iterator, Mapping
from itertools import islice
from pathlib import Path

from ros2_llava_phi.errors import BagError, counted
from ros2_llava_phi.imaging.pixels import MOST_BITS

from .bag import CDR, PICTURE_TYPES, Channel, RawMessage
from .camera_messages import CameraMessages
from .clock_notes import clock_notes, stamp_notes
from .frame_reader import FrameReader
from .index import Index
from .metadata import Metadata, read_metadata
from .recorded_frame import RecordedFrame
from .storage import storage_files


class Recording:
    """
    One rosbag2: its folder, or one of its .mcap or .db3 files, compressed or not.

    Its files are read themselves: what metadata.yaml or an index says of them can be wrong.

    name: the name of its folder or file.
    channels: all of them; of several types on one topic, each is one.
    start_ns: time of the first message, by a clock that does not jump.
    losses: sentences about what could not be read, of topics once their messages were read.
    """

    def __init__(self, path: Path, *, must_be_whole: bool = False) -> None:
        """
        Read through its files once, and find out what there is.

        must_be_whole: refuse any damage; else what is readable is read.

        Raises BagError if nothing is readable.
        """
        if not path.exists():
            raise BagError(f'{path} does not exist; name the folder of a rosbag2')
        self.path, self.name = path, recording_name(path)
        self.losses: list[str] = []
        self._notes: list[str] = []
        self._must_be_whole = must_be_whole
        self._metadata = self._read_metadata()
        files = storage_files(path, self._metadata.files)
        self._index = Index(files)
        self.channels, self.start_ns = self._index.channels, self._index.start_ns()
        for loss in reversed(self._index.losses):
            self.lose(loss)
        if not len(self._index) and self.losses:
            raise BagError(
                f'{path} holds no readable message: it is damaged, or no rosbag2 '
                f'({"; ".join(self.losses)})'
            )
        self._missing = [each for each in self._metadata.files if not (path / each).is_file()]
        if len(files) < len(self._metadata.files):
            self.lose(f'{", ".join(self._missing)} is missing')

    def image_topics(self) -> dict[str, str]:
        """Return the topics that carry pictures, with their types; raises BagError if none do."""
        images = {each.topic: each.type for each in self.channels if each.has_pictures}
        if not images:
            foreign = [each for each in self.channels if each.type in PICTURE_TYPES]
            advice = f'; pictures must be serialised as {CDR}' if foreign else ''
            others = ', '.join(map(str, self.channels))
            rest = f'only {others}' if others else 'nor anything else'
            raise BagError(
                f'{self.path} holds no pictures ({" or ".join(PICTURE_TYPES)}), {rest}{advice}'
            )
        return images

    def frames(
        self, cameras: Mapping[str, str] | None = None, significant_bits: int = MOST_BITS
    ) -> Iterator[RecordedFrame]:
        """
        Yield the frames of cameras in the order of recording.

        cameras: names and their topics; by default all topics that carry pictures, by themselves.
        significant_bits: of the values of 16-bit encodings (`image_to_rgb`).

        Raises BagError for a topic without pictures.
        """
        known = self.image_topics()
        names = {
            topic: camera for camera, topic in (cameras or {each: each for each in known}).items()
        }
        for topic in names:
            if topic not in known:
                raise BagError(
                    f'{self.path} has no pictures on {topic!r}; it has them on {", ".join(known)}'
                )
        wanted = [each for each in self.channels if each.has_pictures and each.topic in names]
        reader = FrameReader(self._messages(wanted), CameraMessages(wanted), self._hear_of_damage)
        for index, read in reader.read():
            message = read.message
            yield RecordedFrame(
                camera=names[message.topic],
                number=read.number,
                at_s=self.seconds(message.time_ns),
                message=message,
                stamp_ns=read.stamp_ns,
                frame_id=read.frame_id,
                # A damaged message has none, though it may begin with one.
                steady_stamp_ns=read.stamp_ns and int(self._index.steady_stamps[index]),
                messages=reader.cameras,
                video=read.video,
                significant_bits=significant_bits,
            )

    def has_video(self, topic: str) -> bool:
        """Return whether the pictures of a topic are those of a video, by its first message."""
        return any(each.video is not None for each in islice(self.frames({topic: topic}), 1))

    def messages(self, channels: Collection[Channel]) -> Iterator[RawMessage]:
        """
        Yield the readable messages of some channels in the order of recording.

        Raises BagError for any damage in what must be whole.
        """
        return (message for _, message in self._messages(channels))

    def seconds(self, time_ns: int) -> float:
        """Return a steady time as seconds since the recording's start."""
        return (time_ns - self.start_ns) / 1e9

    def lose(self, loss: str) -> None:
        """Take note of what cannot be read; raises BagError in what must be whole."""
        if self._must_be_whole:
            raise BagError(f'{self.path} is damaged: {loss}')
        if loss not in self.losses:
            # What the loss amounts to comes before where it is.
            self.losses.insert(0, loss)

    def notes(self, topics: Collection[str]) -> list[str]:
        """Return sentences about metadata and clocks, those of the stamps on these topics."""
        return [*self._notes, *clock_notes(self._index), *stamp_notes(self._index, topics)]

    def _messages(
        self, channels: Collection[Channel]
    ) -> Generator[tuple[int, RawMessage], None, None]:
        counts = self._index.counts()
        for topic in dict.fromkeys(each.topic for each in channels):
            announced = self._metadata.counts.get(topic, 0)
            if counts[topic] < announced:
                self.lose(
                    f'{counts[topic]} of {counted(announced, "message")} on {topic} are readable'
                )
                if self._missing:
                    self.lose(f'{", ".join(self._missing)} is missing')
        return self._index.messages(channels)

    def _hear_of_damage(self, message: RawMessage, error: Exception) -> None:
        if self._must_be_whole:
            raise BagError(
                f'{self.path} is damaged: a message on {message.topic} is no picture ({error})'
            ) from error

    def _read_metadata(self) -> Metadata:
        """Return what metadata.yaml announces; a file by itself has none."""
        if self.path.is_file():
            return Metadata()
        try:
            return read_metadata(self.path)
        except BagError as error:
            if self._must_be_whole:
                # Where there is nothing to read, that is what is wrong.
                storage_files(self.path)
                raise
            self._notes.append(f'{str(error).rstrip(".")}. Every message in its files is read.')
            return Metadata()


def recording_name(path: Path) -> str:
    """Return what a recording is called: as its folder or file is."""
    return path.resolve().name
