"""Files that grow line by line, of which a kill may leave the last line half written."""

import fcntl
import os
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from ros2_llava_phi.errors import InputError

from .settings import first_problem

Content = TypeVar('Content')


def whole_lines(path: Path) -> list[bytes]:
    """Return a file's lines without their ends; a last one that is half written is none."""
    # By line feeds alone: other separators may stand within a text.
    *lines, _ = path.read_bytes().split(b'\n')
    return lines


def read_lines(
    path: Path, shape: TypeAdapter[Content], error: type[InputError], sentence: str
) -> Iterator[tuple[str, Content]]:
    """
    Yield the records of a file's whole lines, each with where it stands: 'FILE, line 1'.

    sentence: says what a line must not be, with {where} and {wrong} in it.

    Raises `error` with that sentence for a line of another shape, or if nothing can be read.
    """
    try:
        lines = whole_lines(path)
    except OSError as reason:
        raise error(f'{path} cannot be read: {reason.strerror}') from reason
    for number, line in enumerate(lines, 1):
        where = f'{path}, line {number}'
        try:
            record = shape.validate_json(line)
        except ValidationError as reason:
            raise error(sentence.format(where=where, wrong=first_problem(reason))) from reason
        yield where, record


_opened: 'weakref.WeakSet[JsonLines]' = weakref.WeakSet()


def _close_in_child() -> None:
    for file in list(_opened):
        file.close()


# A process that was forked shares the lock: it would keep it when this one is killed.
os.register_at_fork(after_in_child=_close_in_child)


class JsonLines:
    """
    A file of JSON records, one a line, for this process alone; records are in it once appended.

    Use it as a context manager, or call `close`.
    """

    def __init__(self, path: Path, error: type[InputError]) -> None:
        """
        Go on behind the last whole line of a file, which is made if need be.

        Raises `error` if it cannot be written, or while another process writes it.
        """
        self.path = path
        self._error = error
        try:
            # The lock is on the file itself, so that no lock file is left beside it.
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as reason:
            raise error(f'{path} cannot be written: {reason.strerror}') from reason
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._file, path.read_bytes().rfind(b'\n') + 1)
        except BlockingIOError as reason:
            self.close()
            raise error(f'another process is writing {path}; wait for its end') from reason
        except BaseException:
            self.close()
            raise
        _opened.add(self)

    def append(self, records: Sequence[str]) -> None:
        """
        Append records, JSON without line feeds, all of them or none.

        Raises the file's error if the disk does not take them.
        """
        lines = ''.join(f'{record}\n' for record in records).encode()
        end = os.fstat(self._file).st_size
        try:
            while lines:
                lines = lines[os.write(self._file, lines) :]
        except OSError as reason:
            os.ftruncate(self._file, end)
            raise self._error(
                f'{self.path} cannot be written: {reason.strerror}; what it holds is kept, and '
                'the same command goes on from there'
            ) from reason

    def close(self) -> None:
        """Close the file, for others to write it."""
        _opened.discard(self)
        number, self._file = self._file, -1
        if number >= 0:
            os.close(number)

    def __enter__(self) -> 'JsonLines':
        """Return the file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
