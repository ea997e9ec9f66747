"""
The identity of files: their SHA-256, which is remembered on this machine.

Gigabytes take seconds to read. A hash is remembered, in the user's cache, by what changes whenever
a file does: its device and inode, its size, and its ctime, which no program sets. What changes
none of these, a bit that rots on the disk, only `files_hash` finds.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ros2_llava_phi.errors import FileError

from .atomic import write_atomically
from .user_cache import user_cache

REMEMBERED = 'hashes.json'
MOST_REMEMBERED = 1000
# A file that was changed just now may be changed again within the same tick of its ctime.
SETTLED_NS = 2 * 10**9


def files_hash(files: Iterable[Path]) -> str:
    """Return the SHA-256 of files, one after another, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in files:
        with path.open('rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def remembered_hashes(groups: Iterable[Sequence[Path]], read_all: bool = False) -> list[str]:
    """
    Return what files_hash gives for each group of files; read only what is new here.

    read_all: whether to read the others, too. Where the user's cache cannot be used, or is
    damaged, all are read.
    """
    try:
        place = user_cache() / REMEMBERED
    except FileError:
        return [files_hash(files) for files in groups]
    known, new = _known(place), dict[str, str]()
    hashes = []
    for files in groups:
        marks = _marks(files)
        found = (not read_all and known.get(marks)) or files_hash(files)
        if known.get(marks) != found and _are_settled(files) and _marks(files) == marks:
            new[marks] = found
        hashes.append(found)
    if new:
        # Read again: another process may have added its own. What the two lose is hashed again.
        kept = list({**_known(place), **new}.items())[-MOST_REMEMBERED:]
        with suppress(FileError):
            write_atomically(place, json.dumps(dict(kept), indent=0))
    return hashes


def _marks(files: Sequence[Path]) -> str:
    """Return what no file keeps that is changed, or put in the place of another."""
    states = [path.stat() for path in files]
    return ' '.join(f'{s.st_dev}:{s.st_ino}:{s.st_size}:{s.st_ctime_ns}' for s in states)


def _are_settled(files: Sequence[Path]) -> bool:
    return all(time.time_ns() - path.stat().st_ctime_ns > SETTLED_NS for path in files)


def _known(place: Path) -> dict[str, str]:
    """Return hashes by marks; none if the file is missing or damaged."""
    try:
        found = json.loads(place.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        marks: digits
        for marks, digits in found.items()
        if isinstance(digits, str) and re.fullmatch('[0-9a-f]{64}', digits)
    }
