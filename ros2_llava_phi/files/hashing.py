"""The identity of weights: a hash of the files that hold them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def files_hash(files: Iterable[Path]) -> str:
    """Return the SHA-256 of files, one after another, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in files:
        with path.open('rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
