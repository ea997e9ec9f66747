"""The command llava-phi: register the verbs, and say what went wrong in one line."""

import signal
import sys
from typing import Annotated, Any, NoReturn

import typer

from ros2_llava_phi import __version__
from ros2_llava_phi.errors import LlavaPhiError
from ros2_llava_phi.files.streams import Output
from ros2_llava_phi.requirements import what_is_missing

from .ask import ask
from .bag_from_video import bag_from_video
from .benchmark import benchmark
from .build import build
from .convert import convert
from .export import export
from .extract import extract
from .import_sheet import import_sheet
from .inspect import inspect
from .options import at_home
from .replay import replay
from .train import train

# Whose result is nothing but what they print.
PRINTERS = (['ask'], ['inspect'])
# typer brings a click of its own or uses click's, by version; its errors have this in common.
UsageError: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name='llava-phi',
    help="Ask a robot's cameras questions in plain language.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(at_home(ask))
app.command()(at_home(convert))
app.command()(at_home(export))
app.command()(at_home(build))
app.command()(at_home(extract))
app.command('import')(at_home(import_sheet))
app.command()(at_home(inspect))
app.command()(at_home(bag_from_video))
app.command()(at_home(train))
app.command()(at_home(replay))
app.command()(at_home(benchmark))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f'llava-phi {__version__}')
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option('--version', callback=_show_version, is_eager=True, help='Show the version.'),
    ] = False,
) -> None:
    pass


def main() -> None:
    """
    Run the command; exit code 2 and one line on stderr where the user can put it right.

    It works to its end and writes its results whatever becomes of its standard output and error.
    """
    output = Output()
    try:
        _run()
    except SystemExit as left:
        if lost := output.lost():
            print(f'llava-phi: standard output: {lost}', file=sys.stderr)
            if not left.code and sys.argv[1:2] in PRINTERS:
                sys.exit(2)
        raise


def _run() -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Not under nohup, which has it ignored.
        if signal.getsignal(number) == signal.SIG_DFL:
            # By an exception, so that what was begun is removed.
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(app(standalone_mode=False))
    except typer.Abort:
        sys.exit(1)
    except UsageError as error:
        _complain(f'{error.format_message()} See --help.')
    except ImportError as error:
        sentence = what_is_missing(error)
        if sentence is None:
            raise
        _complain(sentence)
    except (LlavaPhiError, OSError) as error:
        _complain(_sentence(error))


def _complain(text: str) -> NoReturn:
    print(f'llava-phi: {" ".join(text.split())}', file=sys.stderr)
    sys.exit(2)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    return str(error)


if __name__ == '__main__':  # for torchrun
    main()
