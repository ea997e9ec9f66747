"""Locks on files and folders themselves, so that no lock file is left beside them."""

import fcntl
import os
from pathlib import Path


class Lock:
    """
    A file or folder that is open, and locked for this process alone until it is closed.

    The system unlocks it when the process ends, however it does.

    number: its file descriptor; -1 once closed.
    """

    def __init__(self, path: Path, flags: int) -> None:
        """
        Open and lock what is there; flags: as for os.open.

        Raises BlockingIOError while another has it locked, and OSError as opening does.
        """
        self.number = os.open(path, flags, 0o666)
        try:
            fcntl.flock(self.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            self.close()
            raise
        _held.add(self)

    def close(self) -> None:
        """Close it, for others to lock it; once more does nothing."""
        _held.discard(self)
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)


_held = set[Lock]()


def _close_in_child() -> None:
    for lock in list(_held):
        lock.close()


# A process that was forked shares the locks: it would keep them when this one is killed.
os.register_at_fork(after_in_child=_close_in_child)
