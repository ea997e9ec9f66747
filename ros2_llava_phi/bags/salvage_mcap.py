"""What is readable of an MCAP file, chunk by chunk, without its index."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import zstandard
from lz4.frame import LZ4FrameDecompressor
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Footer, McapRecord, Message, Schema, Statistics
from mcap.stream_reader import StreamReader, breakup_chunk

from .raw_message import Definition, RawMessage, Topic

# Beyond any chunk; a length that is damaged would have the memory run out.
LARGEST_RECORD = 2**30
# A chunk's record: opcode, length, times of the first and last message, size, CRC.
CHUNK_START = struct.Struct('<BQQQQI')


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
