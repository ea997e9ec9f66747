"""How long the node takes from the start of its process, and how much memory it needs."""

import tempfile
import time

from common import PATIENCE_S, Row, arguments, report, usage
from two_cameras import synthetic_frame

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.client.ask_client import AskClient, make_request
from ros2_llava_phi.client.process import running_node


def start_once(model: str, run: int) -> Row:
    """Start the node, ask it about a picture sent along, and stop it."""
    request = make_request('Is there a car?', Kind.YES_NO)
    request.image = synthetic_frame('compressed', 'camera_optical')
    with AskClient() as client, tempfile.TemporaryFile('w+') as log:
        start = time.monotonic()
        with running_node(['-p', f'model:={model}'], log) as node:
            client.wait_until_active(PATIENCE_S)
            active = time.monotonic()
            at_first = usage(node)
            client.ask(request, PATIENCE_S)
            answered = time.monotonic()
            for _ in range(20):
                client.ask(request, PATIENCE_S)
            at_last = usage(node)
    return {
        'run': str(run),
        'active after [s]': active - start,
        'first answer after [s]': answered - start,
        'memory when active [MiB]': at_first.memory_mib,
        'after 21 questions [MiB]': at_last.memory_mib,
        'at most [MiB]': at_last.most_memory_mib,
    }


def main() -> None:
    """Start the node several times; the first time reads its files from the disk."""
    parser = arguments(__doc__)
    parser.add_argument('--runs', type=int, default=5, help='[%(default)s]')
    chosen = parser.parse_args()
    rows = [start_once(chosen.model, run) for run in range(1, chosen.runs + 1)]
    report('Start-up and memory of the node', rows, chosen.json)


if __name__ == '__main__':
    main()
