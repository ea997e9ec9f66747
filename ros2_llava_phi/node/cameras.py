"""The newest frame of every camera, undecoded until somebody asks about it."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.serialization import deserialize_message
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image

from ros2_llava_phi.assistant.frame import Frame

from .image_conversion import FrameError, compressed_to_rgb, image_to_rgb

# A clock that is this far behind what it said before was set back: a recording started over.
CLOCK_STEP_NS = 1_000_000_000


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

    @cached_property
    def message(self) -> Any:
        """The message, unpacked; raises FrameError if it cannot be."""
        try:
            message = deserialize_message(self._serialized, self._kind)
        except Exception as error:
            raise FrameError(f'the message cannot be unpacked: {error}') from error
        self._serialized = b''
        return message

    @property
    def stamp_ns(self) -> int:
        """The acquisition time in the header, in nanoseconds."""
        return int(Time.from_msg(self.message.header.stamp).nanoseconds)

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
        self._open = True

    def close(self) -> None:
        """Keep no frames, and forget the newest."""
        self._open = False
        self._newest = None

    def destroy(self) -> None:
        """Unsubscribe."""
        self.close()
        self._node.destroy_subscription(self._subscription)

    def received_ago_ns(self) -> int | None:
        """Return the time since the newest frame came, or None if there is no frame."""
        frame = self.newest()
        return None if frame is None else self._now_ns() - frame.received_ns

    def newest(self) -> CapturedFrame | None:
        """Return the newest frame, or None if there is none since the clock was last set back."""
        frame = self._newest
        if frame is None or self._now_ns() < frame.received_ns - CLOCK_STEP_NS:
            return None
        return frame

    def why_silent(self) -> str:
        """Say in half a sentence what may be wrong with a camera that delivers nothing."""
        wanted = self._kind.__name__
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        others = {p.topic_type for p in publishers} - {f'sensor_msgs/msg/{wanted}'}
        if not publishers:
            return f'nobody publishes {self.topic}'
        if others:
            return (
                f'{self.topic} carries {", ".join(sorted(others))}, not sensor_msgs/msg/{wanted}'
            )
        return f'{self.topic} has a publisher, but no message came yet'

    def _keep(self, serialized: bytes) -> None:
        self.received += 1
        if self._open:
            self._newest = CapturedFrame(self.name, self._kind, serialized, self._now_ns())
