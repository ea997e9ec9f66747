"""Mixtures see each set as often as their weight says; scenes never stand on both sides."""

from collections import Counter
from pathlib import Path

import pytest

from ros2_llava_phi.datasets.data_set import DataSet
from ros2_llava_phi.datasets.dialogue import Dialogue
from ros2_llava_phi.errors import DataError
from ros2_llava_phi.model.prompt import turn
from ros2_llava_phi.training.plan import epoch
from ros2_llava_phi.training.samples import divide


def about(source: str, scenes: int, questions: int = 1) -> list[Dialogue]:
    """Return questions about scenes, which several data sets may share."""
    return [
        Dialogue(source, f'[{i}]', f'scene {i % scenes}', (), (turn('a', 'b'),))
        for i in range(scenes * questions)
    ]


def a_set(part: str) -> DataSet:
    return DataSet.model_validate({'name': part, 'path': Path(), 'part': part})


def split_by_scene(
    conversations: list[Dialogue], share: float, seed: int
) -> tuple[list[Dialogue], list[Dialogue]]:
    return divide([(a_set('split'), conversations)], share, seed)


def test_weights_say_how_often_an_epoch_sees_a_set() -> None:
    sets = [(about('a', 40), 1.0), (about('b', 40), 2.25), (about('c', 40), 0.1)]
    order = epoch(sets, seed=3, number=0)
    seen = Counter((each.source, each.record) for each in order)
    assert Counter(source for source, _ in seen.elements()) == {'a': 40, 'b': 90, 'c': 4}
    assert {seen['b', each.record] for each in sets[1][0]} == {2, 3}
    assert order == epoch(sets, seed=3, number=0)
    assert order != epoch(sets, seed=4, number=0)


def test_each_epoch_draws_another_part() -> None:
    sets = [(about('a', 100), 0.2)]
    parts = [{each.record for each in epoch(sets, 0, number)} for number in range(5)]
    assert all(len(part) == 20 for part in parts)
    assert len(set.union(*parts)) > 50


def test_all_of_a_scene_stays_on_one_side() -> None:
    conversations = about('drivelm', 200, questions=7) + about('nuscenes_qa', 200, questions=3)
    train, held_out = split_by_scene(conversations, 0.2, seed=0)
    assert not {each.scene for each in train} & {each.scene for each in held_out}
    assert len(train) + len(held_out) == len(conversations)
    assert 0.1 < len({each.scene for each in held_out}) / 200 < 0.3


def test_a_scene_stays_where_it_is_when_others_come() -> None:
    _, before = split_by_scene(about('a', 100), 0.2, seed=5)
    train, after = split_by_scene(about('a', 300), 0.2, seed=5)
    assert {each.scene for each in before} <= {each.scene for each in after}
    assert {each.scene for each in split_by_scene(about('a', 300), 0.2, seed=6)[1]} != {
        each.scene for each in after
    }
    assert split_by_scene(about('a', 300), 0.2, seed=5) == (train, after)


@pytest.mark.parametrize('share', [0.001, 0.999])
def test_neither_side_is_empty(share: float) -> None:
    train, held_out = split_by_scene(about('a', 3, questions=4), share, seed=1)
    assert train and held_out


def test_one_scene_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="all conversations are of the scene 'scene 0'"):
        split_by_scene(about('a', 1, questions=5), 0.1, seed=0)
    assert split_by_scene(about('a', 1, questions=5), 0, seed=0)[1] == []


def test_official_splits_hold_in_all_sets() -> None:
    few, many = about('official', 5, questions=3), about('divided', 100)
    train, held_out = divide([(a_set('validation'), few), (a_set('split'), many)], 0.1, seed=0)
    assert len(train) > 80 and len(train) + len(held_out) == 115
    scenes = {each.scene for each in held_out}
    assert {each.scene for each in few} < scenes
    assert not scenes & {each.scene for each in train}

    train, held_out = divide([(a_set('train'), few), (a_set('split'), many)], 0.99, seed=0)
    assert {each.scene for each in few} < {each.scene for each in train}
    assert not {each.scene for each in train} & {each.scene for each in held_out}
    with pytest.raises(DataError, match="the scene 'scene 0' is in a set for training"):
        divide([(a_set('train'), few), (a_set('validation'), few)], 0.1, seed=0)
