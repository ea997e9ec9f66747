"""Read the wire format of protobuf, in which foxglove's tools record video without ROS."""

from collections.abc import Iterator
from typing import Any

from .stamps import NS

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED_64: 8, FIXED_32: 4}


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """
    Yield the numbers of a message's fields with their values: int, or bytes of whatever is longer.

    Raises ValueError for what is no message.
    """
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == VARINT:
            value: int | bytes
            value, place = _varint(data, place)
        else:
            if kind == LENGTH_DELIMITED:
                length, place = _varint(data, place)
            elif kind in FIXED_BYTES:
                length = FIXED_BYTES[kind]
            else:
                raise ValueError(f'there is no kind {kind} of protobuf fields')
            value, place = data[place : place + length], place + length
            if place > len(data):
                raise ValueError('the protobuf message ends too early')
        yield key >> 3, value


def read_timestamp(data: bytes) -> int:
    """Return a google.protobuf.Timestamp in nanoseconds; raises ValueError for what is none."""
    time = dict(fields(data))
    return int(time.get(1, 0)) * NS + int(time.get(2, 0))


def read_stamp(message: bytes) -> int:
    """Return the stamp of a camera's message, its first field; 0 for bytes that are none."""
    try:
        return next((read_timestamp(value) for number, value in fields(message) if number == 1), 0)
    except (ValueError, TypeError):
        return 0


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data):
        value |= (data[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if data[place - 1] < 0x80:
            return value, place
    raise ValueError('the protobuf message ends too early')
