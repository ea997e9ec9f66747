"""Files that grow line by line, of which a kill may leave the last line half written."""

import fcntl
import os
from pathlib import Path


def open_for_me(path: Path) -> int:
    """
    Open a file that grows line by line, behind its last whole line, for this process alone.

    Returns a descriptor to append to. Raises BlockingIOError while another process has it.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # By line feeds alone: other separators may stand within a text.
        os.ftruncate(descriptor, path.read_bytes().rfind(b'\n') + 1)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def whole_lines(path: Path) -> list[bytes]:
    """Return a file's lines without their ends; a last one that is half written is none."""
    # By line feeds alone: other separators may stand within a text.
    *lines, _ = path.read_bytes().split(b'\n')
    return lines
