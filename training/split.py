"""Which conversations train, and which validate: by scene, never by question."""

import hashlib
from collections.abc import Iterable, Sequence

from ros2_llava_phi.datasets.conversation import Conversation
from ros2_llava_phi.datasets.data_set import DataSet
from ros2_llava_phi.errors import DataError


def divide(
    sets: Sequence[tuple[DataSet, Sequence[Conversation]]], share: float, seed: int
) -> tuple[list[Conversation], list[Conversation]]:
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
