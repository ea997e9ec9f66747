"""
JPEG to pixels, or a sentence where it lost data: the one place that decodes JPEG.

libjpeg, as OpenCV and Pillow use it, makes a picture of whatever is left of one, and says so on
stderr at most. Here its first warning is an error, with one exception: many webcams (Logitech's
C270, C310 and C910 among them) write zero bytes before markers, which lost nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.errors import DamagedFrameError, FrameError, InstallationError

from .pixels import check_size

try:
    import simplejpeg
except ImportError as error:
    _lacking = f'simplejpeg is missing ({error})'
else:
    _old = tuple(map(int, simplejpeg.__version__.split('.')[:2])) < (1, 7)
    _lacking = f'simplejpeg {simplejpeg.__version__} is too old' if _old else ''

# Codes of markers (ITU-T T.81, table B.1).
START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN, RESTART_INTERVAL = 0xD8, 0xD9, 0xDA, 0xDD
NOT_FRAMES = (0xC4, 0xC8, 0xCC)  # tables, and an extension, among the codes of frames
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
# Between two of these stands the entropy-coded data of one restart interval.
RESTART_OR_END = re.compile(rb'\xff+[\xd0-\xd7\xd9]')
END = re.compile(rb'\xff+\xd9')
EXTRANEOUS = 'extraneous bytes before marker'
# What may be data of the zero bytes before a marker: flat colours, at the end, are eight bits of
# zero in the tables of T.81, annex K. More would be decoded as blocks that nobody sent.
MOST_ZEROS = 2
WIDEST = 65500  # of what libjpeg decodes


@dataclass(frozen=True)
class DecodedJpeg:
    """
    A JPEG's picture.

    pixels: uint8, RGB [height, width, 3], or grey [height, width]; not turned as EXIF may say.
    extraneous: zero bytes before markers that were left out, as webcams write them.
    """

    pixels: NDArray[np.uint8]
    extraneous: int


def decode_jpeg(data: bytes, eighth: bool = False) -> DecodedJpeg:
    """
    Decode a JPEG, baseline or progressive.

    eighth: at an eighth of its size, in less time; all of its data are read, and checked, as well.

    Raises DamagedFrameError for what lost data, as far as libjpeg notices (docs/node.md has the
    rates); FrameError for one that is larger than any camera's, or coded in another way.
    InstallationError where there is no simplejpeg.
    """
    header = _read_header(data)
    try:
        return DecodedJpeg(_decoded(data, header, eighth), 0)
    except DamagedFrameError as error:
        if EXTRANEOUS not in str(error):
            raise
        bare, extraneous = _without_padding(data, header)
        if not extraneous:
            raise
    return DecodedJpeg(_decoded(bare, header, eighth), extraneous)


def check_decoder() -> None:
    """Raise InstallationError where simplejpeg is missing, or too old."""
    if _lacking:
        raise InstallationError(
            f'{_lacking}: without it, a JPEG picture that lost data cannot be told from a whole '
            "one; install it: pip install 'simplejpeg>=1.7.4'"
        )


@dataclass(frozen=True)
class _Header:
    """
    What stands before a JPEG's first scan.

    frame: the code of its start-of-frame marker. size_at: where that has height and width.
    components: how many; mcu: width and height of what is coded together, in pixels.
    restart: so many of these between two restart markers; 0 for none.
    segments: all of them, without zero bytes between; scan_at: where the scan's data begin.
    scanned: the components of the first scan.
    """

    frame: int
    width: int
    height: int
    size_at: int
    components: int
    mcu: tuple[int, int]
    restart: int
    segments: bytes
    scan_at: int
    scanned: int


def _segments(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield code, start and end of the segments with a payload from there on; scans' data not."""
    while 0 <= (at := data.find(b'\xff', at)) < len(data) - 3:
        code = data[at + 1]
        if code == END_OF_IMAGE:
            return
        if code in (0x00, 0x01, START_OF_IMAGE) or 0xD0 <= code <= 0xD7:
            at += 2
        elif code == 0xFF:
            at += 1
        else:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], 'big')
            yield code, at, end
            at = end


def _read_header(data: bytes) -> _Header:
    """Read up to the first scan; raises FrameError for what is not decoded here."""
    segments, at, restart, frame = bytearray(data[:2]), 2, 0, None
    for code, start, end in _segments(data, at):
        payload = data[start + 4 : end]
        segments += data[at:start].lstrip(b'\0') + data[start:end]
        at = end
        if 0xC0 <= code <= 0xCF and code not in NOT_FRAMES and len(payload) >= 9:
            frame = code, payload, len(segments) - len(payload) + 1
        elif code == RESTART_INTERVAL:
            restart = int.from_bytes(payload[:2], 'big')
        elif code == START_OF_SCAN and frame is not None and payload:
            return _header(*frame, restart, bytes(segments), end, payload[0])
    raise DamagedFrameError('the JPEG is damaged: its header is not whole')


def _header(
    code: int,
    frame: bytes,
    size_at: int,
    restart: int,
    segments: bytes,
    scan_at: int,
    scanned: int,
) -> _Header:
    height, width = (int.from_bytes(frame[at : at + 2], 'big') for at in (1, 3))
    check_size(width, height)
    if code not in (BASELINE, EXTENDED, PROGRESSIVE) or frame[0] != 8:
        raise FrameError(
            'the JPEG is lossless, arithmetic-coded, or has more than 8 bits a channel: only '
            'baseline and progressive JPEG with 8 bits is decoded'
        )
    factors = [frame[at] for at in range(7, len(frame), 3)]
    across, down = max(each >> 4 for each in factors), max(each & 15 for each in factors)
    mcu = (8, 8) if len(factors) == 1 else (8 * across, 8 * down)
    return _Header(
        code, width, height, size_at, len(factors), mcu, restart, segments, scan_at, scanned
    )


def _decoded(data: bytes, header: _Header, eighth: bool = False) -> NDArray[np.uint8]:
    """Decode all that there is; raises DamagedFrameError for whatever libjpeg warns of."""
    check_decoder()
    _check_scans(data, header)
    grey = header.components == 1
    try:
        pixels = simplejpeg.decode_jpeg(
            data,
            'GRAY' if grey else 'RGB',
            min_height=(header.height + 7) // 8 if eighth else 0,
            min_width=(header.width + 7) // 8 if eighth else 0,
            strict=True,
        )
    except ValueError as error:
        if 'subsampling' in str(error):
            raise FrameError(
                'the JPEG has another chroma subsampling than 4:4:4, 4:4:0, 4:2:2, 4:2:0, 4:1:1 '
                'and grey, which alone are decoded'
            ) from error
        reason = str(error).removeprefix('Corrupt JPEG data: ')
        raise DamagedFrameError(f'the JPEG lost data: {reason}') from error
    return np.asarray(pixels[..., 0] if grey else pixels, np.uint8)


def _check_scans(data: bytes, header: _Header) -> None:
    """
    Raise DamagedFrameError where not every bit of every coefficient is sent.

    libjpeg does not miss whole scans: without the last ones, a picture is but coarse.
    """
    if header.frame != PROGRESSIVE and header.scanned == header.components:
        return
    missing = np.full((256, 64), 1)  # by a component's number: lowest bit that is missing, or 0
    for code, start, end in _segments(data, 2):
        if code != START_OF_SCAN or end - start < 8:
            continue
        payload = data[start + 4 : end]
        first, last, bits = payload[-3:]
        for component in payload[1 : 1 + 2 * payload[0] : 2]:
            missing[component, first : last + 1] = bits & 15
    numbers = header.segments[header.size_at + 5 : header.size_at + 5 + 3 * header.components : 3]
    if missing[list(numbers)].any():
        raise DamagedFrameError('the JPEG lost data: it is cut off behind one of its scans')


def _without_padding(data: bytes, header: _Header) -> tuple[bytes, int]:
    """
    Return the JPEG without the zero bytes before markers, and how many; 0 if it lost something.

    Which of them are data, libjpeg says of each restart interval, made a picture by itself.
    """
    alone = header.restart and header.frame != PROGRESSIVE and header.scanned == header.components
    markers = RESTART_OR_END if alone else END
    left = -(-header.width // header.mcu[0]) * -(-header.height // header.mcu[1])
    bare, at = bytearray(header.segments), header.scan_at
    for marker in markers.finditer(data, at):
        mcus = min(left, header.restart) if alone else 0
        interval = _bare_interval(data[at : marker.start()], header, mcus)
        if interval is None:
            break
        bare += interval + marker.group()
        left, at = left - mcus, marker.end()
        if marker.group().endswith(b'\xd9'):
            return bytes(bare), at - len(bare)
    return data, 0


def _bare_interval(data: bytes, header: _Header, mcus: int) -> bytes | None:
    """Return entropy-coded data without the zero bytes behind it; None if they lost something."""
    bare = data.rstrip(b'\0')
    if bare.endswith(b'\xff'):
        bare += b'\0'  # which says that this 0xff begins no marker
    zeros = len(data) - len(bare)
    if not zeros:
        return data
    for kept in range(min(zeros, MOST_ZEROS) + 1):
        interval = bare + bytes(kept)
        try:
            _decoded(_alone(interval, header, mcus), header)
        except DamagedFrameError:
            continue
        return interval
    return None


def _alone(interval: bytes, header: _Header, mcus: int) -> bytes:
    """Return a JPEG of one restart interval, its MCUs side by side; of all if mcus is 0."""
    segments = header.segments
    if mcus:
        width, height = min(WIDEST, mcus * header.mcu[0]), header.mcu[1]
        size = height.to_bytes(2, 'big') + width.to_bytes(2, 'big')
        segments = segments[: header.size_at] + size + segments[header.size_at + 4 :]
    return segments + interval + b'\xff\xd9'
