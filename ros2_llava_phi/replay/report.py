"""report.html: a run as one page that needs nothing beside itself, with its worst mistakes."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ros2_llava_phi.assistant.question import KIND_NAMES, KIND_WORDS
from ros2_llava_phi.errors import FrameError
from ros2_llava_phi.files.templates import templates_in
from ros2_llava_phi.imaging.pictures import jpeg_uri

from .asking import Asking
from .charts import latency_chart, milliseconds, reliability_chart, risk_coverage_chart
from .comparison import Comparison
from .record import Record, is_right, is_scored, said
from .summary import Summary, risks_of
from .timeline import clock, lanes, timeline_chart

REPORT_FILE = 'report.html'
# Of a comparison, the most changes that the page lists.
MOST_CHANGES = 60
MOST_MISTAKES = 12
# Of those, the most of one question, so that not all are the same.
MOST_OF_A_QUESTION = 3
WIDTH, JPEG_QUALITY = 480, 82


@dataclass(frozen=True)
class Mistake:
    """A wrong answer, and its frame as a URI."""

    record: Record
    source: str


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
        kind_words={name: KIND_WORDS[kind] for kind, name in KIND_NAMES.items()},
        timelines={
            each.name: timeline_chart(
                lanes([record for record in records if record.recording == each.name]),
                each.seconds,
            )
            for each in summary.recordings
        },
        reliability=reliability_chart(summary.scores.reliability),
        risk_coverage=risk_coverage_chart(risks_of(records), max(1, len(scored))),
        latency_chart=latency_chart(times, latency.model_dump()) if latency else '',
        live=[each.live for each in answered if each.live],
        mistakes=mistakes,
        said=said,
        why_not_compared=why_not_compared,
        most_changes=MOST_CHANGES,
    )


def headline(summary: Summary) -> str:
    """Return how many were asked, answered and right, and how that compares."""
    scores = summary.scores
    abstained, refused = sum(scores.abstained.values()), sum(scores.refused.values())
    text = f'{scores.asked} questions: {scores.answered} answered, {abstained} abstained'
    text += f', {refused} without an answer' if refused else ''
    accuracy = scores.accuracy
    if accuracy is not None:
        text += (
            f'; {accuracy.count} of {accuracy.total} right: {accuracy.share:.1%} '
            f'({accuracy.low:.1%} to {accuracy.high:.1%})'
        )
    else:
        text += '; none has a known truth'
    compared = summary.comparison
    if compared is not None and not compared.scored:
        text += f'; not comparable: {why_not_compared(compared)}'
    elif compared is not None:
        surely = 'more than chance' if compared.p_value < 0.05 else 'no more than chance'
        text += (
            f'; against the baseline {compared.better} better and {compared.worse} worse, '
            f'{surely} (p = {compared.p_value:.3g})'
        )
    return f'{text}.'


def why_not_compared(comparison: Comparison) -> str:
    """Return why nobody can say which of two runs is better."""
    if not comparison.pairs:
        return 'the baseline has no answer to the same question about the same frame'
    return f'of {comparison.pairs} answers that the baseline has, too, none has a known truth'


def worst(records: Sequence[Record]) -> list[Record]:
    """Return the surest of the wrong answers, a few of each question, not of one moment."""
    chosen: list[Record] = []
    wrong = [each for each in records if is_scored(each) and not is_right(each)]
    for record in sorted(wrong, key=lambda each: -each.confidence):
        alike = [each for each in chosen if each.entry == record.entry]
        near = [each for each in alike if _is_near(each, record)]
        if len(alike) < MOST_OF_A_QUESTION and not near:
            chosen.append(record)
        if len(chosen) == MOST_MISTAKES:
            break
    return chosen


def gallery(records: Sequence[Record], askings: Sequence[Asking]) -> list[Mistake]:
    """Return the worst mistakes with their frames, read from the recordings again."""
    chosen = worst(records)
    sources: dict[tuple[str, str, int], str] = {}
    for asking in askings:
        wanted = {_frame_key(each) for each in chosen if each.recording == asking.recording.name}
        if not wanted:
            continue
        for frame in asking.recording.frames(asking.cameras):
            key = asking.recording.name, frame.camera, frame.number
            if key in wanted:
                with suppress(FrameError):
                    sources[key] = jpeg_uri(frame.frame().image, JPEG_QUALITY, WIDTH)
    return [Mistake(each, sources.get(_frame_key(each), '')) for each in chosen]


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share for a person; a dash for none."""
    return '-' if share is None else f'{100 * share:.{digits}f} %'


def _frame_key(record: Record) -> tuple[str, str, int]:
    return record.recording, record.camera, record.frame


def _is_near(one: Record, other: Record) -> bool:
    return one.recording == other.recording and abs(one.at_s - other.at_s) < 2
