"""What a message of H.264 or H.265 video holds, as far as it shows without decoding it."""

from collections.abc import Iterator
from dataclasses import dataclass

START_CODE = b'\x00\x00\x01'
# Of a unit in the form of MP4 files: its length, big-endian.
LENGTH_BYTES = 4


@dataclass(frozen=True)
class Syntax:
    """
    How a codec's NAL units are told apart (ITU-T H.264, table 7-1; ITU-T H.265, table 7-1).

    shift, mask: of the first byte, the type.
    header: bytes before the bit of a slice that says whether it is a picture's first.
    slices, keys, leading, parameters: types. Leading pictures are shown before the key frame that
    they follow, and build on pictures before it.
    """

    shift: int
    mask: int
    header: int
    slices: frozenset[int]
    keys: frozenset[int]
    leading: frozenset[int]
    parameters: frozenset[int]


# By FFmpeg's names.
SYNTAX = {
    'h264': Syntax(
        shift=0,
        mask=0x1F,
        header=1,
        slices=frozenset(range(1, 6)),
        keys=frozenset({5}),
        leading=frozenset(),
        parameters=frozenset({7, 8, 13}),
    ),
    'hevc': Syntax(
        shift=1,
        mask=0x3F,
        header=2,
        slices=frozenset(range(32)),
        keys=frozenset(range(16, 24)),
        leading=frozenset({8, 9}),
        parameters=frozenset({32, 33, 34}),
    ),
}


@dataclass(frozen=True)
class AccessUnit:
    """
    What one message holds.

    packet: its units with start codes (Annex B).
    parameter_sets: those units that say how to read others; they may be sent once only.
    first_slice: empty where there is no picture, nor a part of one.
    pictures: how many begin in it.
    is_key: nothing before it is needed. is_leading: see Syntax.
    """

    packet: bytes
    parameter_sets: tuple[bytes, ...]
    first_slice: bytes
    pictures: int
    is_key: bool
    is_leading: bool


def read_access_unit(data: bytes, syntax: Syntax, length_prefixed: bool) -> AccessUnit:
    """Return what a message holds; bytes that are no units are left out."""
    units = list(_after_lengths(data) if length_prefixed else _after_start_codes(data))
    types = [(each[0] >> syntax.shift) & syntax.mask for each in units]
    slices = [
        (type_, unit)
        for type_, unit in zip(types, units, strict=True)
        if type_ in syntax.slices and len(unit) > syntax.header
    ]
    first, first_slice = slices[0] if slices else (-1, b'')
    return AccessUnit(
        packet=b''.join(START_CODE + each for each in units),
        parameter_sets=tuple(
            unit for type_, unit in zip(types, units, strict=True) if type_ in syntax.parameters
        ),
        first_slice=first_slice,
        pictures=sum(unit[syntax.header] >> 7 for _, unit in slices),
        is_key=first in syntax.keys,
        is_leading=first in syntax.leading,
    )


def is_length_prefixed(data: bytes) -> bool | None:
    """
    Return whether lengths precede the units, as in MP4 files; None where it could be both.

    A unit of one byte does not exist, one of 256 to 511 bytes does.
    """
    if data.startswith(b'\x00' + START_CODE):
        return False
    fits = sum(LENGTH_BYTES + len(each) for each in _after_lengths(data)) == len(data) > 0
    if data.startswith(START_CODE):
        return None if fits else False
    return fits


def _after_start_codes(data: bytes) -> Iterator[bytes]:
    start = data.find(START_CODE)
    while start >= 0:
        end = data.find(START_CODE, start + 3)
        unit = data[start + 3 : end if end >= 0 else len(data)].rstrip(b'\x00')
        if unit:
            yield unit
        start = end


def _after_lengths(data: bytes) -> Iterator[bytes]:
    place = 0
    while place + LENGTH_BYTES < len(data):
        length = int.from_bytes(data[place : place + LENGTH_BYTES], 'big')
        unit = data[place + LENGTH_BYTES : place + LENGTH_BYTES + length]
        if not 0 < length == len(unit):
            return
        yield unit
        place += LENGTH_BYTES + length
