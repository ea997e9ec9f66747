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
from ros2_llava_phi.files import protobuf

HEADER = struct.Struct('<QI')
CRC_BYTES = 4
CRC_32C = 0x82F63B78  # Castagnoli's polynomial, bits reversed
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
    for lists in _contents(example, FEATURE_LISTS):
        for entry in _contents(lists, 1):
            name = b''.join(_contents(entry, 1)).decode()
            found[name] = [
                value
                for feature_list in _contents(entry, 2)
                for feature in _contents(feature_list, 1)
                for values in _contents(feature, 1)
                for value in _contents(values, 1)[:1]
            ]
    return found


def _contents(message: bytes, wanted: int) -> list[bytes]:
    """Return the contents of a message's fields of that number, where they have a length."""
    fields = protobuf.fields(message)
    return [value for number, value in fields if number == wanted and isinstance(value, bytes)]


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (CRC_32C if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
