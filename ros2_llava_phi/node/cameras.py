"""The newest frame of every camera, undecoded until somebody asks about it."""

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.bags.clock import was_set_back
from ros2_llava_phi.bags.stamps import NS, to_ns
from ros2_llava_phi.client.distributions import destroy_subscription
from ros2_llava_phi.errors import FrameError
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb, image_to_rgb

# A message begins with four bytes on how it is serialised; the header's stamp is its first field.
STAMP_BYTES = 4 + 8


def camera_qos() -> QoSProfile:
    """Return how a camera is subscribed to: the newest message only, from any publisher."""
    # A profile for each subscription: rclpy writes the overrides into it.
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
    )


class CapturedFrame:
    """
    One message of a camera, as it came over the wire.

    camera: the camera's name.
    received_ns: when it came, by the node's clock.
    """

    def __init__(self, camera: str, kind: type[Any], serialized: bytes, received_ns: int) -> None:
        """Keep the message; nothing is unpacked yet."""
        self.camera = camera
        self.received_ns = received_ns
        self._kind = kind
        self._serialized = serialized
        self._serialized_stamp = serialized[:STAMP_BYTES]

    @cached_property
    def message(self) -> Any:
        """The message, unpacked; raises FrameError if it cannot be."""
        try:
            message = deserialize_message(self._serialized, self._kind)
        except Exception as error:
            raise FrameError(f'the message cannot be unpacked: {error}') from error
        self._serialized = b''
        return message

    @cached_property
    def stamp_ns(self) -> int:
        """
        The acquisition time in the header, in nanoseconds; 0 where it holds none.

        The message is not unpacked for it.
        """
        if len(self._serialized_stamp) < STAMP_BYTES:
            return 0
        stamp = deserialize_message(self._serialized_stamp, Time)
        return max(0, to_ns(stamp))

    def age_ns(self, now_ns: int) -> int:
        """
        Return the frame's age: since its stamp, and never less than since its receipt.

        So a frame without a stamp, or with a stamp ahead of the node's clock, grows old as well.
        """
        since_receipt = now_ns - self.received_ns
        since_stamp = now_ns - self.stamp_ns if self.stamp_ns else since_receipt
        return max(since_stamp, since_receipt, 0)

    def decode(self) -> Frame:
        """Return the frame as an RGB picture; raises FrameError if it cannot be one."""
        to_rgb = compressed_to_rgb if self._kind is CompressedImage else image_to_rgb
        header = self.message.header
        return Frame(to_rgb(self.message), self.stamp_ns, header.frame_id, self.camera)


class Camera:
    """
    One camera: a subscription, and its newest frame while the node is active.

    received: messages that came since the node was configured.
    """

    def __init__(
        self, node: Node, name: str, topic: str, transport: str, now_ns: Callable[[], int]
    ) -> None:
        """Subscribe; `now_ns` is the node's clock. Nothing is kept before `open`."""
        self.name = name
        self.received = 0
        self._kind = CompressedImage if transport == 'compressed' else Image
        self._node = node
        self._now_ns = now_ns
        self._open = False
        self._newest: CapturedFrame | None = None
        self._none_since = 'the node was configured'
        self._lock = threading.Lock()
        # Raw: unpacking a full-HD message costs several times what taking its bytes does.
        self._subscription = node.create_subscription(
            self._kind,
            topic,
            self._keep,
            camera_qos(),
            raw=True,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self.topic = self._subscription.topic_name

    def open(self) -> None:
        """Keep frames from now on."""
        self._none_since = 'the node was activated'
        self._open = True

    def close(self) -> None:
        """Keep no frames, and forget the newest."""
        with self._lock:
            self._open = False
            self._newest = None

    def destroy(self) -> None:
        """Unsubscribe."""
        self.close()
        destroy_subscription(self._node, self._subscription)

    def newest(self) -> CapturedFrame | None:
        """Return the newest frame, or None if there is none since the clock was last set back."""
        with self._lock:
            frame = self._newest
            if frame is not None and was_set_back(self._now_ns(), frame.received_ns):
                # For good: the clock will come to its time again.
                self._newest = frame = None
                self._none_since = "the node's clock was set back"
            return frame

    def why_silent(self) -> str:
        """Say in half a sentence what may be wrong with a camera that delivers nothing."""
        wanted = f'sensor_msgs/msg/{self._kind.__name__}'
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        ours = [publisher for publisher in publishers if publisher.topic_type == wanted]
        if not publishers:
            return f'nobody publishes {self.topic}'
        if not ours:
            others = sorted({publisher.topic_type for publisher in publishers})
            return f'{self.topic} carries {", ".join(others)}, not {wanted}'
        checks = [
            qos_check_compatible(publisher.qos_profile, self._subscription.qos_profile)
            for publisher in ours
        ]
        if all(compatibility == QoSCompatibility.ERROR for compatibility, _ in checks):
            reason = checks[0][1].removeprefix('ERROR: ').rstrip('; ')
            return f'the quality of service of {self.topic} does not match: {reason}'
        frame = self.newest()
        if frame is None:
            since = f'since {self._none_since}'
        else:
            since = f'for {(self._now_ns() - frame.received_ns) / NS:.1f} s'
        return f'{self.topic} has a publisher, but no message came {since}'

    def _keep(self, serialized: bytes) -> None:
        self.received += 1
        frame = CapturedFrame(self.name, self._kind, serialized, self._now_ns())
        with self._lock:
            if self._open:
                self._newest = frame
