"""A frame as a recording holds it: decoded when somebody asks for it, and only once."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.errors import DamagedFrameError, FrameError, InstallationError
from ros2_llava_phi.imaging.formats import begins_as_video, is_video
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb, image_to_rgb
from ros2_llava_phi.imaging.pixels import MOST_BITS

from .bag import CDR, COMPRESSED_IMAGE, IMAGE, Channel, RawMessage, Transport
from .bag_writer import serialise
from .camera_messages import CameraMessages, CompressedPicture
from .cdr import read_stamp, shift_stamp
from .video_stream import VideoPicture

CANNOT_BE = ' cannot be decoded: '
MOST_REASONS = 3


def count_by_reason(sentences: Iterable[str]) -> str:
    """
    Return in half a sentence why frames cannot be decoded, and how many for each reason.

    sentences: of their errors; those that differ in numbers only are of one reason.
    """
    counts: Counter[str] = Counter()
    firsts: dict[str, str] = {}
    for sentence in sentences:
        reason = (sentence.partition(CANNOT_BE)[2] or sentence).rstrip('.')
        kind = re.sub(r'\d+', '0', reason)
        counts[kind] += 1
        firsts.setdefault(kind, reason)
    if len(counts) == 1:
        return next(iter(firsts.values()))
    most = counts.most_common(MOST_REASONS)
    named = [f'{count} of them: {firsts[kind]}' for kind, count in most]
    rest = counts.total() - sum(count for _, count in most)
    return '; '.join([*named, *([f'{rest} for other reasons'] if rest else [])])


@dataclass(frozen=True)
class RecordedFrame:
    """
    A frame, still as it was recorded.

    camera: the camera's name, or its topic where nobody gave it a name.
    number: its place among the frames of its topic, from 0; the same in every reading.
    at_s: seconds since the recording's start, by the time of recording, however its clock jumps.
    stamp_ns, frame_id: what its header says; 0 and empty where the message is damaged.
    steady_stamp_ns: the stamp by a clock that does not jump; 0 where there is none.
    messages: reads its message. video: its picture, where it is part of a video.
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
    messages: CameraMessages
    video: VideoPicture | None = None
    significant_bits: int = MOST_BITS
    flaws: list[str] = field(default_factory=list)

    def on_steady_clock(self) -> 'RecordedFrame':
        """Return it as it would have been, had no clock jumped."""
        message = self.message
        if message.channel.encoding != CDR:
            message = replace(message, recorded_ns=message.time_ns)
            return replace(self, message=message, stamp_ns=self.steady_stamp_ns)
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
            image = self._picture()
        except InstallationError:
            raise
        except Exception as error:
            # Beside FrameError, whatever damaged bytes lead to.
            kind = type(error) if isinstance(error, FrameError) else DamagedFrameError
            return kind(
                f'the picture at {self.stamp_ns} ns on {self.message.topic}{CANNOT_BE}{error}'
            )
        return Frame(image, self.stamp_ns, self.frame_id, self.camera)

    def as_published(self) -> RawMessage:
        """
        Return the message as a camera's driver publishes it: of a video, its picture as JPEG.

        Raises FrameError where a video has no picture here.
        """
        if self.video is None:
            return self.message
        channel = Channel(self.message.topic, COMPRESSED_IMAGE)
        return replace(
            self.message, channel=channel, cdr=serialise(self.frame(), Transport.COMPRESSED)
        )

    def _picture(self) -> NDArray[np.uint8]:
        if self.video is not None:
            try:
                return self.video.rgb()
            except FrameError as error:
                named = self.messages.read(self.message).names_video
                raise type(error)(f'in the format {named!r}, {error}') from error
        said = self.messages.read(self.message)
        if is_video(said.names_video):
            raise FrameError(
                f'the format {said.names_video!r} is video that is not read; H.264 and H.265 are'
            )
        if isinstance(said.picture, CompressedPicture) and begins_as_video(said.picture.data):
            raise FrameError(
                f'its data are video, H.264 or H.265, and its format {said.names_video!r} does '
                'not say which; h264 or h265 must stand there'
            )
        if self.message.type == IMAGE:
            return image_to_rgb(said.picture, self.significant_bits)
        return compressed_to_rgb(said.picture, self.significant_bits, self.flaws.append)
