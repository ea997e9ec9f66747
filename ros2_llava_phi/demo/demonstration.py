"""Start the node, play the recording into it, ask, and show what comes of it."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from ros2_llava_phi.assistant.answer import ModelIdentity
from ros2_llava_phi.bags.ground_truth import GroundTruth
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.client.ask_client import ASK_PATIENCE_S, AskClient, make_request, to_identity
from ros2_llava_phi.client.process import camera_parameters, running_node, running_player
from ros2_llava_phi.errors import ClientError, NoResponseError

from .drive import Moment
from .exchange import LEGEND, Exchange, header, make_exchange, row, tally, write_report

# Longest wait for the node until it is active.
START_PATIENCE_S = 180.0

# How often to look whether a node that is not active has left.
LOOK_AGAIN_S = 2.0


@dataclass(frozen=True)
class Show:
    """
    What is played, and what is asked about it.

    bag: a recording of CompressedImage topics that begin with the camera's name: /front/...
    moments: in the order of their times.
    """

    bag: Path
    truth: GroundTruth
    moments: Sequence[Moment]


def demonstrate(
    show: Show, page: Path, console: Console, command: Sequence[str] = ()
) -> list[Exchange]:
    """
    Run the demonstration, write its page, and return what was asked and answered.

    page: the HTML file to write; what the node and the player print goes to `.log` beside it.
    command: the node's program; empty for the installed one.

    Raises BagError, ClientError and NoResponseError, each with a sentence.
    """
    recording = Recording(show.bag, must_be_whole=True)
    topics = {topic.split('/')[1]: topic for topic in sorted(recording.image_topics())}
    page.parent.mkdir(parents=True, exist_ok=True)
    with (
        page.with_suffix('.log').open('w', encoding='utf-8') as log,
        running_node(camera_parameters(topics, 'compressed'), log, command) as node,
        AskClient() as client,
    ):
        with console.status('The node starts …'):
            model = _wait_for_node(client, node, Path(log.name))
        running = f'{model}, {model.engine} {model.precision} on {model.device}'
        console.print(f'The node is active: {running}', highlight=False)
        with running_player(show.bag, log) as player:
            shift_ns = player.wait_for_start()
            exchanges = _ask_all(show, client, shift_ns, console)
    write_report(page, exchanges, _pictures(recording, topics, exchanges), model)
    console.print(f'{tally(exchanges)}.', highlight=False)
    console.print(f'The page: {page.resolve()}', soft_wrap=True, highlight=False)
    return exchanges


def _wait_for_node(client: AskClient, node: 'subprocess.Popen[str]', log: Path) -> ModelIdentity:
    deadline = time.monotonic() + START_PATIENCE_S
    while True:
        try:
            client.wait_until_active(LOOK_AGAIN_S)
            return to_identity(client.model_info(START_PATIENCE_S))
        except NoResponseError:
            if node.poll() is not None:
                raise ClientError(
                    f'the node left with exit code {node.returncode}; {log} says why'
                ) from None
            if time.monotonic() > deadline:
                raise


def _ask_all(show: Show, client: AskClient, shift_ns: int, console: Console) -> list[Exchange]:
    start = time.monotonic()
    exchanges = []
    console.print(header())
    with console.status('') as status:
        for moment in show.moments:
            while (left := start + moment.at_s - time.monotonic()) > 0:
                status.update(f'{time.monotonic() - start:.0f} s into the drive')
                time.sleep(min(left, 0.5))
            exchanges.append(_ask(moment, show.truth, client, shift_ns))
            console.print(row(exchanges[-1]))
    console.print(LEGEND, style='dim', highlight=False)
    return exchanges


def _ask(moment: Moment, truth: GroundTruth, client: AskClient, shift_ns: int) -> Exchange:
    request = make_request(
        moment.question,
        moment.kind,
        camera=moment.camera,
        choices=moment.choices,
        max_frame_age_s=moment.max_frame_age_s,
    )
    start = time.perf_counter()
    response = client.ask(request, ASK_PATIENCE_S)
    return make_exchange(moment, response, truth, shift_ns, time.perf_counter() - start)


def _pictures(
    recording: Recording, topics: dict[str, str], exchanges: Sequence[Exchange]
) -> dict[tuple[str, int], NDArray[np.uint8]]:
    wanted = {(each.camera, each.bag_stamp_ns) for each in exchanges if not each.error}
    return {
        key: frame.frame().image
        for frame in recording.frames(topics)
        if (key := (frame.camera, frame.stamp_ns)) in wanted
    }
