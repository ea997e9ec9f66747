"""llava-phi ask: ask about a picture file, without ROS."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..assistant.question import Kind, Question, QuestionError

if TYPE_CHECKING:
    from ..assistant.answer import Answer
    from ..assistant.frame import Frame


def ask(
    question: Annotated[str, typer.Argument(metavar='QUESTION', help='In plain language.')],
    image: Annotated[Path, typer.Option(help='The picture file.')],
    model: Annotated[
        str, typer.Option(help='Folder of the model, or name of a packaged model.')
    ] = 'llava-phi-tiny',
    yes_no: Annotated[bool, typer.Option('--yes-no', help='Answer yes or no.')] = False,
    number: Annotated[bool, typer.Option('--number', help='Answer with a number.')] = False,
    choices: Annotated[
        str, typer.Option(metavar='A,B,...', help='Answer with one of these.')
    ] = '',
    verbose: Annotated[
        bool, typer.Option('--verbose', '-v', help='Print probabilities and timings, too.')
    ] = False,
) -> None:
    """Ask about a picture file; the answer goes to stdout as it comes."""
    asked = _question(question, yes_no, number, choices)
    frame = _read(image)
    from ..assistant.load import load_assistant

    assistant = load_assistant(model)
    answer = assistant.ask(
        assistant.look(frame), asked, on_text=lambda piece: typer.echo(piece, nl=False)
    )
    typer.echo('' if asked.kind == Kind.FREE_TEXT and not answer.abstained else answer.text)
    if answer.abstained:
        typer.echo(answer.abstain_reason, err=True)
    if verbose:
        _explain(answer)


def _question(text: str, yes_no: bool, number: bool, choices: str) -> Question:
    if yes_no + number + bool(choices) > 1:
        raise QuestionError('only one of --yes-no, --number and --choices can be given')
    if choices:
        return Question(text, Kind.CHOICE, tuple(choice.strip() for choice in choices.split(',')))
    kind = Kind.YES_NO if yes_no else Kind.NUMBER if number else Kind.FREE_TEXT
    return Question(text, kind)


def _read(path: Path) -> 'Frame':
    import numpy as np
    from PIL import Image

    from ..assistant.frame import Frame

    try:
        with Image.open(path) as picture:
            return Frame(np.asarray(picture.convert('RGB')))
    except Image.DecompressionBombError as error:
        raise OSError(f'{path}: {error}') from error


def _explain(answer: 'Answer') -> None:
    timings = answer.timings
    stages = ('encode', 'prefill_view', 'prefill', 'decode')
    typer.echo(f'model       {answer.model} ({answer.model.engine}, {answer.model.precision})')
    typer.echo(f'confidence  {answer.confidence:.3f}')
    for allowed, probability in zip(answer.allowed, answer.probabilities, strict=True):
        typer.echo(f'            {probability:.3f} {allowed}')
    typer.echo(f'tokens      {answer.prompt_tokens} + {answer.answer_tokens}')
    for stage in stages:
        typer.echo(f'{stage:<12}{getattr(timings, stage) * 1e3:.1f} ms')
