"""`python -m ros2_llava_phi.demo`: the packaged recording, a node, and a client that asks."""

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from ros2_llava_phi.bags.ground_truth import read_ground_truth
from ros2_llava_phi.errors import LlavaPhiError
from ros2_llava_phi.files.packaged import DATA
from ros2_llava_phi.files.streams import Output

from .demonstration import Show, demonstrate
from .drive import MOMENTS

# A log on a pipe or in a file has no width of its own.
LOG_WIDTH = 160


def main() -> int:
    """Run the demonstration; exit code 2 and one line on stderr if it cannot go on."""
    Output()  # the page is written whoever listens
    parser = argparse.ArgumentParser(prog='ros2_llava_phi.demo', description=main.__doc__)
    parser.add_argument(
        '--page',
        type=Path,
        default=Path('build/demo.html'),
        help='the page to write [%(default)s]',
    )
    page: Path = parser.parse_args().page
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    console = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
    try:
        truth = read_ground_truth(DATA / 'drive_ground_truth.json')
        demonstrate(Show(DATA / 'drive', truth, MOMENTS), page, console)
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
        return 130
    except LlavaPhiError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 2
    return 0
