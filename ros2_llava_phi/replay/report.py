"""report.html: a run as one page that needs nothing beside itself, and stays small enough."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from ros2_llava_phi.assistant.question import KIND_NAMES, KIND_WORDS
from ros2_llava_phi.errors import counted
from ros2_llava_phi.files.templates import templates_in

from .asking import Asking
from .charts import latency_chart, milliseconds, reliability_chart, risk_coverage_chart
from .comparison import Comparison
from .gallery import LARGE, SMALL, examples, illustrated, read_pictures, worst
from .record import Record, is_right, is_scored, said
from .summary import QuestionScores, Summary, risks_of
from .timeline import FrameKey, clock, frame_key, marks_of, moments, pieces, short, timelines

REPORT_FILE = 'report.html'
# The most of the page; what is beyond stands in the other files, and the page says so.
MOST = {'rows': 300, 'changes': 60, 'notes': 40, 'reasons': 20, 'matrices': 12, 'lanes': 200}
# Of a confusion matrix, the most answers that can be read.
MOST_SIDE = 16
# Of all lanes together, and of the list of answers.
MOST_PIECES, LISTED_BYTES = 3000, 1_000_000
# A lane is no finer than this, in per cent: three pixels of a wide screen.
FINEST = 0.4


def report(summary: Summary, records: Sequence[Record], askings: Sequence[Asking] = ()) -> str:
    """
    Return the page.

    askings: with the recordings to take pictures from.
    """
    drawn = timelines(records)
    lanes = min(MOST['lanes'], sum(len(each.lanes) for each in drawn))
    listed = moments(drawn, LISTED_BYTES)
    stretches = [each for moment in listed for each in moment.stretches]
    mistakes, right = worst(records), examples(records)
    sizes: dict[FrameKey, set[int]] = {key: {SMALL} for key in illustrated(listed)}
    for record in (*mistakes, *right):
        sizes.setdefault(frame_key(record), set()).add(LARGE)
    answered = [each for each in records if not each.error]
    scored = [each for each in records if is_scored(each)]
    latency = summary.scores.latency
    risks = risks_of(records)
    sources = read_pictures(askings, sizes)
    templates = templates_in(Path(__file__).parent)
    templates.filters |= {'percent': percent, 'ms': milliseconds, 'clock': clock, 'short': short}
    script = templates.get_template('report.js.j2').render()
    page = templates.get_template('report.html.j2').render(
        summary=summary,
        scores=summary.scores,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        most=MOST,
        kind_words={name: KIND_WORDS[kind] for kind, name in KIND_NAMES.items()},
        abstained_rightly=sum(each.abstained and is_right(each) for each in scored),
        answers=_answers(answered),
        reasons=_reasons(records),
        timelines=drawn,
        pieces=pieces,
        least=max(FINEST, 200 * lanes / MOST_PIECES),
        stretches=sum(len(lane.stretches) for each in drawn for lane in each.lanes),
        listed=listed,
        anchors={each.anchor for each in stretches},
        marks={mark for each in stretches for mark in each.marks},
        truth_known=any(each.truth for each in records),
        matrices=_matrices(summary.questions),
        reliability=reliability_chart(summary.scores.reliability),
        risks=risks,
        risk_coverage=risk_coverage_chart(risks, max(1, len(scored))),
        latency_chart=latency_chart([each.total_s for each in answered], latency.model_dump())
        if latency
        else '',
        live=any(each.live for each in answered),
        mistakes=mistakes,
        examples=right,
        sources=sources,
        small_pictures=sum(size == SMALL for _, size in sources),
        frame_key=frame_key,
        large=LARGE,
        small=SMALL,
        said=said,
        marks_of=marks_of,
        why_not_compared=why_not_compared,
    )
    # A name may hold what is no text, such as a folder's of another encoding.
    return page.encode(errors='replace').decode()


def headline(summary: Summary) -> str:
    """Return how many were asked, answered and right, and how that compares."""
    scores = summary.scores
    abstained, refused = sum(scores.abstained.values()), sum(scores.refused.values())
    text = counted(scores.asked, 'question')
    text += f': {scores.answered} answered, {abstained} abstained'
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
    both = counted(comparison.pairs, 'answer')
    return f'of {both} that the baseline has, too, none has a known truth'


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share for a person; a dash for none."""
    return '-' if share is None else f'{100 * share:.{digits}f} %'


def _answers(answered: Sequence[Record]) -> dict[int, list[tuple[str, int]]]:
    """Return what was answered most to each question of the file, and how often."""
    counts: dict[int, Counter[str]] = {}
    for record in answered:
        counts.setdefault(record.entry, Counter())[said(record)] += 1
    return {entry: counter.most_common() for entry, counter in counts.items()}


def _reasons(records: Sequence[Record]) -> list[tuple[tuple[str, str], int]]:
    """Return the code and the sentence of each reason why there is no answer, and how often."""
    reasons = Counter(
        (each.error, each.error_text or each.abstain_reason)
        for each in records
        if each.error or each.abstained
    )
    return reasons.most_common()


def _matrices(questions: Sequence[QuestionScores]) -> list[QuestionScores]:
    """Return the questions whose confusion can be shown, first those with most of it."""

    def wrong(question: QuestionScores) -> int:
        share = question.scores.accuracy
        return share.total - share.count if share else 0

    shown = [each for each in questions if each.confusion]
    shown = [each for each in shown if each.confusion and len(each.confusion.answers) <= MOST_SIDE]
    if len(shown) > MOST['matrices']:
        shown.sort(key=wrong, reverse=True)
    return shown
