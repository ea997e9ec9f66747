"""Files that grow line by line, of which a kill may leave the last line half written."""

import os
from pathlib import Path


def whole_lines(path: Path) -> list[bytes]:
    """Return a file's lines without their ends; a last one that is half written is none."""
    # By line feeds alone: other separators may stand within a text.
    *lines, _ = path.read_bytes().split(b'\n')
    return lines


def cut_off_half_line(path: Path) -> None:
    """Make a file end behind its last whole line; a file that is not there is left alone."""
    if path.exists():
        os.truncate(path, path.read_bytes().rfind(b'\n') + 1)
