"""llava-phi benchmark: ask a benchmark's questions, and score the answers."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ros2_llava_phi.errors import counted

from . import options
from .options import shown_progress, with_home

if TYPE_CHECKING:
    from ros2_llava_phi.assistant.assistant import Assistant
    from ros2_llava_phi.benchmark.benchmark import Benchmark, Item

NAMES = (
    'vqav2, vizwiz, scienceqa, textvqa, pope, mme, mmbench, mmvet, drivelm, nuscenesqa or openeqa'
)


def benchmark(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar='NAME', help=f'{NAMES}. With --table: folders that runs were written to.'
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(metavar='DIR', help='Folder with the official files.')
    ] = None,
    model: options.Model = 'llava-phi-tiny',
    out: Annotated[
        Path | None,
        typer.Option('--out', '-o', metavar='OUT', help='Folder to write; a killed run goes on.'),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar='FILE', help='Score these instead of asking a model: a file, or a folder.'
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option(metavar='I/N', help='Ask the I-th of N parts only.')
    ] = '1/1',
    table: Annotated[
        bool, typer.Option('--table', help='Set results beside published ones.')
    ] = False,
    engine: options.Engine = 'auto',
    precision: options.Precision = 'auto',
    device: options.Device = 'auto',
) -> None:
    """Run an academic benchmark: its questions, LLaVA-1.5's prompts, its official score."""
    if table:
        _show_table([with_home(Path(name)) for name in names], out)
        return
    part = _part(shard)
    if len(names) != 1:
        raise typer.BadParameter(f'One benchmark at a time, not {" ".join(names)}.')
    from ros2_llava_phi.benchmark.benchmarks import BENCHMARKS

    if names[0] not in BENCHMARKS:
        raise typer.BadParameter(f'There is no benchmark {names[0]!r}; benchmarks: {NAMES}.')
    if data is None:
        raise typer.BadParameter('--data is missing: the folder with the official files.')
    from ros2_llava_phi.benchmark.official_files import check_exists, check_folder

    check_folder(data)
    chosen = BENCHMARKS[names[0]]
    if predictions is not None:
        check_exists(predictions)
        _score(chosen, data, predictions, predictions.stem, out)
        return
    if out is None:
        raise typer.BadParameter('--out is missing: the folder to write answers and scores to.')
    from ros2_llava_phi.assistant.load import load

    items = chosen.read(data)
    if part[1] > len(items):
        raise typer.BadParameter(
            f'--shard {shard} asks for more parts than there are questions: {len(items)}.'
        )
    assistant = load(model, engine, device, precision)
    written = _ask(chosen, data, items, assistant, out, part)
    if written is not None:
        _score(chosen, data, written, str(assistant.identity), out)


def _ask(
    chosen: 'Benchmark',
    data: Path,
    items: 'list[Item]',
    assistant: 'Assistant',
    out: Path,
    part: tuple[int, int],
) -> Path | None:
    """Ask the questions of a part; return the predictions if those of all parts are there."""
    from ros2_llava_phi.benchmark.benchmark_run import ask_all

    with shown_progress() as progress:
        task = progress.add_task(chosen.title, total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        answers = ask_all(chosen, items, assistant, out, part, show)
    if left := sum(item.id not in answers for item in items):
        typer.echo(f'{out}: {left} of {counted(len(items), "question")} left to the other parts')
        return None
    written = chosen.write(data, {item.id: answers[item.id].answer for item in items}, out)
    typer.echo(f'{written}: {counted(len(items), "prediction")}')
    if unfit := sum(not answers[item.id].fits for item in items):
        typer.echo(f'Too long for the model, and so without answer: {counted(unfit, "question")}')
    return written


def _part(shard: str) -> tuple[int, int]:
    if found := re.fullmatch(r'(\d{1,9})/(\d{1,9})', shard):
        first, second = int(found[1]), int(found[2])
        if 1 <= first <= second:
            return first, second
    raise typer.BadParameter(f'--shard is I/N with I from 1 to N, as 1/4, not {shard[:40]!r}.')


def _score(
    chosen: 'Benchmark', data: Path, predictions: Path, model: str, out: Path | None
) -> None:
    from ros2_llava_phi.benchmark.benchmark import write_scores

    scores = chosen.score(data, predictions)
    width = max((len(each.name) for each in scores.metrics), default=0)
    for each in scores.metrics:
        typer.echo(f'{each.name:<{width}}  {each}')
    for note in scores.notes:
        typer.echo(note, err=True)
    if out is not None:
        write_scores(out, chosen.name, model, scores)
        if chosen.judge is not None:
            chosen.judge(data, predictions, out)


def _show_table(folders: list[Path], out: Path | None) -> None:
    from ros2_llava_phi.benchmark.benchmark import read_scores
    from ros2_llava_phi.benchmark.benchmarks import as_html, as_markdown, result_table
    from ros2_llava_phi.files.atomic import write_atomically

    table = result_table([read_scores(folder) for folder in folders])
    markdown = as_markdown(table)
    typer.echo(markdown, nl=False)
    if out is not None:
        write_atomically(out / 'table.md', markdown)
        write_atomically(out / 'table.html', as_html(table))
