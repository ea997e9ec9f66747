"""Read the pictures of a video file."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.errors import VideoError

# FFmpeg complains on stderr in its own words about files that are refused here in ours.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

# Where OpenCV 5 has its log level, and OpenCV 4.
LOG: Any = getattr(cv2.utils, 'logging', cv2)
SILENT = 0

# Some containers only estimate how many pictures they hold; fewer than this share is a damage.
COMPLETE = 0.9


@dataclass(frozen=True)
class Video:
    """
    A video that opens.

    rate_hz: pictures a second.
    announced: how many pictures its container says there are.
    """

    path: Path
    rate_hz: float
    announced: int

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """
        Yield every picture in order: uint8 [height, width, 3], RGB.

        Raises VideoError where the video breaks off.
        """
        capture = _open(self.path)
        count = 0
        try:
            while True:
                delivered, picture = capture.read()
                if not delivered:
                    break
                count += 1
                yield np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        finally:
            capture.release()
        if count < COMPLETE * self.announced:
            raise VideoError(
                f'{self.path} is damaged: it breaks off after {count} of {self.announced} pictures'
            )

    def pictures_at(self, times_s: Iterable[float]) -> Iterator[NDArray[np.uint8]]:
        """
        Yield the picture that is seen at each time, seconds from the start.

        Each is uint8 [height, width, 3], RGB. Raises VideoError for a time behind the end.
        """
        capture = _open(self.path)
        try:
            for time_s in times_s:
                capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * time_s)
                delivered, picture = capture.read()
                if not delivered:
                    raise VideoError(f'{self.path} has no picture at {time_s:g} s')
                yield np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        finally:
            capture.release()


def open_video(path: Path) -> Video:
    """
    Open a video file.

    Raises VideoError for anything that FFmpeg does not take for a video of two or more pictures.
    """
    if not path.is_file():
        raise VideoError(f'{path} is not a file; name a video file')
    capture = _open(path)
    try:
        rate_hz = capture.get(cv2.CAP_PROP_FPS)
        announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
    if announced < 2:
        raise VideoError(f'{path} is a single picture; name a video file')
    if not 0 < rate_hz <= 1000:
        raise VideoError(f'{path} does not say how many pictures a second it has')
    return Video(path, rate_hz, announced)


def _open(path: Path) -> cv2.VideoCapture:
    level = LOG.getLogLevel()
    LOG.setLogLevel(SILENT)
    try:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        LOG.setLogLevel(level)
    if not capture.isOpened():
        raise VideoError(f'{path} is not a video that can be read; MP4, AVI or MKV would be right')
    return capture
