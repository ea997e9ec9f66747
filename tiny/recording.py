"""Write the packaged recording: a drive through the generated world, and what is true of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.bags.bag import Storage
from ros2_llava_phi.bags.bag_writer import write_bag
from ros2_llava_phi.bags.ground_truth import Answers, write_ground_truth

from .scenes.drive import CAMERAS, drive_frames, ground_truth

SEED = 7
SECONDS = 66.0
RATE_HZ = 5.0
JPEG_QUALITY = 65
FIRST_STAMP_NS = 1_760_000_000 * 10**9


def write_recording(bag: Path, truth: Path) -> None:
    """
    Write the drive as an MCAP bag, a folder that is replaced, and its ground truth beside it.

    Topics: /front/image_raw/compressed and /rear/image_raw/compressed.
    """
    answers: dict[tuple[str, int], Answers] = {}

    def frames() -> Iterator[tuple[str, Frame]]:
        total = int(SECONDS * RATE_HZ) * len(CAMERAS)
        drive = drive_frames(SEED, SECONDS, RATE_HZ)
        for frame in tqdm(drive, 'recording', total, unit='frame'):
            stamp_ns = FIRST_STAMP_NS + round(frame.time_s * 1e9)
            answers[frame.camera, stamp_ns] = ground_truth(frame)
            topic = f'/{frame.camera}/image_raw/compressed'
            frame_id = f'{frame.camera}_optical'
            yield topic, Frame(frame.rendering.image, stamp_ns, frame_id, frame.camera)

    if bag.exists():
        shutil.rmtree(bag)
    bag.parent.mkdir(parents=True, exist_ok=True)
    write_bag(bag, Storage.MCAP, frames(), jpeg_quality=JPEG_QUALITY)
    write_ground_truth(truth, answers)
