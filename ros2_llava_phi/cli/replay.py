"""llava-phi replay: ask about recordings, score the answers, write a report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .options import finite, shown_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ros2_llava_phi.replay.asking import Asking
    from ros2_llava_phi.replay.notes import RecordingNotes
    from ros2_llava_phi.replay.runs import OnFrame


def _show_schema(wanted: bool) -> None:
    if wanted:
        from ros2_llava_phi.replay.questions import QuestionsFile

        typer.echo(json.dumps(QuestionsFile.model_json_schema(), indent=2))
        raise typer.Exit


def replay(
    bags: Annotated[
        list[Path],
        typer.Argument(
            metavar='BAG...', help='Folders of rosbag2, or their files; drive is a packaged one.'
        ),
    ],
    questions: Annotated[
        Path,
        typer.Option(
            help='The questions file, YAML or CSV; see docs/replay.md. questions/drive.yaml is a '
            'packaged one.'
        ),
    ],
    out: Annotated[
        Path, typer.Option('-o', '--out', help='The folder to make, or of a run to go on with.')
    ],
    model: options.Model = 'llava-phi-tiny',
    engine: options.Engine = 'auto',
    precision: options.Precision = 'auto',
    device: options.Device = 'auto',
    blank: Annotated[
        bool,
        typer.Option('--blank', help='Ask about a grey picture, too: does the model look at all?'),
    ] = False,
    ray: Annotated[
        bool, typer.Option('--ray', help='Spread the recordings over processes with Ray.')
    ] = False,
    live: Annotated[
        bool,
        typer.Option('--live', help='Play to a running vqa_node over ROS 2, and ask that.'),
    ] = False,
    node: Annotated[str, typer.Option(help="With --live, the node's full name.")] = '/vqa_node',
    rate: Annotated[
        float,
        typer.Option(
            min=0.01, max=100, callback=finite, help='With --live, times the recorded rate.'
        ),
    ] = 1.0,
    play: Annotated[
        bool,
        typer.Option(
            '--play/--no-play', help='With --live, play, or leave that to `ros2 bag play --clock`.'
        ),
    ] = True,
    baseline: Annotated[
        Path | None, typer.Option(help='results.jsonl of another run to compare with.')
    ] = None,
    schema: Annotated[
        bool,
        typer.Option(
            '--schema',
            callback=_show_schema,
            is_eager=True,
            help='Print the JSON schema of questions files.',
        ),
    ] = False,
) -> None:
    """Ask about recordings; results.jsonl, summary.json and report.html go into a folder."""
    from ros2_llava_phi.files.packaged import or_packaged
    from ros2_llava_phi.replay.comparison import check_baseline
    from ros2_llava_phi.replay.read_questions import read_questions
    from ros2_llava_phi.replay.report import headline
    from ros2_llava_phi.replay.runs import conclude, open_recordings, run_offline

    if live and (blank or ray):
        raise typer.BadParameter('--blank and --ray are for offline runs; leave out --live.')
    asked = read_questions(or_packaged(questions, questions))
    askings = open_recordings([or_packaged(each, each) for each in bags], asked)
    if baseline is not None:
        check_baseline(baseline, askings)
    with shown_progress() as progress:
        task = progress.add_task('', total=None)

        def on_frame(name: str, at_s: float) -> None:
            progress.update(task, description=f'{name}, {at_s:.0f} s')

        if ray:
            from ros2_llava_phi.replay.on_ray import ModelChoice, run_on_ray

            choice = ModelChoice(model, engine, device, precision)
            notes = run_on_ray(askings, choice, out, blank)
        elif live:
            notes = _live(askings, node, out, rate if play else None, on_frame)
        else:
            from ros2_llava_phi.assistant.load import load

            assistant = load(model, engine, device, precision)
            notes = run_offline(askings, assistant, out, blank, on_frame)
    summary = conclude(askings, out, notes, baseline)
    for recording in summary.recordings:
        for note in recording.notes:
            typer.echo(f'{recording.name}: {note}', err=True)
    typer.echo(headline(summary))
    typer.echo(f'The report: {out / "report.html"}')


def _live(
    askings: 'Sequence[Asking]', node: str, out: Path, rate: float | None, on_frame: 'OnFrame'
) -> 'list[RecordingNotes]':
    from ros2_llava_phi.client.ask_client import AskClient
    from ros2_llava_phi.client.node_under_test import START_PATIENCE_S, NodeUnderTest
    from ros2_llava_phi.client.robot import PlayedCamera
    from ros2_llava_phi.replay.runs import run_live

    cameras = {
        topic: PlayedCamera(
            topic, each.recording.image_topics()[topic], each.names.names_of(topic)
        )
        for each in askings
        for topic in each.cameras.values()
    }
    videos = [topic for topic in cameras if any(_has_video(each, topic) for each in askings)]
    if videos and rate is None:
        raise typer.BadParameter(
            f'{", ".join(videos)} is recorded as video, which no node reads; without --no-play it '
            'is played as JPEG.'
        )
    for topic in videos:
        typer.echo(f'{topic} is recorded as video, and played as JPEG', err=True)
    way = 'live' if rate is None else f'live at {rate:g} times the recorded rate'
    with AskClient(node, 'replay') as client:
        robot = NodeUnderTest(client, rate)
        typer.echo(
            f'Waiting for {node} to be active, for {START_PATIENCE_S:g} s at most', err=True
        )
        return run_live(
            askings, robot, robot.wait_until_ready(cameras.values()), out, way, on_frame
        )


def _has_video(asking: 'Asking', topic: str) -> bool:
    return topic in asking.cameras.values() and asking.recording.has_video(topic)
