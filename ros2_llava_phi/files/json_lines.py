"""Files that grow line by line, of which a kill may leave the last line half written."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from ros2_llava_phi.errors import InputError

from .locks import Lock
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
            self._file = Lock(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                os.ftruncate(self._file.number, path.read_bytes().rfind(b'\n') + 1)
            except BaseException:
                self.close()
                raise
        except BlockingIOError as reason:
            raise error(f'another process is writing {path}; wait for its end') from reason
        except OSError as reason:
            raise error(f'{path} cannot be written: {reason.strerror}') from reason

    def append(self, records: Sequence[str]) -> None:
        """
        Append records, JSON without line feeds, all of them or none.

        Raises the file's error if the disk does not take them.
        """
        lines = ''.join(f'{record}\n' for record in records).encode()
        try:
            end = os.fstat(self._file.number).st_size
            try:
                while lines:
                    lines = lines[os.write(self._file.number, lines) :]
            except OSError:
                os.ftruncate(self._file.number, end)
                raise
        except OSError as reason:
            raise self._error(
                f'{self.path} cannot be written: {reason.strerror}; what it holds is kept, and '
                'the same command goes on from there'
            ) from reason

    def close(self) -> None:
        """Close the file, for others to write it."""
        self._file.close()

    def __enter__(self) -> 'JsonLines':
        """Return the file."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close it."""
        self.close()
