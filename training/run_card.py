"""The model card of a trained model: written from the run, not by hand."""

from collections.abc import Sequence
from pathlib import Path

from .recipe import How, Recipe
from .samples import Samples, share_with_loss
from .start import Origin
from .trainer import Step
from .validation import Validation

CARD_FILE = 'README.md'
CARD = """\
---
pipeline_tag: image-text-to-text
base_model: {base}
---

# {name}

LLaVA-Phi, trained by `llava-phi train` from `{base}` (SHA-256 of its weights
`{base_hash}`).
{warning}
## How it was trained

Stage `{recipe.stage.value}`, {steps} steps of {recipe.batch_size} conversations, in
{recipe.precision}, seed {recipe.seed}. Loss {first_loss:.4f} in the first step, {last_loss:.4f} on
average in the last ten.

{parts}

## Data

{samples} conversations, {share:.1%} of whose tokens carried loss; {dropped} records were dropped.

{licences}

## Held-out scores

{scores}

The report with examples is `report.html`; the recipe is `run/recipe.json`.
"""
RESEARCH_ONLY = """
**For research only.** By the licence of its data this model must not operate a vehicle or robot,
nor assist in it.
"""


def write_card(
    folder: Path,
    recipe: Recipe,
    origin: Origin,
    samples: Samples,
    log: Sequence[Step],
    before: Validation,
    after: Validation,
) -> None:
    """Write the card into a model folder."""
    last = [step.loss for step in log[-10:]]
    card = CARD.format(
        name=recipe.out.name,
        base=origin.name,
        base_hash=origin.weights_hash,
        warning=RESEARCH_ONLY if recipe.research_only else '',
        recipe=recipe,
        steps=log[-1].number + 1 if log else 0,
        first_loss=log[0].loss if log else float('nan'),
        last_loss=sum(last) / len(last) if last else float('nan'),
        parts='\n'.join(_part_lines(recipe)),
        samples=f'{len(samples.training):,}',
        share=share_with_loss(samples.training),
        dropped=f'{len(samples.dropped):,}',
        licences='\n'.join(f'- {line}' for line in samples.licences),
        scores=score_table(before, after),
    )
    (folder / CARD_FILE).write_text(card, encoding='utf-8')


def score_table(before: Validation, after: Validation) -> str:
    """Return the scores by kind of question before and after, as a Markdown table."""
    if after.loss is None:
        return 'Nothing was held out.'
    lines = ['| | questions | before | after |', '|---|---:|---:|---:|']
    lines.append(f'| loss of a token | | {before.loss:.4f} | {after.loss:.4f} |')
    for kind in [*after.kinds(), None] if after.asked else []:
        old, new = before.accuracy(kind), after.accuracy(kind)
        lines.append(
            f'| {kind or "all"} | {new[1]} | {old[0] / max(1, old[1]):.1%} '
            f'| {new[0] / new[1]:.1%} |'
        )
    return '\n'.join(lines)


def _part_lines(recipe: Recipe) -> list[str]:
    lines = []
    for name, part in recipe.learns.parts():
        how = part.how.value
        if part.how == How.LORA:
            lora = recipe.lora
            how = f'by LoRA of rank {lora.r}, alpha {lora.alpha:g}, dropout {lora.dropout:g}'
        elif part.how == How.FULL:
            how = 'in full'
        rate = '' if part.learning_rate is None else f', peak rate {part.learning_rate:g}'
        lines.append(f'- {name.replace("_", " ")}: {how}{rate}')
    return lines
