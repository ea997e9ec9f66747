"""What is readable of an SQLite file of rosbag2, message by message, without its indices."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import zstandard

from .raw_message import Definition, RawMessage, Topic

# Where each message is compressed by itself, it begins like this (RFC 8878, section 3.1.1).
ZSTD_FRAME = b'\x28\xb5\x2f\xfd'


class Sqlite3Remains:
    """An SQLite file that is read from its first message up to the damage."""

    def __init__(self, path: Path) -> None:
        """Take a file; `topics` and `loss` hold once its messages were read."""
        self._path = path
        self.topics: dict[str, Topic] = {}
        self.loss = ''

    def messages(self) -> Iterator[RawMessage]:
        """Yield the messages in the order of writing, those in an unfinished journal as well."""
        # Where the journal cannot be opened, as in a folder that is read-only, without it.
        for how in ('mode=ro', 'immutable=1'):
            count = 0
            for message in self._messages(f'{self._path.resolve().as_uri()}?{how}'):
                count += 1
                yield message
            if count:
                break

    def _messages(self, uri: str) -> Iterator[RawMessage]:
        self.loss = ''
        try:
            with closing(sqlite3.connect(uri, uri=True)) as bag:
                # Without it, SQLite refuses any file that is shorter than it once was.
                bag.execute('PRAGMA writable_schema=ON')
                topics = self._read_topics(bag)
                rows = bag.execute('SELECT topic_id, timestamp, data FROM messages ORDER BY id')
                for number, recorded_ns, data in rows:
                    if number in topics:
                        topic = topics[number]
                        yield RawMessage(topic, self.topics[topic].type, recorded_ns, _plain(data))
        except (sqlite3.Error, zstandard.ZstdError, TypeError) as error:
            self.loss = f'is damaged ({error})'

    def _read_topics(self, bag: sqlite3.Connection) -> dict[int, str]:
        definitions = {}
        # Distributions before Iron do not store them.
        tables = {name for (name,) in bag.execute('SELECT name FROM sqlite_master')}
        if 'message_definitions' in tables:
            definitions = {
                name: Definition(encoding, text)
                for name, encoding, text in bag.execute(
                    'SELECT topic_type, encoding, encoded_message_definition '
                    'FROM message_definitions'
                )
            }
        topics = {}
        for number, name, message_type in bag.execute('SELECT id, name, type FROM topics'):
            topics[number] = name
            self.topics[name] = Topic(message_type, definitions.get(message_type, Definition()))
        return topics


def _plain(data: bytes) -> bytes:
    return zstandard.decompress(data) if data.startswith(ZSTD_FRAME) else data
