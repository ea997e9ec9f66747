"""Run the node and the player as processes of their own, and stop them cleanly."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from ros2_llava_phi.errors import ClientError

# How long a process may take to leave after each signal, before the next, harder one.
PATIENCE_S = 10.0


def node_command() -> list[str]:
    """
    Return the command that `ros2 run llava_phi vqa_node` would run.

    Raises ClientError if the package is not built, or its set-up file not sourced.
    """
    try:
        program = Path(get_package_prefix('llava_phi')) / 'lib' / 'llava_phi' / 'vqa_node'
    except PackageNotFoundError:
        raise ClientError(
            'the package llava_phi is not to be found; run `make demo`, '
            'or source install/setup.bash first'
        ) from None
    if not program.is_file():
        raise ClientError(f'{program} does not exist; build the package again')
    return [str(program)]


def camera_parameters(topics: dict[str, str], transport: str) -> list[str]:
    """Return the node's arguments for cameras, given as name and topic."""
    arguments = ['-p', f'cameras:=[{", ".join(topics)}]']
    for camera, topic in topics.items():
        arguments += ['-p', f'{camera}.topic:={topic}', '-p', f'{camera}.transport:={transport}']
    return arguments


@contextmanager
def running_node(
    arguments: Sequence[str], log: TextIO, command: Sequence[str] = ()
) -> 'Iterator[subprocess.Popen[str]]':
    """
    Run a vqa_node with these ROS arguments; all it prints goes to the log.

    command: what to run instead of the installed node.
    """
    full = [*(command or node_command()), '--ros-args', *arguments]
    with _running(full, stdout=log, stderr=log) as process:
        yield process


@contextmanager
def running_player(bag: Path, log: TextIO) -> 'Iterator[RunningPlayer]':
    """Play a bag; what goes wrong goes to the log."""
    command = [sys.executable, '-m', 'ros2_llava_phi.client.player', str(bag)]
    with _running(command, stdout=subprocess.PIPE, stderr=log) as process:
        yield RunningPlayer(process)


class RunningPlayer:
    """A player at work in a process of its own."""

    def __init__(self, process: 'subprocess.Popen[str]') -> None:
        """Follow what the process prints."""
        self.process = process

    def wait_for_start(self) -> int:
        """Return by how many nanoseconds stamps are shifted; raises ClientError if none come."""
        # The player gives up by itself, so this cannot wait for ever.
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ClientError('the recording is not played; the log says why')
        return int(json.loads(line)['shift_ns'])


def stop(process: 'subprocess.Popen[str]') -> int:
    """Ask a process to leave, ever less politely, and return its exit code."""
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        process.send_signal(signal_number)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            continue
    return process.wait()


@contextmanager
def _running(
    command: Sequence[str], stdout: int | TextIO, stderr: TextIO
) -> 'Iterator[subprocess.Popen[str]]':
    # A session of its own keeps a Ctrl-C in the terminal from reaching the process: it is asked
    # to leave below, in order, and only once.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        stop(process)
        if process.stdout is not None:
            process.stdout.close()
