"""llava-phi bag-from-video: make a rosbag2 of a video file."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ros2_llava_phi.bags.bag import Storage, Transport
from ros2_llava_phi.errors import counted

from .options import finite

if TYPE_CHECKING:
    from ros2_llava_phi.assistant.frame import Frame
    from ros2_llava_phi.bags.video import Video


def bag_from_video(
    video: Annotated[Path, typer.Argument(metavar='VIDEO', help='The video file.')],
    out: Annotated[Path, typer.Argument(metavar='OUT', help='The folder to make.')],
    storage: Annotated[Storage, typer.Option(help='How the bag lies on disk.')] = Storage.MCAP,
    topic: Annotated[
        str,
        typer.Option(help='The topic of the raw images; the compressed ones add /compressed.'),
    ] = '/camera/image_raw',
    frame_id: Annotated[
        str, typer.Option(help="The camera's optical frame.")
    ] = 'camera_optical_frame',
    compressed: Annotated[
        bool,
        typer.Option(
            '--compressed/--raw', help='Write CompressedImage (JPEG) or Image (rgb8) messages.'
        ),
    ] = True,
    start_stamp: Annotated[
        float | None,
        typer.Option(
            metavar='SECONDS',
            min=0,
            max=2**31 - 1,
            callback=finite,
            show_default='now',
            help='Stamp of the first frame, since 1970.',
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar='HZ',
            min=0.001,
            max=1000,
            callback=finite,
            show_default="the video's",
            help='Frames a second.',
        ),
    ] = None,
    zstd: Annotated[bool, typer.Option('--zstd', help='Compress the bag with zstd.')] = False,
) -> None:
    """Make a rosbag2 of a video file, as if a camera had been recorded."""
    from ros2_llava_phi.bags.bag_writer import write_bag
    from ros2_llava_phi.bags.video import open_video

    opened = open_video(video)
    transport = Transport.COMPRESSED if compressed else Transport.RAW
    full_topic = f'{topic}/compressed' if compressed else topic
    start_ns = time.time_ns() if start_stamp is None else round(start_stamp * 1e9)
    frames = _frames(opened, start_ns, rate or opened.rate_hz, frame_id)
    count = write_bag(
        out,
        storage,
        ((full_topic, frame) for frame in frames),
        transport=transport,
        zstd=zstd,
    )
    typer.echo(f'{out}: {counted(count, "frame")} on {full_topic}, {storage.value}')


def _frames(video: 'Video', start_ns: int, rate_hz: float, frame_id: str) -> Iterator['Frame']:
    from rich.console import Console
    from rich.progress import track

    from ros2_llava_phi.assistant.frame import Frame

    console = Console(stderr=True)
    pictures = track(
        video.pictures(),
        description=video.path.name,
        total=video.announced,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    for index, picture in enumerate(pictures):
        stamp_ns = start_ns + round(index * 1e9 / rate_hz)
        yield Frame(picture, stamp_ns=stamp_ns, frame_id=frame_id)
