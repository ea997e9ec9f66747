"""
Play the cameras of a recording at their times, by one of three clocks.

`python -m ros2_llava_phi.client.player BAG` plays a bag as if it happened now. It prints two lines
of JSON: by how much stamps are shifted when the first picture goes out, and at the end how many
went out and how late the latest was.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Condition
from typing import Protocol

from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from ros2_llava_phi.bags.bag import COMPRESSED_IMAGE, IMAGE, RawMessage
from ros2_llava_phi.bags.cdr import shift_stamp
from ros2_llava_phi.bags.recorded_frame import count_by_reason
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.bags.stamps import from_ns, to_ns
from ros2_llava_phi.errors import ClientError, FrameError, LlavaPhiError, NoResponseError

from .ask_client import own_node
from .pace import CLOCK_PERIOD_S, Pace

MESSAGE_TYPES = {IMAGE: Image, COMPRESSED_IMAGE: CompressedImage}

# Longest waits: for somebody to subscribe, for the last picture to arrive, for /clock to move.
PATIENCE_S = 20.0
LAST_WORDS_S = 2.0
CLOCK_PATIENCE_S = 60.0


class RecordingClock(Protocol):
    """
    The time of the recordings that are played, one after another.

    shift_ns: what stamps need added to agree with the clock that the node goes by.
    """

    @property
    def shift_ns(self) -> int:
        """Return it, once the first time was waited for."""

    def begin(self) -> None:
        """Begin another recording."""

    def wait_for(self, time_ns: int) -> None:
        """Return when that time has come."""

    def idle(self) -> None:
        """Let a moment pass."""


class PresentClock:
    """The machine's own time: a recording happens now."""

    def __init__(self) -> None:
        """Nothing passes before the first time that is waited for."""
        self.begin()

    def begin(self) -> None:
        """Begin another recording."""
        self.shift_ns = 0
        self._pace = Pace(lambda time_ns: None, 1.0)

    def wait_for(self, time_ns: int) -> None:
        """Return when that time has come."""
        if self._pace.begins_anew(time_ns):
            self.shift_ns = time.time_ns() - time_ns
        self._pace.wait_for(time_ns)

    def idle(self) -> None:
        """Let a moment pass."""
        self._pace.idle()

    def now_ns(self) -> int:
        """Return the recording's time."""
        return self._pace.now_ns()


class OwnClock:
    """The recording's time, which we make pass on /clock, at a rate."""

    shift_ns = 0

    def __init__(self, node: Node, rate: float) -> None:
        """Publish on /clock from that node."""
        self._publisher: Publisher = node.create_publisher(Clock, '/clock', QoSProfile(depth=1))
        self._rate = rate
        self.begin()

    def begin(self) -> None:
        """Begin another recording."""
        self._pace = Pace(self._tell_time, self._rate)

    def wait_for(self, time_ns: int) -> None:
        """Return when that time has come."""
        self._pace.wait_for(time_ns)

    def idle(self) -> None:
        """Let a moment pass."""
        self._pace.idle()

    def _tell_time(self, time_ns: int) -> None:
        self._publisher.publish(Clock(clock=from_ns(Time, time_ns)))


class OthersClock:
    """The recording's time, which somebody else makes pass on /clock."""

    shift_ns = 0

    def __init__(self, node: Node) -> None:
        """Listen to /clock with that node, which another thread spins."""
        self._now_ns = -1
        self._moved = Condition()
        quality = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(Clock, '/clock', self._hear, quality)

    def begin(self) -> None:
        """Begin another recording, which may be an earlier one."""
        with self._moved:
            self._now_ns = -1

    def wait_for(self, time_ns: int) -> None:
        """Return when that time has come; raises NoResponseError if the clock stands still."""
        with self._moved:
            while self._now_ns < time_ns:
                if not self._moved.wait(CLOCK_PATIENCE_S):
                    raise NoResponseError(
                        f'/clock stands still for {CLOCK_PATIENCE_S:g} s; play the recording: '
                        '`ros2 bag play BAG --clock`'
                    )

    def idle(self) -> None:
        """Let a moment pass."""
        time.sleep(CLOCK_PERIOD_S)

    def _hear(self, clock: Clock) -> None:
        now_ns = to_ns(clock.clock)
        with self._moved:
            if now_ns != self._now_ns:
                self._now_ns = now_ns
                self._moved.notify()


class Player:
    """Publishes the messages of cameras, with stamps that agree with a clock."""

    def __init__(self, node: Node, clock: RecordingClock) -> None:
        """Publish from that node; there are no topics before `connect`."""
        self._node, self._clock = node, clock
        self._publishers: dict[str, Publisher] = {}

    def connect(self, topics: Mapping[str, str]) -> None:
        """
        Return once each topic, given with its message type, has a subscriber.

        A video is published as JPEG.

        Raises ClientError if one finds none in time, and says what else is expected on its topic.
        """
        for topic, message_type in topics.items():
            if topic not in self._publishers:
                self._publishers[topic] = self._node.create_publisher(
                    MESSAGE_TYPES.get(message_type, CompressedImage), topic, QoSProfile(depth=5)
                )
        deadline = time.monotonic() + PATIENCE_S
        for topic, publisher in self._publishers.items():
            while not publisher.get_subscription_count():
                if time.monotonic() > deadline:
                    raise ClientError(self._nobody(topic))
                time.sleep(0.02)

    def _nobody(self, topic: str) -> str:
        sentence = f'nobody subscribed to {topic} within {PATIENCE_S:g} s'
        subscribers = self._node.get_subscriptions_info_by_topic(topic)
        if types := ', '.join(sorted({each.topic_type for each in subscribers})):
            sentence += (
                f" to what is recorded, but to {types}; set the camera's parameter `transport` "
                'as the recording has it'
            )
        return sentence

    def show(self, message: RawMessage) -> None:
        """Publish a message now, if its topic is connected: else somebody else plays it."""
        if message.topic in self._publishers:
            shifted = shift_stamp(message.cdr, self._clock.shift_ns)
            self._publishers[message.topic].publish(shifted)

    def finish(self) -> None:
        """Return when all pictures have arrived: who leaves at once may take the last along."""
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=LAST_WORDS_S))


def play(bag: Path, node: Node) -> None:
    """
    Publish a bag's pictures at their real rate, once everybody is there to see them.

    Raises BagError for a bad bag, ClientError if a topic finds no subscriber in time.
    """
    recording = Recording(bag, must_be_whole=True)
    topics = recording.image_topics()
    clock = PresentClock()
    player = Player(node, clock)
    player.connect(topics)
    refused: list[str] = []
    played = latest_ns = 0
    for frame in recording.frames():
        try:
            message = frame.on_steady_clock().as_published()
        except FrameError as error:
            refused.append(str(error))
            continue
        clock.wait_for(message.recorded_ns)
        if not played:
            _say(shift_ns=clock.shift_ns)
        player.show(message)
        latest_ns = max(latest_ns, clock.now_ns() - message.recorded_ns)
        played += 1
    player.finish()
    if refused:
        why = count_by_reason(refused)
        print(f'player: {len(refused)} frames cannot be decoded: {why}', file=sys.stderr)
    _say(played=played, latest_ns=latest_ns)


def _say(**facts: int) -> None:
    print(json.dumps(facts), flush=True)


def main() -> int:
    """Play the bag that the command line names; exit code 2 if it cannot be played."""
    parser = argparse.ArgumentParser(prog='player', description='Play the cameras of a bag.')
    parser.add_argument('bag', type=Path)
    bag: Path = parser.parse_args().bag
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with own_node('player') as node:
            try:
                play(bag, node)
            finally:
                # It is leaving already: being told to leave must not interrupt that.
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        return 0
    except LlavaPhiError as error:
        print(f'player: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
