"""What a compressed picture is: by its first bytes, and by what its message says."""

import re

JPEG_START, PNG_START = b'\xff\xd8', b'\x89PNG\r\n\x1a\n'
NAL_UNITS = 'H.264 or H.265'
# Where the bytes stand, the bytes, and the format that begins with them.
STARTS = (
    (0, JPEG_START, 'JPEG'),
    (0, PNG_START, 'PNG'),
    (8, b'WEBP', 'WebP'),
    (0, b'BM', 'BMP'),
    (0, b'GIF8', 'GIF'),
    (0, b'II*\0', 'TIFF'),
    (0, b'MM\0*', 'TIFF'),
    (4, b'jP  \r\n', 'JPEG 2000'),
    (0, b'\xff\x4f\xff\x51', 'JPEG 2000'),
    (4, b'JXL \r\n', 'JPEG XL'),
    (0, b'\xff\x0a', 'JPEG XL'),
    (4, b'ftypavif', 'AVIF'),
    (4, b'ftyphei', 'HEIF'),
    (4, b'ftypmif1', 'HEIF'),
    (0, b'v/1\x01', 'OpenEXR'),
    (0, b'qoif', 'QOI'),
    (0, b'%PDF', 'PDF'),
    (0, b'\0\0\0\x01', NAL_UNITS),
    (0, b'\0\0\x01', NAL_UNITS),
)
# As CompressedImage.format, FFMPEGPacket.encoding and CompressedVideo.format name video.
VIDEO = re.compile(r'h\.?26[3-6]|hevc|\bavc|av1|vp[89]|x26[45]|mpeg-?[124]|theora|ffmpeg|nvenc')
# What OpenCV calls a matrix (16UC1, CV_32F, TYPE_16UC1), as depth is sent; and those of pictures.
MATRIX = re.compile(r'(?<![a-z0-9])(?:cv|type)?((?:8|16|32|64)[usf](?:c\d*)?)(?![a-z0-9])')
BYTES = ('8u', '8uc', '8uc1', '8uc3', '8uc4')
# What else stands for depth: Z16 is that of RealSense and V4L2, R_FLOAT32 that of Gazebo.
DEPTH = re.compile(r'depth|disparity|float|(?<![a-z0-9])z16')


def format_of(data: bytes) -> str:
    """Return what a file, or the data of a CompressedImage, begins like; '' if nothing known."""
    found = (name for at, start, name in STARTS if data[at : at + len(start)] == start)
    return next(found, '')


def begins_as_video(data: bytes) -> bool:
    """Return whether the data of a CompressedImage begins as H.264 and H.265 do."""
    return format_of(data) == NAL_UNITS


def is_video(named: str) -> bool:
    """Return whether the `format` of a CompressedImage names a video codec, as fleets record."""
    return VIDEO.search(named.lower()) is not None


def sent_as(named: str) -> str:
    """
    Return the encoding that the `format` of a CompressedImage says was compressed, or ''.

    compressed_image_transport and compressed_depth_image_transport write `rgb8; jpeg compressed
    bgr8`, `16UC1; png compressed `, `32FC1; compressedDepth png`; drivers write just `jpeg`.
    """
    first, separator, _ = named.partition(';')
    return first.strip() if separator else ''


def is_depth(named: str) -> bool:
    """
    Return whether an encoding, or the `format` of a CompressedImage, is a name of depth.

    Or of another measurement: however it is spelt, and wherever it stands.
    """
    lower = named.lower()
    matrices = MATRIX.findall(lower)
    return DEPTH.search(lower) is not None or any(each not in BYTES for each in matrices)
