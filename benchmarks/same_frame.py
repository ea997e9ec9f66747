"""The same question twice about one frame: the second time, the frame is not looked at again."""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial

import rclpy
from common import PATIENCE_S, Row, arguments, report
from llava_phi.msg import Answer
from llava_phi.srv import Ask
from rclpy.utilities import try_shutdown
from two_cameras import synthetic_frame

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.bags.stamps import to_seconds
from ros2_llava_phi.client.ask_client import AskClient, make_request
from ros2_llava_phi.client.process import camera_parameters, running_node

STAGES = ('encode', 'prefill_view', 'prefill', 'decode')


def answered(
    client: AskClient, request: Ask.Request, publish: Callable[[], None]
) -> tuple[Answer, float]:
    """Return the answer and the seconds of its round trip; publish the frame until it arrives."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        start = time.perf_counter()
        response = client.ask(request, PATIENCE_S)
        passed = time.perf_counter() - start
        if response.error_code == Ask.Response.NONE:
            return response.answer, passed
        if time.monotonic() > deadline:
            raise RuntimeError(f'the node refuses: {response.error_text}')
        publish()
        time.sleep(0.1)


def times(answer: Answer, round_trip_s: float) -> dict[str, float]:
    """Return the milliseconds of each stage."""
    stages = {
        f'{stage} [ms]': 1e3 * to_seconds(getattr(answer, f'{stage}_time')) for stage in STAGES
    }
    return {**stages, 'round trip [ms]': 1e3 * round_trip_s}


def main() -> None:
    """Ask about some frames twice each, and print the medians of each stage."""
    parser = arguments(__doc__)
    parser.add_argument('--frames', type=int, default=20, help='[%(default)s]')
    chosen = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node('camera')
    frame = synthetic_frame('compressed', 'front_optical')
    publisher = node.create_publisher(type(frame), '/front', 1)
    parameters = camera_parameters({'front': '/front'}, 'compressed')
    measured: dict[str, list[dict[str, float]]] = {'first time': [], 'second time': []}
    with (
        tempfile.TemporaryFile('w+') as log,
        running_node([*parameters, '-p', f'model:={chosen.model}'], log),
        AskClient() as client,
    ):
        client.wait_until_active(PATIENCE_S)
        while not publisher.get_subscription_count():
            time.sleep(0.05)
        for _ in range(chosen.frames):
            frame.header.stamp = node.get_clock().now().to_msg()
            request = make_request('Is there a car?', Kind.YES_NO, max_frame_age_s=PATIENCE_S)
            # Older frames are refused, so nothing is looked at before the new one is there.
            request.oldest_stamp = frame.header.stamp
            for rows in measured.values():
                publish = partial(publisher.publish, frame)
                rows.append(times(*answered(client, request, publish)))
    try_shutdown()
    medians: list[Row] = [
        {
            'the same question': name,
            **{stage: statistics.median(row[stage] for row in rows) for stage in rows[0]},
        }
        for name, rows in measured.items()
    ]
    report('The same question twice about one frame (1080p JPEG), medians', medians, chosen.json)


if __name__ == '__main__':
    main()
