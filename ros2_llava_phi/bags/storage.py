"""The files of a recording: which they are, and each as what its first bytes say that it is."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import zstandard

from ros2_llava_phi.errors import BagError

from . import mcap_file, sqlite3_file
from .cdr import ZSTD_FRAME
from .mcap_file import McapFile
from .sqlite3_file import Sqlite3File

StorageFile = McapFile | Sqlite3File
READERS: dict[str, type[McapFile] | type[Sqlite3File]] = {'.mcap': McapFile, '.db3': Sqlite3File}
MAGICS = {mcap_file.MAGIC: '.mcap', sqlite3_file.MAGIC: '.db3'}
PACKED = '.zstd'
# What is no rosbag2, though its name may say so.
ROS1 = b'#ROSBAG V'
LFS_POINTER = b'version https://git-lfs'
LONGEST_MAGIC = 32


def storage_files(path: Path, listed: tuple[str, ...] = ()) -> list[Path]:
    """
    Return the files of a recording that hold messages, in the order of their numbers.

    path: the recording's folder, or one file. listed: the names that metadata.yaml has for them.

    Raises BagError if there are none, and for what is no rosbag2.
    """
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        kept = [each for each in files if each.is_file() and _kind(each)]
        if not kept:
            raise BagError(f'{path} is no rosbag2: {_what_instead(files)}')
    except OSError as error:
        raise BagError(f'{path} cannot be read: {error.strerror}') from error
    # Playing a packed file leaves it unpacked beside; either is the recording, both are not.
    names = {each.name for each in kept}
    twins = {each for each in kept if each.suffix == PACKED and each.stem in names}
    spare = {each if each.name not in listed else each.with_suffix('') for each in twins}
    return sorted((each for each in kept if each not in spare), key=_number)


@contextmanager
def opened(file: Path) -> Iterator[StorageFile]:
    """
    Give a file to be read, as it was before rosbag2 compressed it whole.

    Raises BagError where it cannot be opened, or not be unpacked.
    """
    try:
        with _unpacked(file) as plain, closing(READERS[_kind(file)](plain)) as storage:
            yield storage
    except OSError as error:
        raise BagError(f'{file} cannot be read: {error.strerror}') from error


def _kind(file: Path) -> str:
    """Return the suffix that a file should have; empty if it holds no messages."""
    begins = _begins(file)
    for magic, suffix in MAGICS.items():
        if begins.startswith(magic):
            return suffix
    name = file.with_suffix('') if file.suffix == PACKED else file
    claimed = name.suffix if name.suffix in READERS else ''
    if begins.startswith(ROS1):
        return ''
    if begins.startswith(LFS_POINTER) and claimed:
        raise BagError(
            f'{file} is only a pointer of Git LFS to the recording; `git lfs pull` fetches it'
        )
    # With its beginning damaged, a file is what its name says.
    return claimed


def _what_instead(files: list[Path]) -> str:
    """Say what there is where no file of a rosbag2 is."""
    for file in files:
        if file.is_file() and _begins(file).startswith(ROS1):
            return (
                f'{file} is a recording of ROS 1; convert it first: '
                f'`rosbags-convert --src {file} --dst NEW_FOLDER` (pip install rosbags)'
            )
    held = 'it holds neither .mcap nor .db3 files'
    for folder in files:
        if folder.is_dir() and any(each.suffix in READERS for each in folder.iterdir()):
            return f'{held} itself; name a recording in it, such as {folder}'
    return f'{held}; name the folder of a recording'


def _begins(file: Path) -> bytes:
    """Return the first bytes of a file, of a packed one as it was before."""
    with file.open('rb') as stream:
        begins = stream.read(LONGEST_MAGIC)
        if begins.startswith(ZSTD_FRAME):
            stream.seek(0)
            with suppress(zstandard.ZstdError):
                return zstandard.ZstdDecompressor().stream_reader(stream).read(LONGEST_MAGIC)
        return begins


def _number(file: Path) -> tuple[list[int], str]:
    name = file.name.removesuffix(PACKED)
    for suffix in READERS:
        name = name.removesuffix(suffix)
    return [int(digits) for digits in re.findall(r'\d+', name)], file.name


@contextmanager
def _unpacked(file: Path) -> Iterator[Path]:
    """Give a file as it was before it was compressed whole; as much as is readable of it."""
    with file.open('rb') as packed:
        if packed.read(len(ZSTD_FRAME)) != ZSTD_FRAME:
            yield file
            return
        packed.seek(0)
        with NamedTemporaryFile() as plain:
            with suppress(zstandard.ZstdError):
                zstandard.ZstdDecompressor().copy_stream(packed, plain)
            plain.flush()
            yield Path(plain.name)
