"""The questions and answers as a table in the terminal."""

from datetime import datetime, timezone

from rich.table import Table

from .exchange import Exchange

MARKS = {True: '[green]✓[/]', False: '[red]✗[/]', None: ''}


def empty_table() -> Table:
    """Return a table with a header and no row."""
    table = Table(title='One drive, asked about', title_justify='left', caption_justify='left')
    table.caption = (
        'stamp: when the frame was taken (UTC) · age: how old it was when picked · '
        'ms: queue + encode + prefill view + prefill + decode'
    )
    table.add_column('at', justify='right', no_wrap=True)
    table.add_column('camera', no_wrap=True)
    table.add_column('question', ratio=3)
    table.add_column('answer', ratio=3)
    table.add_column('sure', justify='right', no_wrap=True)
    table.add_column('truth', ratio=1)
    table.add_column('stamp', no_wrap=True)
    table.add_column('age', justify='right', no_wrap=True)
    table.add_column('ms', justify='right', no_wrap=True)
    return table


def add_row(table: Table, exchange: Exchange) -> None:
    """Append what was asked and what came of it."""
    moment = exchange.moment
    answered = not exchange.error
    table.add_row(
        f'{moment.at_s:.1f} s',
        moment.camera,
        plain(moment.question),
        answer_words(exchange),
        f'{exchange.confidence:.0%}' if answered and not exchange.abstain_reason else '',
        f'{MARKS[exchange.right]} {plain(exchange.truth)}',
        clock(exchange.stamp_ns) if answered else '',
        f'{exchange.frame_age_s * 1e3:.0f} ms' if answered else '',
        ' + '.join(f'{each * 1e3:.0f}' for each in stages(exchange)) if answered else '',
    )


def answer_words(exchange: Exchange) -> str:
    """Return the answer, the abstention or the refusal, with rich's markup."""
    if exchange.error:
        return f'[yellow]{exchange.error}[/]: {plain(exchange.error_text)}'
    if exchange.abstain_reason:
        return f'[cyan]cannot tell[/]: {plain(exchange.abstain_reason)}'
    return f'[bold]{plain(exchange.text)}[/]'


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


def plain(text: str) -> str:
    """Return text that rich prints as it is."""
    return text.replace('[', r'\[')
