"""Read what is readable of a damaged rosbag2: a recording that broke off is the usual case."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import zstandard

from ros2_llava_phi.errors import BagError

from .raw_message import RawMessage, Topic
from .salvage_mcap import McapRemains
from .salvage_sqlite3 import Sqlite3Remains

READERS: dict[str, type[McapRemains] | type[Sqlite3Remains]] = {
    '.mcap': McapRemains,
    '.db3': Sqlite3Remains,
}


class Salvage:
    """
    The readable part of a bag's files, with whatever metadata.yaml says left aside.

    topics: every topic that a readable part of a file names.
    losses: a sentence for each file that is not read to its end, once it was read.
    """

    def __init__(self, path: Path) -> None:
        """Read through the files once; raises BagError if nothing in them is readable."""
        self._files = storage_files(path)
        self.topics: dict[str, Topic] = {}
        self.losses: dict[str, str] = {}
        self.start_ns = 0
        self.count = 0
        times = []
        for message in self.messages():
            times.append(message.recorded_ns)
        if not times:
            raise BagError(f'{path} holds no readable message: it is damaged, or no rosbag2')
        self.start_ns, self.count = min(times), len(times)

    def messages(self) -> Iterator[RawMessage]:
        """Yield the messages of all files in the order in which they were written."""
        for file in self._files:
            times = []
            with _unpacked(file) as unpacked:
                remains = READERS[unpacked.suffix](unpacked)
                for message in remains.messages():
                    times.append(message.recorded_ns)
                    yield message
            self.topics.update(remains.topics)
            if remains.loss:
                self.losses[file.name] = f'{file.name} {remains.loss}; {_extent(times)}'


def _extent(times_ns: Sequence[int]) -> str:
    if not times_ns:
        return 'nothing in it is readable'
    seconds = (max(times_ns) - min(times_ns)) / 1e9
    return f'{len(times_ns)} messages in it are readable, the last one {seconds:.1f} s into it'


def storage_files(path: Path) -> list[Path]:
    """Return the files of a bag that hold messages, in their order; BagError if there are none."""
    files = list(path.iterdir()) if path.is_dir() else [path]
    kept = [each for each in files if _storage_suffix(each) in READERS and each.is_file()]
    if not kept:
        raise BagError(
            f'{path} is no rosbag2: it holds neither .mcap nor .db3 files; '
            'name the folder of a recording'
        )
    return sorted(kept, key=lambda each: [int(n) for n in re.findall(r'\d+', each.name)])


def _storage_suffix(file: Path) -> str:
    return Path(file.stem).suffix if file.suffix == '.zstd' else file.suffix


@contextmanager
def _unpacked(file: Path) -> Iterator[Path]:
    """Give a file as it was before rosbag2 compressed it whole; as much as is readable of it."""
    if file.suffix != '.zstd':
        yield file
        return
    with NamedTemporaryFile(suffix=_storage_suffix(file)) as unpacked, file.open('rb') as packed:
        with suppress(zstandard.ZstdError):
            zstandard.ZstdDecompressor().copy_stream(packed, unpacked)
        unpacked.flush()
        yield Path(unpacked.name)
