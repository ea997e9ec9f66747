"""A video is read picture by picture; whatever is no video, or breaks off, is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ros2_llava_phi.bags.video import open_video
from ros2_llava_phi.errors import VideoError


def make_video(path: Path, count: int = 20, rate_hz: float = 10.0) -> Path:
    """Write a small video: its left half is red, its right half grows brighter."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), rate_hz, (64, 48))
    for index in range(count):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:, :32, 2] = 200
        picture[:, 32:] = 10 * (index % 20)
        writer.write(picture)
    writer.release()
    return path


def test_pictures_come_in_order_and_in_rgb(tmp_path: Path) -> None:
    video = open_video(make_video(tmp_path / 'drive.avi'))
    assert (video.rate_hz, video.announced) == (10.0, 20)
    pictures = list(video.pictures())
    assert len(pictures) == 20
    for index, picture in enumerate(pictures):
        assert picture.shape == (48, 64, 3)
        assert picture.dtype == np.uint8
        assert np.abs(picture[24, 16].astype(int) - [200, 0, 0]).max() < 20
        assert np.abs(picture[24, 48].astype(int) - 10 * index).max() < 10


def test_what_is_no_video_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(VideoError, match='not a file'):
        open_video(tmp_path)
    with pytest.raises(VideoError, match='not a file'):
        open_video(tmp_path / 'nothing.mp4')
    for content in (b'', b'hello', np.random.default_rng(0).bytes(5000)):
        (tmp_path / 'fake.mp4').write_bytes(content)
        with pytest.raises(VideoError, match='not a video'):
            open_video(tmp_path / 'fake.mp4')
    cv2.imwrite(str(tmp_path / 'still.jpg'), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(VideoError, match='single picture'):
        open_video(tmp_path / 'still.jpg')
    assert capfd.readouterr().err == ''


def test_a_video_that_breaks_off_is_refused(tmp_path: Path) -> None:
    whole = make_video(tmp_path / 'whole.avi', count=200).read_bytes()
    (tmp_path / 'cut.avi').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r'breaks off after \d+ of 200 pictures'):
        list(open_video(tmp_path / 'cut.avi').pictures())
