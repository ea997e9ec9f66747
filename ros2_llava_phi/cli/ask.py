"""llava-phi ask: ask about a picture file, without ROS."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ros2_llava_phi.assistant.question import MOST_TOKENS, Kind, Question, Sampling
from ros2_llava_phi.errors import QuestionError

from . import options
from .options import finite, shown_progress

if TYPE_CHECKING:
    from ros2_llava_phi.assistant.answer import Answer


def ask(
    question: Annotated[str, typer.Argument(metavar='QUESTION', help='In plain language.')],
    image: Annotated[Path, typer.Option(help='The picture file.')],
    model: options.Model = 'llava-phi-tiny',
    yes_no: Annotated[bool, typer.Option('--yes-no', help='Answer yes or no.')] = False,
    number: Annotated[bool, typer.Option('--number', help='Answer with a number.')] = False,
    choices: Annotated[
        str | None, typer.Option(metavar='A,B,...', help='Answer with one of these.')
    ] = None,
    max_tokens: Annotated[int, typer.Option(help='The most tokens of a free text.')] = MOST_TOKENS,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=finite,
            help='Cut a free text short after this time, and give up on anything else.',
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(help='Draw the tokens of a free text at random; 0 takes the likeliest.'),
    ] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(
            min=0, max=1, help='Draw among the likeliest tokens of this probability in all.'
        ),
    ] = 0.95,
    seed: Annotated[int, typer.Option(help='Of the random numbers.')] = 0,
    engine: options.Engine = 'auto',
    precision: options.Precision = 'auto',
    device: options.Device = 'auto',
    verbose: Annotated[
        bool, typer.Option('--verbose', '-v', help='Print probabilities and timings, too.')
    ] = False,
) -> None:
    """Ask about a picture file; the answer goes to stdout as it comes."""
    kind, allowed = _kind(yes_no, number, choices)
    sampling = Sampling(temperature, top_p, seed) if temperature else None
    asked = Question(question, kind, allowed, max_tokens, sampling)
    from ros2_llava_phi.assistant.frame import Frame

    frame = Frame(image)
    from ros2_llava_phi.assistant.load import load
    from ros2_llava_phi.errors import OutOfTimeError

    with shown_progress() as progress:
        task = progress.add_task('loading', total=None)

        def show(phase: str, done: int, total: int) -> None:
            progress.update(task, description=f'plans: {phase}', completed=done, total=total)

        assistant = load(model, engine, device, precision, show)
    start = time.monotonic()
    try:
        answer = assistant.ask(
            assistant.look(frame),
            asked,
            out_of_time=lambda: seconds is not None and time.monotonic() - start > seconds,
            on_text=lambda piece: typer.echo(piece, nl=False),
        )
    except OutOfTimeError:
        raise QuestionError(f'there is no answer after {seconds:g} s; give more time') from None
    streamed = kind == Kind.FREE_TEXT and answer.answer_tokens > 0
    typer.echo('' if streamed else answer.text)
    if answer.abstained:
        typer.echo(answer.abstain_reason, err=True)
    if answer.cut_short:
        typer.echo(f'cut short: {answer.cut_short.name.lower().replace("_", " ")}', err=True)
    if verbose:
        _explain(answer)


def _kind(yes_no: bool, number: bool, choices: str | None) -> tuple[Kind, tuple[str, ...]]:
    if yes_no + number + (choices is not None) > 1:
        raise QuestionError('only one of --yes-no, --number and --choices can be given')
    if choices is not None:
        return Kind.CHOICE, tuple(choice.strip() for choice in choices.split(','))
    return Kind.YES_NO if yes_no else Kind.NUMBER if number else Kind.FREE_TEXT, ()


def _explain(answer: 'Answer') -> None:
    timings = answer.timings
    stages = ('encode', 'prefill_view', 'prefill', 'decode')
    typer.echo(f'model       {answer.model} ({answer.model.engine}, {answer.model.precision})')
    typer.echo(f'confidence  {answer.confidence:.3f}')
    for allowed, probability in zip(answer.allowed, answer.probabilities, strict=True):
        typer.echo(f'            {probability:.3f} {allowed}')
    typer.echo(f'tokens      {answer.prompt_tokens} + {answer.answer_tokens}')
    for stage in stages:
        typer.echo(f'{stage:<14}{getattr(timings, stage) * 1e3:.1f} ms')
