"""What came of the questions: as values, as a table in the terminal, and as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from llava_phi.srv import Ask
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from ros2_llava_phi.assistant.answer import CANNOT_TELL, ModelIdentity, Timings
from ros2_llava_phi.assistant.question import KIND_WORDS
from ros2_llava_phi.bags.ground_truth import GroundTruth
from ros2_llava_phi.bags.stamps import to_ns, to_seconds
from ros2_llava_phi.client.ask_client import error_name, to_timings
from ros2_llava_phi.errors import counted
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.files.templates import templates_in
from ros2_llava_phi.imaging.pictures import jpeg_uri
from ros2_llava_phi.scoring.correctness import soft_score

from .drive import Moment

MARKS = {True: '[green]✓[/]', False: '[red]✗[/]', None: ''}
LEGEND = (
    'stamp: when the frame was taken, UTC · age: how old it was when it was picked · '
    'ms: queue + encode + prefill view + prefill + decode'
)
STAGES = ('queue', 'encode', 'prefill view', 'prefill', 'decode')


@dataclass(frozen=True)
class Exchange:
    """
    A question and its response.

    error, error_text: name of the error code and its sentence; empty where there is an answer.
    probabilities: each allowed answer and its probability.
    stamp_ns, bag_stamp_ns: stamp of the frame that was looked at, as played and as recorded.
    round_trip_s: from the client's call to the client's return.
    truth: the right answer to the question about that very frame; empty where nobody can say.
    """

    moment: Moment
    error: str
    error_text: str
    text: str
    confidence: float
    probabilities: tuple[tuple[str, float], ...]
    abstain_reason: str
    camera: str
    frame_id: str
    stamp_ns: int
    bag_stamp_ns: int
    frame_age_s: float
    queue_s: float
    timings: Timings
    round_trip_s: float
    truth: str

    @property
    def right(self) -> bool | None:
        """Return whether the response is right; None where nobody can say."""
        if self.error or self.moment.refused_with:
            return self.error == self.moment.refused_with
        if not self.truth:
            return None
        if self.abstain_reason:
            return self.truth == CANNOT_TELL
        return soft_score(self.text, (self.truth,)) == 1


def make_exchange(
    moment: Moment,
    response: Ask.Response,
    truth: GroundTruth,
    shift_ns: int,
    round_trip_s: float,
) -> Exchange:
    """Put together what is known; `shift_ns` is what the player added to each stamp."""
    answer = response.answer
    stamp_ns = to_ns(answer.header.stamp)
    bag_stamp_ns = stamp_ns - shift_ns
    return Exchange(
        moment=moment,
        error=error_name(response.error_code),
        error_text=response.error_text,
        text=answer.text,
        confidence=answer.confidence,
        probabilities=tuple(zip(answer.allowed_answers, answer.probabilities, strict=True)),
        abstain_reason=answer.abstain_reason,
        camera=answer.camera,
        frame_id=answer.header.frame_id,
        stamp_ns=stamp_ns,
        bag_stamp_ns=bag_stamp_ns,
        frame_age_s=to_seconds(answer.frame_age),
        queue_s=to_seconds(answer.queue_time),
        timings=to_timings(answer),
        round_trip_s=round_trip_s,
        truth=truth.answer(answer.camera, bag_stamp_ns, moment.question),
    )


def tally(exchanges: Sequence[Exchange]) -> str:
    """Return in one line how many were asked, answered, refused, and right, and right by what."""
    refused = sum(bool(each.error) for each in exchanges)
    abstained = sum(bool(each.abstain_reason) for each in exchanges)
    scored = [each for each in exchanges if each.right is not None]
    right = [each for each in scored if each.right]
    rightly = {
        'abstained': sum(bool(each.abstain_reason) for each in right),
        'refused, as they had to be': sum(bool(each.error) for each in right),
    }
    of_which = ' and '.join(f'{count} {how}' for how, count in rightly.items() if count)
    text = (
        f'{counted(len(exchanges), "question")}: {len(exchanges) - refused - abstained} answered, '
        f'{abstained} abstained, {refused} refused; {len(right)} of {len(scored)} right'
    )
    return f'{text}, of which {of_which}' if of_which else text


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
    return exchange.queue_s, *astuple(exchange.timings)


def clock(stamp_ns: int) -> str:
    """Return a stamp as a time of day, UTC, to the millisecond."""
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    day = datetime.fromtimestamp(seconds, timezone.utc)
    return f'{day:%H:%M:%S}.{nanoseconds // 10**6:03d}'


def write_report(
    path: Path,
    exchanges: Sequence[Exchange],
    pictures: Mapping[tuple[str, int], NDArray[np.uint8]],
    model: ModelIdentity,
) -> None:
    """
    Write the page; raises FileError if it cannot be written.

    pictures: for each camera and `bag_stamp_ns` that was answered about, the frame: uint8
    [height, width, 3], RGB.
    """
    templates = templates_in(Path(__file__).parent)
    sources = {key: jpeg_uri(picture) for key, picture in pictures.items()}
    page = templates.get_template('report.html.j2').render(
        exchanges=exchanges,
        sources=sources,
        model=model,
        kind_words=KIND_WORDS,
        stage_names=STAGES,
        stages=stages,
        clock=clock,
        tally=tally(exchanges),
    )
    write_atomically(path, page)
