"""Running the commands of the set-up: quiet while all is well, everything shown when not."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

# What a sourced ROS 2, another virtual environment or the calling `make` would leak into ours.
FOREIGN = (
    *('AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH', 'COLCON_PREFIX_PATH', 'LD_LIBRARY_PATH'),
    *('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', '_ROS_WHEELS_BOOTSTRAP_COMPLETE'),
    *('ROS_DISTRO', 'ROS_VERSION', 'ROS_PYTHON_VERSION', 'MAKEFLAGS', 'MAKELEVEL', 'MFLAGS'),
)

SECONDS_BETWEEN_LINES = 15.0


class SetupError(Exception):
    """The set-up cannot go on; the message is for the user."""


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what belongs to another ROS 2 or Python."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


class Console:
    """Runs commands, one line of progress each, with all their output in a log file."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.log.write_bytes(b'')

    def run(
        self, title: str, command: Sequence[str | Path], environment: Mapping[str, str]
    ) -> None:
        """Run a command and show how far it is; raise SetupError, and show all, if it fails."""
        started = shown = time.monotonic()
        self._show(f'{title} ...')
        with (
            self.log.open('a') as log,
            subprocess.Popen(
                [str(word) for word in command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors='replace',
            ) as process,
        ):
            output: list[str] = []
            reader = threading.Thread(target=self._read, args=(process, log, output))
            reader.start()
            while reader.is_alive():
                reader.join(timeout=1)
                now = time.monotonic()
                if output and (sys.stdout.isatty() or now - shown > SECONDS_BETWEEN_LINES):
                    self._show(f'{title}: {now - started:.0f} s, {output[-1].strip()[:100]}')
                    shown = now
        seconds = time.monotonic() - started
        if process.returncode:
            self._show(f'{title}: FAILED after {seconds:.0f} s\n')
            print(''.join(output))
            raise SetupError(f'"{title}" failed; what it said is above and in {self.log}')
        self._show(f'{title}: done in {seconds:.0f} s', last=True)

    @staticmethod
    def _read(process: subprocess.Popen[str], log: TextIO, output: list[str]) -> None:
        """Collect the lines that a process writes, until it ends."""
        assert process.stdout is not None
        for line in filter(str.strip, process.stdout):
            output.append(line)
            log.write(line)
            log.flush()

    def _show(self, text: str, last: bool = False) -> None:
        """Print a line of progress; on a terminal it replaces the one before."""
        if sys.stdout.isatty():
            width = os.get_terminal_size().columns - 1
            print('\r\033[K' + text[:width], end='\n' if last else '', flush=True)
        else:
            print(text, flush=True)
