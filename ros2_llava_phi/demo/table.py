"""The questions and answers as a table in the terminal."""

from datetime import datetime, timezone

from rich.markup import escape
from rich.table import Table

from ros2_llava_phi.assistant.answer import CANNOT_TELL

from .exchange import Exchange

MARKS = {True: '[green]✓[/]', False: '[red]✗[/]', None: ''}


LEGEND = (
    'stamp: when the frame was taken, UTC · age: how old it was when it was picked · '
    'ms: queue + encode + prefill view + prefill + decode'
)


def header() -> Table:
    """Return the head of the table, to be printed first."""
    return _table(show_header=True)


def row(exchange: Exchange) -> Table:
    """Return what was asked and what came of it, to be printed below the rows before."""
    moment = exchange.moment
    answered = not exchange.error
    table = _table(show_header=False)
    table.add_row(
        f'{moment.at_s:.1f} s',
        moment.camera,
        escape(moment.question),
        answer_words(exchange),
        f'{exchange.confidence:.0%}' if answered and not exchange.abstain_reason else '',
        f'{MARKS[exchange.right]} {escape(exchange.truth)}',
        clock(exchange.stamp_ns) if answered else '',
        f'{exchange.frame_age_s * 1e3:.0f} ms' if answered else '',
        ' + '.join(f'{each * 1e3:.0f}' for each in stages(exchange)) if answered else '',
    )
    return table


def _table(show_header: bool) -> Table:
    # A table of its own for each row, so that rows can be printed as they come; all columns have
    # a width that does not depend on what is in them.
    table = Table(
        show_header=show_header,
        box=None,
        expand=True,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style='bold underline',
    )
    table.add_column('at', justify='right', width=6)
    table.add_column('camera', width=6)
    table.add_column('question', ratio=1)
    table.add_column('answer', ratio=1)
    table.add_column('sure', justify='right', width=4)
    table.add_column('truth', width=14)
    table.add_column('stamp', width=12)
    table.add_column('age', justify='right', width=7)
    table.add_column('ms', width=24)
    return table


def answer_words(exchange: Exchange) -> str:
    """Return the answer, the abstention or the refusal, with rich's markup."""
    if exchange.error:
        return f'[yellow]{exchange.error}[/]: {escape(exchange.error_text)}'
    if exchange.abstain_reason:
        return f'[cyan]{CANNOT_TELL}[/]: {escape(exchange.abstain_reason)}'
    return f'[bold]{escape(exchange.text)}[/]'


def stages(exchange: Exchange) -> tuple[float, ...]:
    """Return the seconds in the queue, encode, prefill view, prefill and decode."""
    timings = exchange.timings
    return (
        exchange.queue_s,
        timings.encode,
        timings.prefill_view,
        timings.prefill,
        timings.decode,
    )


def clock(stamp_ns: int) -> str:
    """Return a stamp as a time of day, UTC, to the millisecond."""
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    day = datetime.fromtimestamp(seconds, timezone.utc)
    return f'{day:%H:%M:%S}.{nanoseconds // 10**6:03d}'
