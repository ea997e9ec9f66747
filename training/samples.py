"""
From a recipe's data sets to the samples that train, and those that validate.

What validates is decided by scene, never by question.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text
from tokenizers import Tokenizer

from ros2_llava_phi.datasets.check import dropped_table
from ros2_llava_phi.datasets.data_set import DataSet, check_licences, read_data_set
from ros2_llava_phi.datasets.dialogue import Dialogue, Dropped
from ros2_llava_phi.errors import DataError, TrainingError
from ros2_llava_phi.model.config import ModelConfig

from .labels import Labelled, label_all
from .recipe import Recipe


@dataclass(frozen=True)
class Samples:
    """
    What a run reads.

    weights: how many times an epoch sees each data set. dropped: records that could not be used.
    licences: a sentence on the terms of each data set.
    """

    training: list[Labelled]
    validation: list[Labelled]
    weights: dict[str, float]
    dropped: list[Dropped]
    licences: list[str]

    @cached_property
    def fingerprint(self) -> str:
        """
        Return a hash of all samples, by which a run that goes on knows its data again.

        Of a picture, its path and size count: reading a million of them would take long.
        """
        digest = hashlib.sha256()
        for side in (self.training, self.validation):
            digest.update(f'{len(side)} samples'.encode())
            for sample in side:
                digest.update(sample.tokens.tobytes() + sample.learned.tobytes())
                for picture in sample.conversation.pictures:
                    digest.update(f'{picture} {picture.stat().st_size}'.encode())
        return digest.hexdigest()


def read_samples(
    recipe: Recipe, tokenizer: Tokenizer, config: ModelConfig, console: Console
) -> Samples:
    """
    Read, check, divide and label a recipe's data sets.

    console: shows how many pictures were checked, where somebody watches, and what was found.

    Raises DataError or TrainingError in one line if they cannot be used, or nothing is left.
    """
    licences = check_licences(recipe.data, recipe.research_only)
    columns = (TextColumn('{task.description}'), TextColumn('{task.completed:,} pictures'))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task('checking the data', total=None)
        records = {
            each.name: read_data_set(each, lambda: progress.advance(task)) for each in recipe.data
        }
    sets = [(each, records[each.name].conversations) for each in recipe.data]
    training, validation = divide(sets, recipe.validation, recipe.seed)
    length = recipe.max_length or config.text.context_length
    if length > config.text.context_length:
        raise TrainingError(
            f'max_length is {length}, but the model has {config.text.context_length} positions'
        )
    trained = label_all(training, tokenizer, config, recipe.template, length)
    asked = label_all(validation, tokenizer, config, recipe.template, length)
    dropped = [*chain(*(each.dropped for each in records.values()))]
    dropped += [*trained.dropped, *asked.dropped]
    if not trained.samples:
        reason = f': {dropped[-1].reason}' if dropped else ''
        raise TrainingError(f'nothing is left to train on{reason}')
    weights = {each.name: each.weight for each in recipe.data}
    samples = Samples(trained.samples, asked.samples, weights, dropped, licences)
    _print(samples, console)
    return samples


def divide(
    sets: Sequence[tuple[DataSet, Sequence[Dialogue]]], share: float, seed: int
) -> tuple[list[Dialogue], list[Dialogue]]:
    """
    Return the conversations of several sets for training, and those for validation.

    A scene is on the same side in all of the sets: where one of them is for validation alone, its
    scenes validate in those that are divided, too.

    share: the share of the scenes that validate, 0..1, of the sets that are divided.

    Raises DataError for a scene that is in a set for training alone and in one for validation
    alone, and where there is only one scene to divide.
    """
    scenes = {
        part: {each.scene for data_set, found in sets if data_set.part == part for each in found}
        for part in ('split', 'train', 'validation')
    }
    held_out, kept = scenes['validation'], scenes['train']
    if both := held_out & kept:
        raise DataError(
            f'the scene {min(both)!r} is in a set for training and in one for validation; take '
            'it out of one of them, or have both sets split'
        )
    free = scenes['split'] - held_out - kept
    if len(free) > 1 or not (held_out or kept):
        held_out = held_out | held_out_scenes(free, share, seed)
    conversations = [each for _, found in sets for each in found]
    training = [each for each in conversations if each.scene not in held_out]
    return training, [each for each in conversations if each.scene in held_out]


def held_out_scenes(scenes: Iterable[str], share: float, seed: int) -> set[str]:
    """
    Return the scenes that validate: about the share of them, 0..1.

    A scene's side is decided by a hash of its name and the seed alone. So it stays where it is
    when others come or go, and in every data set. At least one scene validates, and at least one
    trains, unless the share is 0.

    Raises DataError if there is only one scene to divide.
    """
    numbers = {scene: scene_number(scene, seed) for scene in scenes}
    if not share or not numbers:
        return set()
    if len(numbers) < 2:
        raise DataError(
            f'all conversations are of the scene {next(iter(numbers))!r}, so none can be held '
            'out; give more scenes (of one recording, `llava-phi extract --scene-seconds 20` '
            'makes some), or a validation share of 0'
        )
    ranked = sorted(numbers, key=numbers.__getitem__)
    held_out = {scene for scene in ranked if numbers[scene] < share} | {ranked[0]}
    return held_out - {ranked[-1]}


def scene_number(scene: str, seed: int) -> float:
    """Return a number, 0 up to 1, that is always the same for a scene and a seed."""
    digest = hashlib.sha256(f'{seed}:{scene}'.encode(errors='backslashreplace')).digest()
    return int.from_bytes(digest[:8], 'big') / 2**64


def _print(samples: Samples, console: Console) -> None:
    """Print what is trained on, the share of tokens that carry loss, and what was dropped."""
    table = Table('data set', title='Training data')
    for heading in ('weight', 'train', 'validate', 'tokens', 'with loss', 'share'):
        table.add_column(heading, justify='right')
    for name, weight in samples.weights.items():
        mine = [each for each in samples.training if each.conversation.source == name]
        held_out = sum(each.conversation.source == name for each in samples.validation)
        table.add_row(Text(name), f'{weight:g}', f'{len(mine):,}', f'{held_out:,}', *_loss(mine))
    console.print(table)
    if samples.dropped:
        console.print(dropped_table(samples.dropped))


def share_with_loss(samples: Sequence[Labelled]) -> float:
    """Return the share of tokens, pictures' included, that carry loss, 0..1."""
    tokens = sum(sample.length for sample in samples)
    return sum(sample.targets for sample in samples) / tokens if tokens else 0.0


def _loss(samples: Sequence[Labelled]) -> tuple[str, str, str]:
    tokens = sum(sample.length for sample in samples)
    targets = sum(sample.targets for sample in samples)
    return f'{tokens:,}', f'{targets:,}', f'{share_with_loss(samples):.1%}'
