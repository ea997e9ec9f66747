"""A frame as a recording holds it: decoded when somebody asks for it, and only once."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rosbags.typesys import Stores, get_typestore

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.errors import DamagedFrameError, FrameError, InstallationError
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb, image_to_rgb
from ros2_llava_phi.imaging.pixels import MOST_BITS

from .bag import IMAGE, RawMessage
from .cdr import read_stamp, shift_stamp
from .stamps import to_ns

_types = get_typestore(Stores.ROS2_JAZZY)


@dataclass(frozen=True)
class RecordedFrame:
    """
    A frame, still as it was recorded.

    camera: the camera's name, or its topic where nobody gave it a name.
    number: its place among the frames of its topic, from 0; the same in every reading.
    at_s: seconds since the recording's start, by the time of recording, however its clock jumps.
    stamp_ns, frame_id: what its header says; 0 and empty where the message is damaged.
    steady_stamp_ns: the stamp by a clock that does not jump; 0 where there is none.
    significant_bits: of the values of 16-bit encodings (`image_to_rgb`).
    flaws: sentences on what is amiss with its data, but lost nothing; once it was decoded.
    """

    camera: str
    number: int
    at_s: float
    message: RawMessage
    stamp_ns: int
    frame_id: str
    steady_stamp_ns: int
    significant_bits: int = MOST_BITS
    flaws: list[str] = field(default_factory=list)

    def on_steady_clock(self) -> 'RecordedFrame':
        """Return it as it would have been, had no clock jumped."""
        message = self.message
        cdr = shift_stamp(message.cdr, self.steady_stamp_ns - self.stamp_ns)
        message = replace(message, recorded_ns=message.time_ns, cdr=cdr)
        return replace(self, message=message, stamp_ns=read_stamp(cdr) if self.stamp_ns else 0)

    def frame(self) -> Frame:
        """Return the frame as the node would see it; raises FrameError if it is no picture."""
        if isinstance(self._decoded, FrameError):
            raise self._decoded
        return self._decoded

    @cached_property
    def _decoded(self) -> Frame | FrameError:
        try:
            message = _deserialise(self.message)
            if self.message.type == IMAGE:
                image = image_to_rgb(message, self.significant_bits)
            else:
                image = compressed_to_rgb(message, self.significant_bits, self.flaws.append)
        except InstallationError:
            raise
        except Exception as error:
            # Beside FrameError, whatever damaged bytes lead to.
            kind = type(error) if isinstance(error, FrameError) else DamagedFrameError
            return kind(
                f'the picture at {self.stamp_ns} ns on {self.message.topic} cannot be decoded: '
                f'{error}'
            )
        return Frame(image, self.stamp_ns, self.frame_id, self.camera)


def read_header(message: RawMessage) -> tuple[int, str]:
    """
    Return the stamp in nanoseconds and the frame_id of a camera's message.

    Raises whatever damaged bytes lead to.
    """
    header = _deserialise(message).header
    return to_ns(header.stamp), header.frame_id


def _deserialise(message: RawMessage) -> Any:
    return _types.deserialize_cdr(message.cdr, message.type)
