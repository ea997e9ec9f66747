"""
Read TFRecord files of SequenceExamples without TensorFlow.

A record is its length (8 bytes), that length's masked CRC-32C (4), the data, and theirs (4), all
little-endian (tensorflow/core/lib/io/record_writer.h). The data are a protocol buffer, of which
only the bytes in feature lists are read (tensorflow/core/example/example.proto).
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from ros2_llava_phi.errors import DataError

HEADER = struct.Struct('<QI')
CRC_BYTES = 4
CRC_32C = 0x82F63B78  # Castagnoli's polynomial, bits reversed
BYTES = 2  # the wire type of what has a length
SIZES = {1: 8, 5: 4}  # of the wire types that always have the same
FEATURE_LISTS = 2  # the field of SequenceExample; that of its parts is always 1


def read_tfrecord(path: Path) -> Iterator[bytes]:
    """Yield the records of a TFRecord file; raises DataError if it is missing or damaged."""
    try:
        with path.open('rb') as file:
            size = path.stat().st_size
            number = 0
            while header := file.read(HEADER.size):
                where = f'{path}, record {number}'
                if len(header) < HEADER.size:
                    raise DataError(f'{where}: the file is cut off')
                length, crc = HEADER.unpack(header)
                if crc != _masked_crc(header[:8]):
                    raise DataError(f'{where}: its length has a wrong checksum; no TFRecord file?')
                if length + CRC_BYTES > size - file.tell():
                    raise DataError(f'{where}: the file is cut off')
                yield file.read(length)
                file.read(CRC_BYTES)
                number += 1
    except OSError as error:
        raise DataError(f'{path} cannot be read: {error.strerror}') from error


def feature_lists(example: bytes) -> dict[str, list[bytes]]:
    """
    Return the feature lists of a SequenceExample: the first bytes of each feature, by name.

    Raises ValueError if the example is damaged.
    """
    found: dict[str, list[bytes]] = {}
    for lists in _fields(example, FEATURE_LISTS):
        for entry in _fields(lists, 1):
            name = b''.join(_fields(entry, 1)).decode()
            found[name] = [
                value
                for feature_list in _fields(entry, 2)
                for feature in _fields(feature_list, 1)
                for values in _fields(feature, 1)
                for value in list(_fields(values, 1))[:1]
            ]
    return found


def _fields(message: bytes, wanted: int) -> Iterator[bytes]:
    """Yield the contents of a message's fields of that number, where they have a length."""
    place = 0
    while place < len(message):
        key, place = _number(message, place)
        kind = key & 7
        if kind == 0:
            _, place = _number(message, place)
            continue
        if kind == BYTES:
            size, place = _number(message, place)
        elif kind in SIZES:
            size = SIZES[kind]
        else:
            raise ValueError(f'there is no wire type {kind}')
        if place + size > len(message):
            raise ValueError('a field is cut off')
        if kind == BYTES and key >> 3 == wanted:
            yield message[place : place + size]
        place += size


def _number(message: bytes, place: int) -> tuple[int, int]:
    """Return the number of variable length that stands there, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        value |= (message[place] & 0x7F) << shift
        place += 1
        if message[place - 1] < 0x80:
            return value, place
    raise ValueError('a number does not end')


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (CRC_32C if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
