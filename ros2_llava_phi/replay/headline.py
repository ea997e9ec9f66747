"""A run in one sentence or two."""

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
    if compared is not None and compared.scored:
        surely = 'more than chance' if compared.p_value < 0.05 else 'no more than chance'
        text += (
            f'; against the baseline {compared.better} better and {compared.worse} worse, '
            f'{surely} (p = {compared.p_value:.3g})'
        )
    return f'{text}.'
