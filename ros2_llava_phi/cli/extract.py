"""llava-phi extract: make a data set of recordings, to be filled in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ros2_llava_phi.errors import counted

from .options import finite, shown_progress

if TYPE_CHECKING:
    from ros2_llava_phi.datasets.extraction import Extracted


def extract(
    bags: Annotated[
        list[Path], typer.Argument(metavar='BAG...', help='Folders of rosbag2, or their files.')
    ],
    out: Annotated[Path, typer.Option('-o', '--out', help='The folder to make.')],
    topic: Annotated[
        list[str] | None,
        typer.Option(
            help='A topic with pictures; may be repeated.', show_default='all that there are'
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar='HZ',
            min=0.0001,
            max=1000,
            callback=finite,
            show_default='1, or no limit with --on-change',
            help='The most frames a second, of each camera.',
        ),
    ] = None,
    on_change: Annotated[
        float,
        typer.Option(
            metavar='SHARE',
            min=0,
            max=1,
            callback=finite,
            help='Only frames in which this share of the picture has changed; 0.1 is a start.',
        ),
    ] = 0.0,
    questions: Annotated[
        Path | None,
        typer.Option(help='Questions for the sheet, one a line, or CSV: question, kind, choices.'),
    ] = None,
    scene_seconds: Annotated[
        float | None,
        typer.Option(
            metavar='S',
            min=1,
            callback=finite,
            show_default='one scene a recording',
            help='Cut recordings into scenes of this length.',
        ),
    ] = None,
    significant_bits: Annotated[
        int,
        typer.Option(
            metavar='N', min=8, max=16, help='Bits that the values of 16-bit pictures have.'
        ),
    ] = 16,
    png: Annotated[bool, typer.Option('--png', help='Write PNG instead of JPEG.')] = False,
) -> None:
    """Take frames out of recordings, each only once, with a questions sheet to fill in."""
    from ros2_llava_phi.bags.recorded_frame import count_by_reason
    from ros2_llava_phi.datasets.extraction import NO_QUESTION, SHEET, Extraction
    from ros2_llava_phi.datasets.extraction import extract as extract_frames
    from ros2_llava_phi.datasets.sheet import read_questions

    how = Extraction(
        topics=topic or (),
        rate_hz=1.0 if rate is None and not on_change else rate,
        change=on_change,
        scene_s=scene_seconds,
        questions=read_questions(questions) if questions else NO_QUESTION,
        suffix='.png' if png else '.jpg',
        significant_bits=significant_bits,
    )
    with shown_progress() as progress:
        task = progress.add_task('frames', total=None)
        result = extract_frames(bags, out, how, lambda: progress.advance(task))
    typer.echo(f'{out}: {_summary(result)}')
    for loss in result.losses:
        typer.echo(f'Not all of it can be read: {loss}.', err=True)
    for camera, why in result.undecodable.items():
        typer.echo(
            f'{len(why)} of {camera} are left out, which cannot be decoded: '
            f'{count_by_reason(why)}',
            err=True,
        )
    for camera, count in result.flawed.items():
        if count:
            typer.echo(f'{count} of {camera} have extraneous bytes, which lost nothing.', err=True)
    typer.echo(
        f'Fill in {out / SHEET}, then: llava-phi import {out / SHEET} -o {out / "data.json"}'
    )


def _summary(result: 'Extracted') -> str:
    cameras = ', '.join(f'{count} of {camera}' for camera, count in result.kept.items())
    text = f'{result.kept.total()} of {counted(result.seen, "frame")} ({cameras})'
    return f'{text}, {result.alike.total()} left out that look alike'
