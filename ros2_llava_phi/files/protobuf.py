"""Read the wire format of protobuf (protobuf.dev/programming-guides/encoding)."""

from collections.abc import Iterator

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED_64: 8, FIXED_32: 4}
# 64 bits, seven in a byte.
LONGEST_VARINT = 10


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """
    Yield the numbers of a message's fields with their values.

    Numbers come as their bits, without a sign; bytes are what has a length: text, bytes, messages.

    Raises ValueError for what is no message.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == VARINT:
            number, place = _varint(message, place)
            yield key >> 3, number
            continue
        if kind == LENGTH_DELIMITED:
            length, place = _varint(message, place)
        elif kind in FIXED_BYTES:
            length = FIXED_BYTES[kind]
        else:
            raise ValueError(f'there is no kind {kind} of protobuf fields')
        value, place = message[place : place + length], place + length
        if place > len(message):
            raise ValueError('the protobuf message ends too early')
        yield key >> 3, value if kind == LENGTH_DELIMITED else int.from_bytes(value, 'little')


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return the number of variable length that stands there, and the place behind it."""
    value = 0
    for index, byte in enumerate(message[place : place + LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, place + index + 1
    raise ValueError('a number in the protobuf message does not end')
