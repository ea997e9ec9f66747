"""One SQLite file: which messages it holds, in the order of writing, and each of them."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from .bag import CDR, Channel, Definition
from .cdr import recorded_stamp, unpacked

MAGIC = b'SQLite format 3\0'


class Sqlite3File:
    """
    The messages of a file, those in an unfinished journal as well.

    channels: complete once the file was scanned.
    loss: half a sentence on what of it cannot be read, once it was scanned; empty if all can.
    """

    def __init__(self, path: Path) -> None:
        """Open a file; raises OSError if that cannot be done."""
        self._database: sqlite3.Connection | None = None
        self.channels: list[Channel] = []
        self.loss = ''
        path.open('rb').close()
        # Where the journal cannot be opened, as in a folder that is read-only, without it.
        for how in ('mode=ro', 'immutable=1'):
            self.close()
            self._database = sqlite3.connect(f'{path.resolve().as_uri()}?{how}', uri=True)
            try:
                # Without it, SQLite refuses any file that is shorter than it once was.
                self._database.execute('PRAGMA writable_schema=ON')
                if self._database.execute('SELECT id FROM messages LIMIT 1').fetchone():
                    return
            except sqlite3.Error:
                continue

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()

    def scan(self) -> Iterator[tuple[int, int, int, int, int]]:
        """
        Yield of each message its place, its number there (0), its channel, and its times.

        The times are when it was recorded, and the stamp of a camera's message, 0 of others.
        """
        assert self._database is not None
        astray = 0
        try:
            numbers = self._read_channels(self._database)
            for place, topic, recorded_ns, data in self._database.execute(
                'SELECT id, topic_id, timestamp, data FROM messages ORDER BY id'
            ):
                channel = numbers.get(topic)
                # SQLite takes any value in any column.
                kinds = type(place), type(recorded_ns), type(data)
                if channel is None or kinds != (int, int, bytes):
                    astray += 1
                    continue
                stamp_ns = recorded_stamp(self.channels[channel], data)
                yield place, 0, channel, recorded_ns, stamp_ns
        except sqlite3.Error as error:
            self.loss = f'is damaged ({error})'
        else:
            if astray:
                self.loss = f'is damaged: {astray} of its messages have no topic, time or content'

    def read(self, place: int, _number: int) -> bytes:
        """Return a message that the scan found, as it went over the wire."""
        assert self._database is not None
        try:
            rows = self._database.execute('SELECT data FROM messages WHERE id = ?', (place,))
            data: bytes = rows.fetchone()[0]
        except (sqlite3.Error, TypeError):
            # The way to it by its number is damaged: a message without content.
            return b''
        return unpacked(data)

    def _read_channels(self, database: sqlite3.Connection) -> dict[int, int]:
        """Learn the channels, and return the place of each by its topic's number in the file."""
        definitions = {}
        # Distributions before Iron do not store them.
        tables = {name for (name,) in database.execute('SELECT name FROM sqlite_master')}
        if 'message_definitions' in tables:
            definitions = {
                name: Definition(str(encoding), str(text))
                for name, encoding, text in database.execute(
                    'SELECT topic_type, encoding, encoded_message_definition '
                    'FROM message_definitions'
                )
            }
        numbers = {}
        for number, topic, message_type, encoding in database.execute(
            'SELECT id, name, type, serialization_format FROM topics'
        ):
            definition = definitions.get(message_type, Definition())
            numbers[number] = len(self.channels)
            self.channels.append(
                Channel(str(topic), str(message_type), definition, encoding or CDR)
            )
        return numbers
