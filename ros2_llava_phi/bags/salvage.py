"""
Read what is readable of a damaged rosbag2: a recording that broke off is the usual case.

MCAP chunk by chunk, SQLite message by message, both without their indices.
"""

import io
import re
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import zstandard
from lz4.frame import LZ4FrameDecompressor
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Footer, McapRecord, Message, Schema, Statistics
from mcap.stream_reader import StreamReader, breakup_chunk

from ros2_llava_phi.errors import BagError

from .bag import Definition, RawMessage, Topic

# Beyond any chunk; a length that is damaged would have the memory run out.
LARGEST_RECORD = 2**30
# A chunk's record: opcode, length, times of the first and last message, size, CRC.
CHUNK_START = struct.Struct('<BQQQQI')
# Where SQLite's messages are compressed each by itself, they begin so (RFC 8878, section 3.1.1).
ZSTD_FRAME = b'\x28\xb5\x2f\xfd'


class McapRemains:
    """An MCAP file that is read from its start for as long as it makes sense."""

    def __init__(self, path: Path) -> None:
        """Take a file; `topics` and `loss` hold once its messages were read."""
        self._path = path
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self.topics: dict[str, Topic] = {}
        self.loss = ''

    def messages(self) -> Iterator[RawMessage]:
        """Yield the messages of every readable chunk, in the order of recording within it."""
        place, lost_chunks, lost_ns, complete = 0, 0, 0, False
        written, found = 0, 0
        with self._path.open('rb') as file:
            reader = StreamReader(file, emit_chunks=True, record_size_limit=LARGEST_RECORD)
            records = reader.records
            while True:
                try:
                    record = next(records, None)
                except Exception:
                    # The library raises whatever a damaged byte leads to.
                    break
                if record is None or isinstance(record, Footer):
                    complete = True
                    break
                place = file.tell()
                inside, readable = _inside(record)
                if isinstance(record, Chunk) and not readable:
                    lost_chunks += 1
                    lost_ns += max(0, record.message_end_time - record.message_start_time)
                if isinstance(record, Statistics):
                    written = record.message_count
                found += sum(isinstance(each, Message) for each in inside)
                yield from self._take(inside)
            if not complete:
                file.seek(place)
                yield from self._take(_inside_broken_chunk(file))
        if not complete:
            self.loss = 'breaks off'
        elif lost_chunks:
            lost_s = lost_ns / 1e9
            self.loss = f'is damaged: {lost_chunks} of its chunks cannot be read, {lost_s:.1f} s'
        elif found < written:
            self.loss = f'is damaged: {written - found} of its {written} messages cannot be found'

    def _take(self, records: list[McapRecord]) -> Iterator[RawMessage]:
        messages = []
        for record in records:
            if isinstance(record, Schema):
                self._schemas[record.id] = record
            elif isinstance(record, Channel):
                self._channels[record.id] = record
                self.topics[record.topic] = self._topic(record)
            elif isinstance(record, Message) and record.channel_id in self._channels:
                messages.append(record)
        for message in sorted(messages, key=lambda each: each.log_time):
            topic = self._channels[message.channel_id].topic
            yield RawMessage(topic, self.topics[topic].type, message.log_time, message.data)

    def _topic(self, channel: Channel) -> Topic:
        schema = self._schemas.get(channel.schema_id)
        if schema is None:
            return Topic('')
        text = schema.data.decode(errors='replace')
        return Topic(schema.name, Definition(schema.encoding, text))


def _inside(record: McapRecord) -> tuple[list[McapRecord], bool]:
    """Return the records in a chunk, or the record itself, and whether they are readable."""
    if not isinstance(record, Chunk):
        return [record], True
    try:
        return breakup_chunk(record, validate_crc=True), True
    except Exception:
        # The same goes for the chunk's contents.
        return [], False


def _inside_broken_chunk(file: IO[bytes]) -> list[McapRecord]:
    """Return the whole records of a chunk that ends too early; none if that is no chunk."""
    records: list[McapRecord] = []
    try:
        opcode, *_ = CHUNK_START.unpack(file.read(CHUNK_START.size))
        if opcode != Opcode.CHUNK:
            return []
        (length,) = struct.unpack('<I', file.read(4))
        compression = file.read(min(length, 16)).decode()
        file.read(8)
        content = _decompressed(compression, file.read(LARGEST_RECORD))
        stream = ReadDataStream(io.BytesIO(content))
        kinds: dict[int, Any] = {Opcode.SCHEMA: Schema, Opcode.CHANNEL: Channel}
        while True:
            opcode, length = stream.read1(), stream.read8()
            if stream.count + length > len(content):
                return records
            if opcode == Opcode.MESSAGE:
                records.append(Message.read(stream, length))
            elif opcode in kinds:
                records.append(kinds[opcode].read(stream))
            else:
                stream.read(length)
    except Exception:
        # Somewhere the bytes end; what was read until then counts.
        return records


def _decompressed(compression: str, data: bytes) -> bytes:
    """Return as much as there is of compressed data that end too early."""
    if compression == 'zstd':
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    if compression == 'lz4':
        plain: bytes = LZ4FrameDecompressor().decompress(data)
        return plain
    return data


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


READERS: dict[str, type[McapRemains] | type[Sqlite3Remains]] = {
    '.mcap': McapRemains,
    '.db3': Sqlite3Remains,
}


class Salvage:
    """
    The readable part of a bag's files, with whatever metadata.yaml says left aside.

    topics: every topic that a readable part of a file names.
    losses: a sentence for each file that is not read to its end, once it was read.
    """

    def __init__(self, path: Path) -> None:
        """Read through the files once; raises BagError if nothing in them is readable."""
        self._files = storage_files(path)
        self.topics: dict[str, Topic] = {}
        self.losses: dict[str, str] = {}
        self.start_ns = 0
        times = [message.recorded_ns for message in self.messages()]
        if not times:
            raise BagError(f'{path} holds no readable message: it is damaged, or no rosbag2')
        self.start_ns = min(times)

    def messages(self) -> Iterator[RawMessage]:
        """Yield the messages of all files in the order in which they were written."""
        for file in self._files:
            times = []
            with _unpacked(file) as unpacked:
                remains = READERS[unpacked.suffix](unpacked)
                for message in remains.messages():
                    times.append(message.recorded_ns)
                    yield message
            self.topics.update(remains.topics)
            if remains.loss:
                self.losses[file.name] = f'{file.name} {remains.loss}; {_extent(times)}'


def _extent(times_ns: Sequence[int]) -> str:
    if not times_ns:
        return 'nothing in it is readable'
    seconds = (max(times_ns) - min(times_ns)) / 1e9
    return f'{len(times_ns)} messages in it are readable, the last one {seconds:.1f} s into it'


def storage_files(path: Path) -> list[Path]:
    """Return the files of a bag that hold messages, in their order; BagError if there are none."""
    files = list(path.iterdir()) if path.is_dir() else [path]
    kept = [each for each in files if _storage_suffix(each) in READERS and each.is_file()]
    if not kept:
        raise BagError(
            f'{path} is no rosbag2: it holds neither .mcap nor .db3 files; '
            'name the folder of a recording'
        )
    return sorted(kept, key=lambda each: [int(n) for n in re.findall(r'\d+', each.name)])


def _storage_suffix(file: Path) -> str:
    return Path(file.stem).suffix if file.suffix == '.zstd' else file.suffix


@contextmanager
def _unpacked(file: Path) -> Iterator[Path]:
    """Give a file as it was before rosbag2 compressed it whole; as much as is readable of it."""
    if file.suffix != '.zstd':
        yield file
        return
    with NamedTemporaryFile(suffix=_storage_suffix(file)) as unpacked, file.open('rb') as packed:
        with suppress(zstandard.ZstdError):
            zstandard.ZstdDecompressor().copy_stream(packed, unpacked)
        unpacked.flush()
        yield Path(unpacked.name)
