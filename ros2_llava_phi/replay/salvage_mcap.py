"""What is readable of an MCAP file, chunk by chunk, without its index."""

import os
from collections.abc import Iterator
from pathlib import Path

from mcap.records import Channel, Chunk, Footer, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from .raw_message import Definition, RawMessage, Topic

# Beyond any chunk; a length that is damaged would have the memory run out.
LARGEST_RECORD = 2**30


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
        size, place, complete, lost_chunks = os.path.getsize(self._path), 0, False, 0
        with self._path.open('rb') as file:
            records = StreamReader(
                file, emit_chunks=True, record_size_limit=LARGEST_RECORD
            ).records
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
                lost_chunks += not readable
                yield from self._take(inside)
        if not complete:
            self.loss = f'breaks off: its last {size - place} of {size} bytes cannot be read'
        elif lost_chunks:
            self.loss = f'is damaged: {lost_chunks} of its chunks cannot be read'

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
