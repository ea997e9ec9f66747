"""Standard output and error that never stop a program, whoever has stopped listening."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Heedless(io.FileIO):
    """A file whose content is lost where it cannot be written, as in a pipe that was closed."""

    lost: OSError | None = None

    def write(self, data: 'ReadableBuffer') -> int:
        """Write bytes; what becomes of them is in `lost` alone."""
        view = memoryview(data)
        try:
            return super().write(view) or 0
        except BlockingIOError:
            raise
        except OSError as error:
            self.lost = self.lost or error
            return view.nbytes


class Output:
    """What a program says while it works for a result that lies elsewhere."""

    def __init__(self) -> None:
        """Take over standard output and error, unless something else has already."""
        self._streams: list[_Heedless] = []
        _fill_closed()
        for number, name in ((1, 'stdout'), (2, 'stderr')):
            stream = getattr(sys, name)
            if stream is None or stream is getattr(sys, f'__{name}__'):
                raw = _Heedless(number, 'w', closefd=False)
                self._streams.append(raw)
                setattr(sys, name, _text(raw, stream))

    def lost(self) -> str:
        """Return why some of standard output was lost; empty if nobody wanted it, or all came."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        losses = [each.lost for each in self._streams if each.fileno() == 1 and each.lost]
        return next((str(each.strerror) for each in losses if each.errno != errno.EPIPE), '')


def _text(raw: _Heedless, like: TextIO | None) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(like, 'encoding', None) or 'utf-8',
        errors=getattr(like, 'errors', None) or 'backslashreplace',
        line_buffering=raw.isatty() or raw.fileno() == 2,
    )


def _fill_closed() -> None:
    """Open nothing where a standard stream was closed: else the next file would take its place."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
