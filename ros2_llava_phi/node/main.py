"""Entry point `vqa_node`: the node in a process of its own, from its signals to its exit code."""

import os
import signal
import sys
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ros2_llava_phi.assistant.assistant import Assistant
    from ros2_llava_phi.engine.engine import Progress

    from .vqa_node import Load

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def load_model(
    model: str,
    engine: str,
    device: str,
    precision: str,
    on_build: 'Progress | None',
    threads: int,
) -> 'Assistant':
    """Load an assistant; what runs the model is imported only now, so that the node is up soon."""
    from ros2_llava_phi.assistant.load import load

    return load(model, engine, device, precision, on_build, threads)


def main(args: list[str] | None = None, load: 'Load' = load_model) -> int:
    """
    Run the node until SIGINT or SIGTERM, and return the exit code.

    0: stopped by a signal, however many come. 1: it could not bring itself up. 2: a parameter, a
    params file or another argument is wrong.
    """
    signals: SimpleQueue[int] = SimpleQueue()

    def hear(number: int, frame: FrameType | None) -> None:
        # A terminal, `ros2 launch` and an impatient user may all send one: the first is enough.
        _ignore_signals()
        signals.put(number)

    for number in STOP_SIGNALS:
        signal.signal(number, hear)
    try:
        # Only now, as it takes seconds on a small computer.
        from .run import run

        code, ended = run(args, load, signals)
    finally:
        # What is ignored stays so while Python ends; handlers it takes back before.
        _ignore_signals()
    if not ended:
        # Python would wait for what the model is at, however long that takes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == '__main__':
    sys.exit(main())
