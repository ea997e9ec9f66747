"""
Play the cameras of a recording at their real rate: `python -m ros2_llava_phi.client.player BAG`.

Every header's stamp is shifted by the same time, so that the recording seems to happen now, and
a frame's place in the recording is its stamp less the shift. Prints two lines of JSON: the shift
when the first picture goes out, and at the end how many went out and how late the latest was.
"""

import argparse
import json
import signal
import struct
import sys
import time
from pathlib import Path

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import CompressedImage, Image

from ros2_llava_phi.bags.bag import COMPRESSED_IMAGE, IMAGE
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.errors import BagError, ClientError

MESSAGE_TYPES = {IMAGE: Image, COMPRESSED_IMAGE: CompressedImage}

# Longest wait for somebody to subscribe.
PATIENCE_S = 20.0

# Longest wait for the last picture to arrive.
LAST_WORDS_S = 2.0

# The first four bytes say how a message is serialised; the stamp of the header follows.
CDR_HEADER = 4


def shift_stamp(cdr: bytes, shift_ns: int) -> bytes:
    """
    Return a serialised message whose first field is a header, its stamp shifted.

    cdr: XCDR1 with its encapsulation header, of either byte order (OMG DDSI-RTPS, section 10.2).
    """
    stamp = '<iI' if cdr[1] & 1 else '>iI'
    seconds, nanoseconds = struct.unpack_from(stamp, cdr, CDR_HEADER)
    shifted = divmod(seconds * 10**9 + nanoseconds + shift_ns, 10**9)
    rest = CDR_HEADER + struct.calcsize(stamp)
    return cdr[:CDR_HEADER] + struct.pack(stamp, *shifted) + cdr[rest:]


def play(bag: Path, node: Node) -> None:
    """
    Publish a bag's pictures at their real rate, once everybody is there to see them.

    Raises BagError for a bad bag, ClientError if a topic finds no subscriber in time.
    """
    recording = Recording(bag, must_be_whole=True)
    publishers = {
        topic: node.create_publisher(MESSAGE_TYPES[message_type], topic, QoSProfile(depth=5))
        for topic, message_type in recording.image_topics().items()
    }
    wait_for_subscribers(publishers)
    start = first_ns = shift_ns = played = latest_ns = 0
    for message in recording.messages(publishers):
        if not played:
            first_ns = message.recorded_ns
            start, shift_ns = time.monotonic_ns(), time.time_ns() - first_ns
            _say(shift_ns=shift_ns)
        due = start + message.recorded_ns - first_ns
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        publishers[message.topic].publish(shift_stamp(message.cdr, shift_ns))
        latest_ns = max(latest_ns, time.monotonic_ns() - due)
        played += 1
    # A publisher that leaves at once may take its last picture along.
    for publisher in publishers.values():
        publisher.wait_for_all_acked(Duration(seconds=LAST_WORDS_S))
    _say(played=played, latest_ns=latest_ns)


def wait_for_subscribers(publishers: dict[str, Publisher]) -> None:
    """Return once every topic has a subscriber; raises ClientError if one finds none."""
    deadline = time.monotonic() + PATIENCE_S
    for topic, publisher in publishers.items():
        while not publisher.get_subscription_count():
            if time.monotonic() > deadline:
                raise ClientError(f'nobody subscribed to {topic} within {PATIENCE_S:g} s')
            time.sleep(0.02)


def _say(**facts: int) -> None:
    print(json.dumps(facts), flush=True)


def main() -> int:
    """Play the bag that the command line names; exit code 2 if it cannot be played."""
    parser = argparse.ArgumentParser(prog='player', description='Play the cameras of a bag.')
    parser.add_argument('bag', type=Path)
    bag: Path = parser.parse_args().bag
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node('player', start_parameter_services=False)
        play(bag, node)
    except KeyboardInterrupt:
        return 0
    except (BagError, ClientError) as error:
        print(f'player: {error}', file=sys.stderr)
        return 2
    finally:
        # It is leaving already: being told to leave must not interrupt that.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
