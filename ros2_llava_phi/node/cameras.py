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
from ros2_llava_phi.client.distributions import between_rounds
from ros2_llava_phi.errors import DamagedFrameError, FrameError
from ros2_llava_phi.imaging.image_conversion import (
    check_format,
    compressed_to_rgb,
    image_to_rgb,
)

from .node_clock import Moment, NodeClock
from .parameters import CameraParameters

# How far ahead of the node's clock the stamps of a synchronised clock may be, as far as NTP and
# /clock at 20 Hz go. What is further ahead counts as just received.
CLOCK_OFFSET_NS = 50_000_000
# What records video has types of its own.
VIDEO_TYPES = (
    'foxglove_msgs/msg/CompressedVideo',
    'ffmpeg_image_transport_msgs/msg/FFMPEGPacket',
)
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
    received: when it came.
    """

    def __init__(self, camera: str, kind: type[Any], serialized: bytes, received: Moment) -> None:
        """Keep the message; nothing is unpacked yet."""
        self.camera = camera
        self.received = received
        self._kind = kind
        self._serialized = serialized
        self._serialized_stamp = serialized[:STAMP_BYTES]
        self._message: Any = None
        # The worker unpacks it for a question, the executor for diagnostics.
        self._unpacking = threading.Lock()

    @property
    def message(self) -> Any:
        """The message, unpacked; raises DamagedFrameError if it cannot be."""
        with self._unpacking:
            if self._message is None:
                try:
                    self._message = deserialize_message(self._serialized, self._kind)
                except Exception as error:
                    raise DamagedFrameError(f'the message cannot be unpacked: {error}') from error
                self._serialized = b''
            return self._message

    @cached_property
    def stamp_ns(self) -> int:
        """
        The acquisition time in the header, in nanoseconds; 0 where none can be read.

        The message is not unpacked for it.
        """
        if len(self._serialized_stamp) < STAMP_BYTES:
            return 0
        try:
            stamp = deserialize_message(self._serialized_stamp, Time)
        except Exception:  # those that rclpy does not publish; the message then says what is wrong
            return 0
        return max(0, to_ns(stamp))

    @property
    def ahead_ns(self) -> int:
        """By how much the stamp is ahead of the receipt; 0 where clocks that agree explain it."""
        ahead_ns = self.stamp_ns - self.received.node_ns
        return ahead_ns if ahead_ns > CLOCK_OFFSET_NS else 0

    @property
    def shown_ns(self) -> int:
        """
        The latest time that the frame can show: its stamp, or its receipt if that is earlier.

        The receipt counts with the offset that synchronised clocks may have. 0 without a stamp.
        """
        return min(self.stamp_ns, self.received.node_ns + CLOCK_OFFSET_NS)

    def age_ns(self, clock: NodeClock) -> int:
        """
        Return the frame's age: since its stamp, and never less than since its receipt.

        So a frame without a stamp, or with a stamp ahead of the node's clock, grows old as well.
        """
        since_stamp = clock.now_ns() - self.stamp_ns if self.stamp_ns else 0
        return max(since_stamp, clock.since_ns(self.received))

    def check_format(self) -> None:
        """Raise FrameError where its message says what it is, and that is no picture of ours."""
        if self._kind is CompressedImage:
            check_format(self.message.format, bytes(self.message.data))

    def decode(self, significant_bits: int, on_flaw: Callable[[str], object]) -> Frame:
        """
        Return the frame as an RGB picture; raises FrameError if it cannot be one.

        significant_bits, on_flaw: as of `compressed_to_rgb`.
        """
        if self._kind is CompressedImage:
            rgb = compressed_to_rgb(self.message, significant_bits, on_flaw)
        else:
            rgb = image_to_rgb(self.message, significant_bits)
        return Frame(rgb, self.stamp_ns, self.message.header.frame_id, self.camera)


class Camera:
    """
    One camera: a subscription, and its newest frame while the node is active.

    received: messages that came since the node was configured.
    decoded: frames that were decoded since then, for a question; refused: those of them that were
    no picture; flawed: those with extraneous bytes, which lost nothing.
    refusal: why the last one was refused.
    """

    def __init__(
        self, node: Node, name: str, topic: str, parameters: CameraParameters, clock: NodeClock
    ) -> None:
        """Subscribe; nothing is kept before `open`."""
        self.name = name
        self.received = self.decoded = self.refused = self.flawed = 0
        self.refusal = ''
        self._kind = CompressedImage if parameters.transport == 'compressed' else Image
        self._significant_bits = parameters.significant_bits
        self._node = node
        self._clock = clock
        self._warned: set[str] = set()
        self._bad: CapturedFrame | None = None
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
        between_rounds(self._node, lambda: self._node.destroy_subscription(self._subscription))

    def newest(self) -> CapturedFrame | None:
        """Return the newest frame, or None if there is none since the clock was last set back."""
        with self._lock:
            frame = self._newest
            if frame is not None and was_set_back(self._clock.now_ns(), frame.received.node_ns):
                # For good: the clock will come to its time again.
                self._newest = frame = None
                self._none_since = "the node's clock was set back"
            return frame

    def decode(self, captured: CapturedFrame) -> Frame:
        """Return a frame of this camera as a picture; raises FrameError if it cannot be one."""
        first = captured is not self._bad
        self.decoded += first
        flaws: list[str] = []
        try:
            frame = captured.decode(self._significant_bits, flaws.append)
        except FrameError as error:
            self.refused += first
            self._bad, self.refusal = captured, str(error)
            raise
        if flaws:
            self.flawed += 1
            self._warn_once('flawed', f'the camera {self.name} sends {flaws[0]}')
        return frame

    def why_useless(self, captured: CapturedFrame) -> str:
        """Say why no frame like this one can be used; empty if nothing is known against it."""
        try:
            captured.check_format()
        except FrameError as error:
            return str(error)
        return ''

    def why_ahead(self, captured: CapturedFrame) -> str:
        """Say by how much a frame's stamp is ahead of the node's clock; empty if it is not."""
        if not captured.ahead_ns:
            return ''
        sentence = (
            f'by their stamps, frames are {captured.ahead_ns / NS:.3f} s ahead of the clock of '
            'the node when they come; the time of receipt counts'
        )
        self._warn_once('ahead', f'the camera {self.name}: {sentence}')
        return sentence

    def _warn_once(self, what: str, sentence: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            self._node.get_logger().warning(sentence)

    def why_silent(self) -> str:
        """Say in half a sentence what may be wrong with a camera that delivers nothing."""
        wanted = f'sensor_msgs/msg/{self._kind.__name__}'
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        ours = [publisher for publisher in publishers if publisher.topic_type == wanted]
        if not publishers:
            return f'nobody publishes {self.topic}'
        if not ours:
            others = sorted({publisher.topic_type for publisher in publishers})
            video = any(each in VIDEO_TYPES for each in others)
            hint = '; video is not decoded here: publish the camera as JPEG' if video else ''
            return f'{self.topic} carries {", ".join(others)}, not {wanted}{hint}'
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
            since = f'for {self._clock.since_ns(frame.received) / NS:.1f} s'
        return f'{self.topic} has a publisher, but no message came {since}'

    def _keep(self, serialized: bytes) -> None:
        self.received += 1
        frame = CapturedFrame(self.name, self._kind, serialized, self._clock.now())
        with self._lock:
            if self._open:
                self._newest = frame
