"""Publish two synthetic full-HD cameras, in a process of its own, until it is interrupted."""

import argparse
import json
import signal
import time

import cv2
import numpy as np
import rclpy
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import CompressedImage, Image

from ros2_llava_phi.bags.cdr import shift_stamp

CAMERAS = ('front', 'rear')
WIDTH, HEIGHT = 1920, 1080


def synthetic_frame(transport: str, frame_id: str) -> Image | CompressedImage:
    """Return a frame of 1920x1080 with large shapes, and with noise so that its JPEG is large."""
    rng = np.random.default_rng(0)
    shapes = rng.integers(0, 256, (4, 8, 3), np.uint8)
    picture = cv2.resize(shapes, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    picture = cv2.add(picture, rng.integers(0, 16, picture.shape, np.uint8))
    if transport == 'raw':
        frame = Image(height=HEIGHT, width=WIDTH, encoding='bgr8', step=3 * WIDTH)
        frame.data = picture.tobytes()
    else:
        frame = CompressedImage(format='jpeg')
        frame.data = cv2.imencode('.jpg', picture)[1].tobytes()
    frame.header.frame_id = frame_id
    return frame


def main() -> None:
    """Publish at the rate, then say in JSON how many frames a second went out per camera."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--transport', choices=('raw', 'compressed'), required=True)
    parser.add_argument('--rate', type=float, required=True)
    chosen = parser.parse_args()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('two_cameras')
    kind = Image if chosen.transport == 'raw' else CompressedImage
    cameras = [
        (
            node.create_publisher(kind, f'/{name}', QoSProfile(depth=1)),
            serialize_message(synthetic_frame(chosen.transport, f'{name}_optical')),
        )
        for name in CAMERAS
    ]
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGINT, stop)
    start = time.monotonic()
    rounds = 0
    while running:
        for publisher, frame in cameras:
            publisher.publish(shift_stamp(frame, time.time_ns()))
        rounds += 1
        time.sleep(max(0.0, start + rounds / chosen.rate - time.monotonic()))
    print(json.dumps({'rate': rounds / (time.monotonic() - start)}))
    try_shutdown()


if __name__ == '__main__':
    main()
