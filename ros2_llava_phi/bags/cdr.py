"""
Serialised messages as they lie in a recording: their compression, and the stamp they begin with.

CDR begins with four bytes: which representation, and options (OMG DDSI-RTPS 2.5, section 10.2).
The stamp of a header is what follows in every message of a camera; in protobuf, its first field.
"""

import struct

import zstandard

from ros2_llava_phi.files import protobuf

from .bag import CDR, Channel
from .stamps import FURTHEST_NS, NS

ENCAPSULATION = 4
STAMP = struct.Struct('<iI')
# The first byte of a representation is 0, the second one of XCDR1 or XCDR2; odd: little-endian.
LAST_REPRESENTATION = 0x0B

# Where a recorder compresses messages one by one, they begin so (RFC 8878, section 3.1.1).
ZSTD_FRAME = b'\x28\xb5\x2f\xfd'
# Beyond any message; a size that is damaged would have the memory run out.
LARGEST_MESSAGE = 2**30
# The stamp lies within the first bytes of a message.
BEGINNING = 64
# So much is decompressed at a time.
PART = 2**20


def is_cdr(data: bytes) -> bool:
    """Return whether bytes begin as a message in CDR does."""
    return len(data) >= ENCAPSULATION and data[0] == 0 and data[1] <= LAST_REPRESENTATION


def unpacked(data: bytes, most: int = LARGEST_MESSAGE) -> bytes:
    """
    Return a message as it went over the wire: decompressed if it is a CDR in a frame of zstd.

    most: so many bytes at most are wanted of a compressed one.

    What only looks compressed, or is damaged, is returned as it is.
    """
    if not data.startswith(ZSTD_FRAME):
        return data
    try:
        # The frame need not say how large its content is, nor be the only one.
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            parts = []
            while most > 0 and (part := reader.read(min(most, PART))):
                parts.append(part)
                most -= len(part)
    except zstandard.ZstdError:
        return data
    content = b''.join(parts)
    return content if is_cdr(content) else data


def recorded_stamp(channel: Channel, data: bytes) -> int:
    """Return the stamp of a camera's message as it was recorded, in nanoseconds; 0 of others."""
    if not channel.has_pictures:
        return 0
    if channel.encoding == CDR:
        return read_stamp(unpacked(data, BEGINNING))
    try:
        found = (value for number, value in protobuf.fields(data) if number == 1)
        first = next(found, b'')
        return read_timestamp(first) if isinstance(first, bytes) else 0
    except ValueError:
        return 0


def read_timestamp(data: bytes) -> int:
    """Return a google.protobuf.Timestamp in nanoseconds; raises ValueError for what is none."""
    numbers = {place: each for place, each in protobuf.fields(data) if isinstance(each, int)}
    seconds, nanoseconds = numbers.get(1, 0), numbers.get(2, 0)
    time_ns = (seconds - 2**64 if seconds >= 2**63 else seconds) * NS + nanoseconds
    if abs(time_ns) > FURTHEST_NS:
        raise ValueError(f'there is no time of {seconds} s and {nanoseconds} ns')
    return time_ns


def read_stamp(cdr: bytes) -> int:
    """Return the stamp of a camera's message in nanoseconds; 0 for bytes that are none."""
    if not is_cdr(cdr) or len(cdr) < ENCAPSULATION + STAMP.size:
        return 0
    seconds, nanoseconds = struct.unpack_from(_stamp_format(cdr), cdr, ENCAPSULATION)
    return int(seconds) * NS + int(nanoseconds)


def shift_stamp(cdr: bytes, shift_ns: int) -> bytes:
    """
    Return a serialised message whose first field is a header, its stamp shifted.

    One whose stamp would lie outside of what a stamp can hold keeps its own.
    """
    if not shift_ns or len(cdr) < ENCAPSULATION + STAMP.size:
        return cdr
    shifted = divmod(read_stamp(cdr) + shift_ns, NS)
    try:
        stamp = struct.pack(_stamp_format(cdr), *shifted)
    except struct.error:
        return cdr
    return cdr[:ENCAPSULATION] + stamp + cdr[ENCAPSULATION + STAMP.size :]


def _stamp_format(cdr: bytes) -> str:
    return '<iI' if cdr[1] & 1 else '>iI'
