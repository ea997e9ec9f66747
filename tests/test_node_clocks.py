"""Clocks that jump anywhere: an answer is never about a frame that is older than it says."""

# ruff: noqa: E402 (what needs ROS is imported only where there is one)

import random
from types import SimpleNamespace
from typing import Any

import pytest
from node_stand_in import StandIn, image_message

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('llava_phi')

from builtin_interfaces.msg import Time
from llava_phi.srv import Ask
from rclpy.serialization import serialize_message

from ros2_llava_phi.assistant.question import Question
from ros2_llava_phi.bags.stamps import NS, from_ns, to_ns
from ros2_llava_phi.node.answering import Answering, RefusalError, Ticket
from ros2_llava_phi.node.cameras import CLOCK_OFFSET_NS, Camera
from ros2_llava_phi.node.messages import AskedFor
from ros2_llava_phi.node.node_clock import NO_CLOCK, PAUSE_S, NodeClock
from ros2_llava_phi.node.parameters import CameraParameters

START_NS = 1_760_000_000 * NS


class Clocks:
    """A node's clock that can be set, and a steady one that only goes on."""

    def __init__(self, simulated: bool, node_ns: int = START_NS) -> None:
        self.ros_time_is_active = simulated
        self.node_ns, self.steady_ns = node_ns, 50 * NS

    def now(self) -> Any:
        return SimpleNamespace(nanoseconds=self.node_ns)

    def pass_s(self, seconds: float, rate: float = 1.0) -> None:
        self.steady_ns += round(seconds * NS)
        self.node_ns += round(seconds * rate * NS)


class Rig:
    """A camera, and what answers about it, by clocks that can be set; there is no ROS node."""

    def __init__(self, clocks: Clocks) -> None:
        self.warnings: list[str] = []
        logger = SimpleNamespace(warning=self.warnings.append)
        node: Any = SimpleNamespace(
            create_subscription=lambda *_, **__: SimpleNamespace(topic_name='/front'),
            get_publishers_info_by_topic=lambda topic: [],
            get_logger=lambda: logger,
        )
        self.clock = NodeClock(clocks, lambda: clocks.steady_ns)
        self.camera = Camera(node, 'front', '/front', CameraParameters(), self.clock)
        self.camera.open()
        assistant: Any = StandIn()
        self.answering = Answering(assistant, {'front': self.camera}, self.clock)

    def show(self, stamp_ns: int) -> None:
        """Receive a frame with that stamp."""
        self.camera._keep(serialize_message(image_message((1, 2, 3), from_ns(Time, stamp_ns))))

    def ask(self, oldest_ns: int = 0, max_age_ns: int = 3600 * NS) -> Any:
        """Return the answer; raises RefusalError."""
        asked = AskedFor(Question('What?'), 'front', None, oldest_ns, max_age_ns, 10 * NS)
        return self.answering.answer(Ticket(asked, self.clock.now_ns, lambda response: None))


@pytest.mark.parametrize('simulated', [False, True])
def test_no_frame_is_taken_for_younger_than_its_receipt_whatever_clocks_do(
    simulated: bool,
) -> None:
    answered = refused = 0
    for seed in range(60):
        rng = random.Random(f'{seed} {simulated}')
        clocks = Clocks(simulated)
        rig = Rig(clocks)
        received: list[tuple[int, int]] = []
        for _ in range(40):
            clocks.pass_s(rng.uniform(0, 0.4), rng.choice([1, 1, 1, 0, 5]) if simulated else 1)
            if rng.random() < 0.1:  # a jump
                clocks.node_ns += round(rng.choice([-3600, -5, -0.9, -0.1, 0.3, 7, 86400]) * NS)
            if rng.random() < 0.6:  # a frame, by a clock of its own
                offset = rng.choice([0, -0.03, 0.01, 0.04, -2, 0.2, 5, 3600])
                rig.show(clocks.node_ns + round(offset * NS))
                received.append((clocks.node_ns, clocks.steady_ns))
                clocks.pass_s(rng.uniform(0, 0.1))
            if not received:
                continue
            node_ns, steady_ns = received[-1]
            # From after all that was ever received.
            after_ns = max(each for each, _ in received) + CLOCK_OFFSET_NS + rng.randrange(1, NS)
            with pytest.raises(RefusalError) as refusal:
                rig.ask(oldest_ns=after_ns)
            assert refusal.value.code in (Ask.Response.STALE_FRAME, Ask.Response.NO_FRAME)
            max_age_ns = round(rng.choice([0.05, 0.5, 3600]) * NS)
            try:
                answer = rig.ask(max_age_ns=max_age_ns)
            except RefusalError:
                refused += 1
                continue
            answered += 1
            age_ns = to_ns(answer.frame_age)
            assert clocks.node_ns - node_ns <= age_ns <= max_age_ns
            assert simulated or age_ns >= clocks.steady_ns - steady_ns
    assert answered > 300 and refused > 300


def test_a_stamp_ahead_of_its_receipt_counts_as_of_the_receipt() -> None:
    clocks = Clocks(simulated=False)
    rig = Rig(clocks)
    rig.show(START_NS + 10 * NS)
    clocks.pass_s(0.2)
    rig.ask(oldest_ns=START_NS)
    with pytest.raises(RefusalError, match='a stamp ahead of its receipt') as refusal:
        rig.ask(oldest_ns=START_NS + 5 * NS)
    assert refusal.value.code == Ask.Response.STALE_FRAME


def test_synchronised_clocks_may_differ_by_the_tolerance() -> None:
    rig = Rig(Clocks(simulated=False))
    rig.show(START_NS + CLOCK_OFFSET_NS)
    rig.ask(oldest_ns=START_NS + CLOCK_OFFSET_NS)
    captured = rig.camera.newest()
    assert captured is not None and not rig.camera.why_ahead(captured)


def test_stamps_ahead_are_warned_of_once_a_camera() -> None:
    rig = Rig(Clocks(simulated=False))
    for ahead_s in (2, 3, 4):
        rig.show(START_NS + ahead_s * NS)
        captured = rig.camera.newest()
        assert captured is not None
        assert f'{ahead_s}.000 s ahead' in rig.camera.why_ahead(captured)
    (warning,) = rig.warnings
    assert 'camera front' in warning and '2.000 s ahead' in warning


def test_a_clock_that_stands_still_for_longer_than_a_pause_shows() -> None:
    clocks = Clocks(simulated=True)
    clock = NodeClock(clocks, lambda: clocks.steady_ns)
    for rate in (1.0, 0.01, 20.0):
        clocks.pass_s(PAUSE_S + 2, rate)
        assert clock.fault() == ''
    clocks.pass_s(PAUSE_S - 0.1, 0)
    assert clock.fault() == ''
    clocks.pass_s(1.1, 0)
    assert '/clock has stood still for 6 s' in clock.fault()
    clocks.node_ns -= 90 * NS  # it was set back, and so it goes
    assert clock.fault() == ''
    assert NodeClock(Clocks(simulated=True, node_ns=0)).fault() == NO_CLOCK
    still = Clocks(simulated=False)
    clock = NodeClock(still, lambda: still.steady_ns)
    still.pass_s(PAUSE_S + 2, 0)
    assert clock.fault() == ''  # a machine's own clock is nobody's to stop
