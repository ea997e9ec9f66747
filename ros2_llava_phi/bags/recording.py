"""A recording to be asked about: what is readable of it, and how much was lost."""

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from ros2_llava_phi.errors import BagError

from .bag import COMPRESSED_IMAGE, IMAGE
from .bag_reader import METADATA_FILE, announced_messages, damage_reported, opened
from .raw_message import Definition, RawMessage, Topic
from .salvage import Salvage

ENCODINGS = {'MSG': 'ros2msg', 'IDL': 'ros2idl', 'NONE': ''}


class Recording:
    """
    One rosbag2, whole or damaged.

    name: the name of its folder or file.
    topics: all of them by name.
    start_ns: time of the first message's recording.
    losses: sentences about what could not be read, complete once the messages were read.
    """

    def __init__(self, path: Path) -> None:
        """Find out what there is; raises BagError if nothing is readable."""
        self.path, self.name = path, path.resolve().name
        self.losses: list[str] = []
        self._announced: dict[str, int] = {}
        self._salvage: Salvage | None = None
        try:
            self._open()
        except BagError as error:
            if not path.exists():
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

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Yield the readable messages of some topics in the order of recording."""
        read: Counter[str] = Counter()
        for message in self._readable(topics):
            read[message.topic] += 1
            yield message
        for topic in topics:
            if read[topic] < self._announced.get(topic, 0):
                self._lose(
                    f'{read[topic]} of {self._announced[topic]} messages on {topic} are readable'
                )
        if self._salvage is None:
            return
        for loss in self._salvage.losses.values():
            self._lose(loss)
        if not self.losses:
            self._lose('it was not closed; all messages in its files are there')

    def _lose(self, loss: str) -> None:
        if loss not in self.losses:
            self.losses.append(loss)

    def _open(self) -> None:
        with opened(self.path) as reader:
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
            whole = self.path.is_file() or (self.path / METADATA_FILE).is_file()
            raise (error if whole else nothing) from None
        self.topics, self.start_ns = self._salvage.topics, self._salvage.start_ns
        self._announced = self._announced or announced_messages(self.path)

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
        with opened(self.path) as reader:
            wanted = [each for each in reader.connections if each.topic in topics]
            messages = reader.messages(wanted) if wanted else iter(())
            while True:
                with damage_reported(self.path):
                    try:
                        connection, recorded_ns, cdr = next(messages)
                    except StopIteration:
                        return
                yield RawMessage(connection.topic, connection.msgtype, recorded_ns, bytes(cdr))


def _mark(message: RawMessage) -> tuple[str, int, int]:
    return message.topic, message.recorded_ns, hash(message.cdr)
