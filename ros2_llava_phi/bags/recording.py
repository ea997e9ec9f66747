"""Read a rosbag2 without ROS: whole, or as much as is readable of it."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rosbags.rosbag2 import Reader

from ros2_llava_phi.errors import BagError
from ros2_llava_phi.files.yaml_file import read_yaml
from ros2_llava_phi.imaging.pixels import MOST_BITS

from .bag import COMPRESSED_IMAGE, IMAGE, Definition, RawMessage, Topic
from .recorded_frame import RecordedFrame, read_header
from .salvage import Salvage, storage_files

METADATA_FILE = 'metadata.yaml'
ENCODINGS = {'MSG': 'ros2msg', 'IDL': 'ros2idl', 'NONE': ''}


class Recording:
    """
    One rosbag2: its folder, or one of its .mcap or .db3 files.

    name: the name of its folder or file.
    topics: all of them by name.
    start_ns: time of the first message's recording.
    losses: sentences about what could not be read, complete once the messages were read.
    """

    def __init__(self, path: Path, *, must_be_whole: bool = False) -> None:
        """
        Find out what there is.

        must_be_whole: refuse any damage; else what is readable is read.

        Raises BagError if nothing is readable.
        """
        self.path, self.name = path, path.resolve().name
        self.losses: list[str] = []
        self._must_be_whole = must_be_whole
        self._announced: dict[str, int] = {}
        self._salvage: Salvage | None = None
        try:
            self._open()
        except BagError as error:
            if must_be_whole or not path.exists():
                raise
            self._give_up(error)

    def image_topics(self) -> dict[str, str]:
        """Return the topics that carry pictures, with their types; raises BagError if none do."""
        images = {
            name: topic.type
            for name, topic in self.topics.items()
            if topic.type in (IMAGE, COMPRESSED_IMAGE)
        }
        if not images:
            others = ', '.join(f'{name} ({each.type})' for name, each in self.topics.items())
            raise BagError(
                f'{self.path} holds no pictures ({IMAGE} or {COMPRESSED_IMAGE}), '
                f'only {others or "nothing"}'
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
        numbers: Counter[str] = Counter()
        for message in self.messages(names):
            at_s = (message.recorded_ns - self.start_ns) / 1e9
            header = self._header(message)
            yield RecordedFrame(
                names[message.topic],
                numbers[message.topic],
                at_s,
                message,
                *header,
                significant_bits,
            )
            numbers[message.topic] += 1

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """
        Yield the readable messages of some topics in the order of recording.

        Raises BagError for any damage in what must be whole, behind what comes before it.
        """
        read: Counter[str] = Counter()
        for message in self._readable(topics):
            read[message.topic] += 1
            yield message
        announced = {each: self._announced.get(each, 0) for each in topics}
        if self._must_be_whole and read.total() != sum(announced.values()):
            raise BagError(
                f'{self.path} is damaged: it holds {read.total()} of {sum(announced.values())} '
                f'messages on {", ".join(topics)}'
            )
        for topic in topics:
            if read[topic] < announced[topic]:
                self._lose(f'{read[topic]} of {announced[topic]} messages on {topic} are readable')
        if self._salvage is None:
            return
        for loss in self._salvage.losses.values():
            self._lose(loss)
        if not self.losses:
            self._lose('it was not closed; all messages in its files are there')

    def _header(self, message: RawMessage) -> tuple[int, str]:
        try:
            return read_header(message)
        except Exception as error:
            if self._must_be_whole:
                raise _damage(self.path, error) from error
            # That these bytes are no picture comes out where the frame is looked at.
            return 0, ''

    def _lose(self, loss: str) -> None:
        if loss not in self.losses:
            self.losses.append(loss)

    def _open(self) -> None:
        with _opened(self.path) as reader:
            self.topics = {
                each.topic: Topic(
                    each.msgtype,
                    Definition(ENCODINGS[each.msgdef.format.name], each.msgdef.data),
                )
                for each in reader.connections
            }
            for each in reader.connections:
                self._announced[each.topic] = self._announced.get(each.topic, 0) + each.msgcount
            self.start_ns = reader.start_time if reader.message_count else 0

    def _give_up(self, error: BagError) -> None:
        """Read without the bag's index from now on; raises the error if nothing is readable."""
        try:
            self._salvage = Salvage(self.path)
        except BagError as nothing:
            # Where metadata.yaml is missing as well, a new one would not help.
            described = self.path.is_file() or (self.path / METADATA_FILE).is_file()
            raise (error if described else nothing) from None
        self.topics, self.start_ns = self._salvage.topics, self._salvage.start_ns
        self._announced = self._announced or _announced_messages(self.path)

    def _readable(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Yield from the bag until it turns out to be damaged, and then what else is readable."""
        already: Counter[tuple[str, int, int]] = Counter()
        if self._salvage is None:
            try:
                for message in self._intact(topics):
                    already[_mark(message)] += 1
                    yield message
                return
            except BagError as error:
                if self._must_be_whole:
                    raise
                start_ns = self.start_ns
                try:
                    self._give_up(error)
                except BagError:
                    self._lose(str(error))
                    return
                # Seconds are counted from where they were before.
                self.start_ns = start_ns
        salvage = self._salvage
        for message in salvage.messages() if salvage else ():
            if message.topic not in topics:
                continue
            if already[_mark(message)]:
                already[_mark(message)] -= 1
                continue
            yield message

    def _intact(self, topics: Collection[str]) -> Iterator[RawMessage]:
        with _opened(self.path) as reader:
            wanted = [each for each in reader.connections if each.topic in topics]
            messages = reader.messages(wanted) if wanted else iter(())
            while True:
                with _damage_reported(self.path):
                    try:
                        connection, recorded_ns, cdr = next(messages)
                    except StopIteration:
                        return
                yield RawMessage(connection.topic, connection.msgtype, recorded_ns, bytes(cdr))


@contextmanager
def _opened(path: Path) -> Iterator[Reader]:
    """Open a bag; raises BagError for one that is missing or damaged."""
    if not path.exists():
        raise BagError(f'{path} does not exist; name the folder of a rosbag2')
    if path.is_dir() and not (path / METADATA_FILE).is_file():
        storage_files(path)
        raise BagError(
            f'{path} is not a rosbag2: it has no {METADATA_FILE}; '
            f'if the recording broke off, `ros2 bag reindex` writes a new one'
        )
    with _damage_reported(path):
        reader = Reader(path)
        reader.open()
    try:
        yield reader
    finally:
        reader.close()


def _announced_messages(path: Path) -> dict[str, int]:
    """Return how many messages of each topic a bag should hold, as far as its folder says."""
    try:
        content = read_yaml(path / METADATA_FILE)
        return {
            str(each['topic_metadata']['name']): int(each['message_count'])
            for each in content['rosbag2_bagfile_information']['topics_with_message_count']
        }
    except Exception:
        # It may be missing or damaged as well, in whatever way.
        return {}


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    """Turn whatever comes of damaged bytes into BagError."""
    # What the library raises depends on which byte is wrong, from its own errors over those of
    # struct, SQLite and zstd to a bare KeyError; each of them means the same to the user.
    try:
        yield
    except Exception as error:
        raise _damage(path, error) from error


def _damage(path: Path, error: Exception) -> BagError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return BagError(f'{path} cannot be read: it is damaged, or no rosbag2 ({reason})')


def _mark(message: RawMessage) -> tuple[str, int, int]:
    return message.topic, message.recorded_ns, hash(message.cdr)
