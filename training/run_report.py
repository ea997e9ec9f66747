"""
What is written about a training, from the run and not by hand.

The model's card, README.md, and one HTML page that needs nothing beside itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ros2_llava_phi.errors import FrameError
from ros2_llava_phi.files.templates import templates_in
from ros2_llava_phi.imaging.pictures import jpeg_uri, read_picture

from .recipe import Recipe
from .samples import Samples, share_with_loss
from .start import Origin
from .trainer import Step
from .validation import Asked, Validation

CARD_FILE, REPORT_FILE = 'README.md', 'report.html'
EXAMPLES = 24
PICTURE_SIDE = 320  # pixels
CURVE_WIDTH, CURVE_HEIGHT, MOST_POINTS = 800, 220, 400


@dataclass(frozen=True)
class Example:
    """A question after the training, what was said before it, and its pictures as URIs."""

    asked: Asked
    before: Asked
    pictures: list[str]


def write_report(
    folder: Path,
    recipe: Recipe,
    origin: Origin,
    samples: Samples,
    log: Sequence[Step],
    before: Validation,
    after: Validation,
) -> None:
    """Write the card and the page into a model folder."""
    losses = smoothed([step.loss for step in log])
    last = [step.loss for step in log[-10:]]
    facts = {
        'recipe': recipe,
        'origin': origin,
        'samples': samples,
        'share': share_with_loss(samples.training),
        'steps': log[-1].number + 1 if log else 0,
        'seconds': sum(step.seconds for step in log),
        'tokens': sum(step.tokens for step in log),
        'first_loss': log[0].loss if log else math.nan,
        'last_loss': sum(last) / len(last) if last else math.nan,
        'losses': losses,
        'curve': curve(losses),
        'width': CURVE_WIDTH,
        'height': CURVE_HEIGHT,
        'before': before,
        'after': after,
        'scores': scores_by_kind(before, after),
        'examples': examples(before, after),
    }
    templates = templates_in(Path(__file__).parent)
    for file, template in ((CARD_FILE, 'run_card.md.j2'), (REPORT_FILE, 'run_report.html.j2')):
        page = templates.get_template(template).render(facts)
        (folder / file).write_text(page, encoding='utf-8')


def scores_by_kind(before: Validation, after: Validation) -> list[tuple[str, int, float, float]]:
    """Return each kind, then all: how many questions, what share is right before and after."""
    found = []
    for kind in [*after.kinds(), None] if after.asked else []:
        (old, old_asked), (new, asked) = before.accuracy(kind), after.accuracy(kind)
        found.append((kind or 'all', asked, old / max(1, old_asked), new / asked))
    return found


def smoothed(losses: Sequence[float]) -> list[float]:
    """Return a running mean of losses, at most 400 points of it."""
    mean, found = 0.0, []
    share = max(1, min(50, len(losses) // 20))
    for number, loss in enumerate(losses, start=1):
        mean += (loss - mean) / min(number, share)
        found.append(mean)
    every = max(1, len(found) // MOST_POINTS)
    return found[every - 1 :: every]


def curve(losses: Sequence[float]) -> str:
    """Return the points of an SVG polyline that shows losses from zero to their largest."""
    top = max(losses, default=0.0) or 1.0
    right = max(1, len(losses) - 1)
    return ' '.join(
        f'{CURVE_WIDTH * place / right:.1f},{CURVE_HEIGHT * (1 - loss / top):.1f}'
        for place, loss in enumerate(losses)
    )


def examples(before: Validation, after: Validation) -> list[Example]:
    """Return examples, wrong ones first and at most half of them, changed ones before others."""
    earlier = {(each.source, each.record): each for each in before.asked}
    pairs = [(each, earlier.get((each.source, each.record), each)) for each in after.asked]
    changed = sorted(pairs, key=lambda pair: pair[0].said == pair[1].said)
    wrong = [pair for pair in changed if not pair[0].right][: EXAMPLES // 2]
    right = [pair for pair in changed if pair[0].right][: EXAMPLES - len(wrong)]
    return [Example(now, old, _pictures(now)) for now, old in [*wrong, *right]]


def _pictures(asked: Asked) -> list[str]:
    found = []
    for path in asked.pictures:
        try:
            found.append(jpeg_uri(read_picture(path), most_side=PICTURE_SIDE))
        except FrameError:
            continue
    return found
