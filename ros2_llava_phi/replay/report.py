"""report.html: a run as one page that needs nothing beside itself."""

from collections.abc import Sequence
from pathlib import Path

from ros2_llava_phi.files.templates import templates_in

from .charts import latency_chart, milliseconds, reliability_chart, risk_coverage_chart
from .gallery import Mistake
from .headline import headline, why_not_compared
from .marking import is_scored, said
from .record import Record
from .scores import risks_of
from .summary import Summary
from .timeline import lanes
from .timeline_chart import timeline_chart

REPORT_FILE = 'report.html'
KINDS = {'text': 'free text', 'yes_no': 'yes or no', 'choice': 'a choice', 'number': 'a number'}
# Of a comparison, the most changes that the page lists.
MOST_CHANGES = 60


def report(summary: Summary, records: Sequence[Record], mistakes: Sequence[Mistake]) -> str:
    """Return the page."""
    templates = templates_in(Path(__file__).parent)
    templates.filters |= {'percent': percent, 'ms': milliseconds, 'clock': clock}
    answered = [each for each in records if not each.error]
    scored = [each for each in records if is_scored(each)]
    times = [each.total_s for each in answered]
    latency = summary.scores.latency
    return templates.get_template('report.html.j2').render(
        summary=summary,
        scores=summary.scores,
        headline=headline(summary),
        kinds=KINDS,
        timelines={
            each.name: timeline_chart(
                lanes([record for record in records if record.recording == each.name]),
                each.seconds,
            )
            for each in summary.recordings
        },
        reliability=reliability_chart(summary.scores.reliability),
        risk_coverage=risk_coverage_chart(risks_of(records), max(1, len(scored))),
        latency_chart=latency_chart(times, latency) if latency else '',
        live=[each.live for each in answered if each.live],
        mistakes=mistakes,
        said=said,
        why_not_compared=why_not_compared,
        most_changes=MOST_CHANGES,
    )


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share for a person; a dash for none."""
    return '-' if share is None else f'{100 * share:.{digits}f} %'


def clock(seconds: float) -> str:
    """Return seconds into a recording as minutes and seconds."""
    minutes, rest = divmod(seconds, 60)
    return f'{int(minutes)}:{rest:04.1f}'
