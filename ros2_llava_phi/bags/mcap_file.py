"""
One MCAP file: which messages it holds, in the order of writing, and each of them.

It is read record by record (mcap.dev/spec), so that no index that is missing or wrong can hide a
message. Only behind damage the indexes lead on, where there are any.
"""

import io
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import zstandard
from lz4.frame import LZ4FrameDecompressor
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.records import Channel as ChannelRecord
from mcap.records import Chunk, McapRecord, Schema, Statistics
from mcap.stream_reader import get_chunk_data_stream

from ros2_llava_phi.errors import counted

from .bag import CDR, Channel, Definition
from .cdr import recorded_stamp, unpacked

MAGIC = b'\x89MCAP0\r\n'
RECORD_HEAD = struct.Struct('<BQ')
# Of a chunk: times of the first and last message, size, CRC, length of the compression's name.
CHUNK_HEAD = struct.Struct('<QQQII')
# Of a message: channel, number, times of recording and of publishing; its data follow.
MESSAGE_HEAD = struct.Struct('<HIQQ')
# Beyond any chunk; a length that is damaged would have the memory run out.
LARGEST_RECORD = 2**30
# Where messages are read in another order than they lie, so many chunks are kept unpacked.
CHUNKS_KEPT = 8
KINDS: dict[int, Any] = {
    Opcode.SCHEMA: Schema,
    Opcode.CHANNEL: ChannelRecord,
    Opcode.STATISTICS: Statistics,
}
WANTED = frozenset(map(int, (*KINDS, Opcode.MESSAGE, Opcode.CHUNK)))


class Message(NamedTuple):
    """A message's record, as far as it matters; the library's own reader takes twice as long."""

    channel_id: int
    log_time: int
    data: bytes


Record = McapRecord | Message


class McapFile:
    """
    The messages of a file.

    channels: complete once the file was scanned.
    loss: half a sentence on what of it cannot be read, once it was scanned; empty if all can.
    """

    def __init__(self, path: Path) -> None:
        """Open a file; raises OSError if that cannot be done."""
        self._file = path.open('rb')
        self._schemas: dict[int, Schema] = {}
        self._channel_of: dict[int, int] = {}
        self._announced = 0
        self._broken, self._breaks_off = False, False
        self.channels: list[Channel] = []
        self.loss = ''
        self._messages_at = lru_cache(CHUNKS_KEPT)(self._read_messages)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def scan(self) -> Iterator[tuple[int, int, int, int, int]]:
        """
        Yield of each message its place, its number there, its channel, and its times.

        The times are when it was recorded, and the stamp of a camera's message, 0 of others.
        """
        found, lost_chunks, lost_ns = 0, 0, 0
        for place, opcode, content, whole in self._records(self._read_summary()):
            records, readable = _inside(opcode, content, whole)
            if not readable:
                lost_chunks += 1
                lost_ns += _duration_ns(content)
            self._learn(records)
            for number, message in enumerate(_messages(records)):
                channel = self._channel_of.get(message.channel_id)
                if channel is None:
                    continue
                found += 1
                stamp_ns = recorded_stamp(self.channels[channel], message.data)
                yield place, number, channel, _signed(message.log_time), stamp_ns
        if self._breaks_off:
            self.loss = 'breaks off'
        elif lost_chunks:
            lost_s = lost_ns / 1e9
            self.loss = f'is damaged: {lost_chunks} of its chunks cannot be read, {lost_s:.1f} s'
        elif found < self._announced:
            lost = self._announced - found
            self.loss = (
                f'is damaged: {lost} of its {counted(self._announced, "message")} cannot be found'
            )
        elif self._broken:
            self.loss = 'is damaged'

    def read(self, place: int, number: int) -> bytes:
        """Return a message that the scan found, as it went over the wire."""
        return unpacked(self._messages_at(place)[number].data)

    def _read_messages(self, place: int) -> list[Message]:
        opcode, content, whole = self._record(place)
        return list(_messages(_inside(opcode, content, whole)[0]))

    def _read_summary(self) -> list[int]:
        """Learn what the file's end says, and return where chunks begin; none if it is missing."""
        with suppress(Exception):
            # The library raises whatever a damaged byte leads to.
            summary = make_reader(self._file).get_summary()
            if summary is not None:
                self._learn(summary.schemas.values())
                self._learn(summary.channels.values())
                self._learn([summary.statistics] if summary.statistics else [])
                return sorted(each.chunk_start_offset for each in summary.chunk_indexes)
        return []

    def _records(self, chunks_at: list[int]) -> Iterator[tuple[int, int, bytes, bool]]:
        """Yield place, opcode and content of the records that matter, and if that is whole."""
        place = len(MAGIC)
        while True:
            opcode, content, whole = self._record(place)
            if content:
                yield place, opcode, content, whole
            if opcode == Opcode.FOOTER:
                return
            if whole:
                place = self._file.tell()
                continue
            self._broken = True
            behind = [each for each in chunks_at if each > place]
            if not behind:
                self._breaks_off = True
                return
            place = behind[0]

    def _record(self, place: int) -> tuple[int, bytes, bool]:
        """Return a record's opcode, its content if that matters, and whether it is whole."""
        self._file.seek(place)
        head = self._file.read(RECORD_HEAD.size)
        if len(head) < RECORD_HEAD.size:
            return 0, b'', False
        opcode, length = RECORD_HEAD.unpack(head)
        if length > LARGEST_RECORD and opcode != Opcode.ATTACHMENT:
            return opcode, b'', False
        if opcode not in WANTED:
            self._file.seek(length, io.SEEK_CUR)
            return opcode, b'', True
        content = self._file.read(length)
        return opcode, content, len(content) == length

    def _learn(self, records: Iterable[Record]) -> None:
        """Take schemas, channels and statistics out of records."""
        for record in records:
            if isinstance(record, Schema):
                self._schemas[record.id] = record
            elif isinstance(record, Statistics):
                self._announced = record.message_count
            elif isinstance(record, ChannelRecord):
                channel = _channel(record, self._schemas.get(record.schema_id))
                if channel not in self.channels:
                    self.channels.append(channel)
                self._channel_of[record.id] = self.channels.index(channel)


def _messages(records: Iterable[Record]) -> Iterator[Message]:
    return (each for each in records if isinstance(each, Message))


def _channel(record: ChannelRecord, schema: Schema | None) -> Channel:
    encoding = record.message_encoding or CDR
    if schema is None:
        return Channel(record.topic, '', encoding=encoding)
    name = schema.name.replace('::', '/')
    if encoding == CDR and name.count('/') == 1:
        # Writers other than rosbag2's name a type as ROS 1 did.
        name = name.replace('/', '/msg/')
    definition = Definition(schema.encoding, schema.data.decode(errors='replace'))
    return Channel(record.topic, name, definition, encoding)


def _inside(opcode: int, content: bytes, whole: bool) -> tuple[list[Record], bool]:
    """Return the records in a chunk, or the record itself, and whether they are readable."""
    try:
        if opcode != Opcode.CHUNK:
            return ([_record(opcode, content)] if whole else []), True
        if not whole:
            return list(_split(_beginning(content))), True
        chunk = Chunk.read(ReadDataStream(io.BytesIO(content)))
        plain, _ = get_chunk_data_stream(chunk, validate_crc=True)
        return list(_split(plain.read(chunk.uncompressed_size))), True
    except Exception:
        # The library raises whatever a damaged byte leads to.
        return [], opcode != Opcode.CHUNK


def _record(opcode: int, content: bytes) -> Record:
    if opcode == Opcode.MESSAGE:
        channel_id, _, log_time, _ = MESSAGE_HEAD.unpack_from(content)
        return Message(channel_id, log_time, content[MESSAGE_HEAD.size :])
    record: McapRecord = KINDS[opcode].read(ReadDataStream(io.BytesIO(content)))
    return record


def _split(plain: bytes) -> Iterator[Record]:
    """Yield the records that matter in the contents of a chunk, as far as they are whole."""
    at = 0
    while at + RECORD_HEAD.size <= len(plain):
        opcode, length = RECORD_HEAD.unpack_from(plain, at)
        at += RECORD_HEAD.size
        if at + length > len(plain):
            return
        if opcode in WANTED:
            yield _record(opcode, plain[at : at + length])
        at += length


def _beginning(content: bytes) -> bytes:
    """Return as much as there is of the contents of a chunk that ends too early."""
    *_, length = CHUNK_HEAD.unpack_from(content)
    begins = CHUNK_HEAD.size + length + 8
    compression = content[CHUNK_HEAD.size : begins - 8].decode()
    (size,) = struct.unpack_from('<Q', content, begins - 8)
    return _decompressed(compression, content[begins : begins + size])


def _decompressed(compression: str, data: bytes) -> bytes:
    """Return as much as there is of compressed data that end too early."""
    if compression == 'zstd':
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    if compression == 'lz4':
        plain: bytes = LZ4FrameDecompressor().decompress(data)
        return plain
    return data


def _duration_ns(chunk: bytes) -> int:
    if len(chunk) < CHUNK_HEAD.size:
        return 0
    first_ns, last_ns, *_ = CHUNK_HEAD.unpack_from(chunk)
    return max(0, last_ns - first_ns)


def _signed(time_ns: int) -> int:
    """Return a time of 64 bits with the sign that MCAP drops: a clock may stand before 1970."""
    return time_ns - 2**64 if time_ns >= 2**63 else time_ns
