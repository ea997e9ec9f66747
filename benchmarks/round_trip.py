"""How long a question takes beside the model: ~/ask with two full-HD cameras at 30 Hz."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import PATIENCE_S, Row, arguments, report, spread, usage
from llava_phi.srv import Ask
from two_cameras import CAMERAS

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.bags.stamps import to_seconds
from ros2_llava_phi.client.ask_client import AskClient, make_request
from ros2_llava_phi.client.process import camera_parameters, running_node, stop

RATE_HZ = 30.0
CAMERAS_PROGRAM = str(Path(__file__).with_name('two_cameras.py'))
QUESTIONS = ('Is there a car?', 'Is it raining?', 'Is it night?')


@contextmanager
def two_cameras(transport: str) -> 'Iterator[subprocess.Popen[str]]':
    """Run the cameras."""
    process = subprocess.Popen(
        [sys.executable, CAMERAS_PROGRAM, '--transport', transport, '--rate', str(RATE_HZ)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        stop(process)


def outside_the_model(client: AskClient, question: str, camera: str) -> float:
    """Return the milliseconds of a round trip less those that the model took."""
    request = make_request(question, Kind.YES_NO, camera=camera, max_frame_age_s=PATIENCE_S)
    start = time.perf_counter()
    response = client.ask(request, PATIENCE_S)
    passed = time.perf_counter() - start
    if response.error_code != Ask.Response.NONE:
        raise RuntimeError(f'the node refuses: {response.error_text}')
    answer = response.answer
    stages = (answer.encode_time, answer.prefill_view_time, answer.prefill_time)
    return 1e3 * (passed - sum(map(to_seconds, (*stages, answer.decode_time))))


def wait_for_frames(client: AskClient) -> None:
    """Return once both cameras have delivered."""
    deadline = time.monotonic() + PATIENCE_S
    for camera in CAMERAS:
        request = make_request(QUESTIONS[0], Kind.YES_NO, camera=camera)
        while (response := client.ask(request, PATIENCE_S)).error_code != Ask.Response.NONE:
            if time.monotonic() > deadline:
                raise RuntimeError(f'camera {camera} does not deliver: {response.error_text}')
            time.sleep(0.1)


def measure(model: str, transport: str, seconds: float) -> Row:
    """Ask for some seconds, and keep quiet for as long before, with the cameras going."""
    parameters = camera_parameters({name: f'/{name}' for name in CAMERAS}, transport)
    with (
        tempfile.TemporaryFile('w+') as log,
        running_node([*parameters, '-p', f'model:={model}'], log) as node,
        AskClient() as client,
    ):
        client.wait_until_active(PATIENCE_S)
        with two_cameras(transport) as cameras:
            wait_for_frames(client)
            start, before = time.monotonic(), usage(node)
            time.sleep(seconds)
            quiet_share = (usage(node).cpu_s - before.cpu_s) / (time.monotonic() - start)
            start, before = time.monotonic(), usage(node)
            overheads: list[float] = []
            while time.monotonic() - start < seconds:
                question = QUESTIONS[len(overheads) % len(QUESTIONS)]
                camera = CAMERAS[len(overheads) % len(CAMERAS)]
                overheads.append(outside_the_model(client, question, camera))
            busy_share = (usage(node).cpu_s - before.cpu_s) / (time.monotonic() - start)
            stop(cameras)
            rate = json.loads(cameras.stdout.read() if cameras.stdout else '{}')['rate']
    return {
        'transport': transport,
        'published [Hz]': rate,
        'questions': float(len(overheads)),
        **{f'{name} [ms]': value for name, value in spread(overheads).items()},
        'node, not asked [% of a core]': 100 * quiet_share,
        'node, asked [% of a core]': 100 * busy_share,
    }


def main() -> None:
    """Measure both transports."""
    parser = arguments(__doc__)
    parser.add_argument('--seconds', type=float, default=20.0, help='of asking [%(default)s]')
    chosen = parser.parse_args()
    rows = [measure(chosen.model, each, chosen.seconds) for each in ('compressed', 'raw')]
    report('Round trip of ~/ask less the time in the model, 2 x 1080p', rows, chosen.json)


if __name__ == '__main__':
    main()
