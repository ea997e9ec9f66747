"""A run in one sentence or two."""

from .comparison import Comparison
from .summary import Summary


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
