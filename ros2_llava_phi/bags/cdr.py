"""
Serialised messages as they lie in a recording: their compression, and the stamp they begin with.

CDR begins with four bytes: which representation, and options (OMG DDSI-RTPS 2.5, section 10.2).
The stamp of a header is what follows in every message of a camera.
"""

import struct

import zstandard

from .stamps import NS

ENCAPSULATION = 4
STAMP = struct.Struct('<iI')
# The first byte of a representation is 0, the second one of XCDR1 or XCDR2; odd: little-endian.
LAST_REPRESENTATION = 0x0B

# Where a recorder compresses messages one by one, they begin so (RFC 8878, section 3.1.1).
ZSTD_FRAME = b'\x28\xb5\x2f\xfd'
# Beyond any message; a size that is damaged would have the memory run out.
LARGEST_MESSAGE = 2**30
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
