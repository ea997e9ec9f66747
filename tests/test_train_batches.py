"""Batches: the plan is a function of seed and step, and packing changes no loss."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_model import CONFIG, make_model, small_network
from train_data import write_pictures

from ros2_llava_phi.datasets.dialogue import Dialogue
from ros2_llava_phi.errors import TrainingError
from ros2_llava_phi.model.prompt import Turn, turn
from ros2_llava_phi.model.tokenizer import load_tokenizer
from ros2_llava_phi.training.batches import collate, positions
from ros2_llava_phi.training.labels import Labelled, label
from ros2_llava_phi.training.plan import Plan, parts_of
from ros2_llava_phi.training.trainee import Trainee
from ros2_llava_phi.training.trainer import share_of_peak


@pytest.fixture(scope='module')
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Labelled]:
    """Four questions about each of three pictures, two turns, two pictures, and text alone."""
    folder = write_pictures(tmp_path_factory.mktemp('data'))
    tokenizer = load_tokenizer(make_model(folder / 'model'), CONFIG.text.vocab_size)
    one = [folder / '0.png', folder / '1.png', folder / '2.png']
    talks: list[tuple[tuple[Path, ...], tuple[Turn, ...]]] = [
        ((path,), (turn(f'<image>\nIs there a {word}?', answer),))
        for path in one
        for word, answer in (('car', 'Yes'), ('red car on the left', 'No'), ('x', '3'), ('y', '4'))
    ]
    talks.append(((one[0],), (turn('<image>\nCar?', 'Yes'), turn('Red?', 'No'))))
    talks.append(((one[0], one[1]), (turn('<image><image>\nCar?', 'Yes'),)))
    talks.append(((), (turn('Is there a car?', 'cannot tell'),)))

    def labelled(number: int, pictures: tuple[Path, ...], turns: tuple[Turn, ...]) -> Labelled:
        talk = Dialogue('set', str(number), str(pictures), pictures, turns)
        return label(talk, tokenizer, CONFIG, 'v0')

    return [labelled(n, *talk) for n, talk in enumerate(talks)]


def loss(samples: list[Labelled]) -> torch.Tensor:
    trainee = Trainee(small_network())
    total: torch.Tensor = trainee(collate(samples, CONFIG))
    return total


def test_packing_changes_no_loss(samples: list[Labelled]) -> None:
    batch = collate(samples, CONFIG)
    # Three pictures with their questions, the last with two turns, two pictures, text alone.
    assert len(batch.tokens) == 6
    assert len(batch.pixels) == 3 + 1 + 2
    alone = sum(loss([sample]) for sample in samples)
    torch.testing.assert_close(loss(samples), alone, rtol=1e-5, atol=1e-4)


def test_the_test_would_notice_questions_that_see_each_other(
    samples: list[Labelled], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ros2_llava_phi.training import trainee

    def all_earlier(segments: torch.Tensor) -> torch.Tensor:
        length = segments.shape[1]
        return torch.ones(1, 1, length, length, dtype=torch.bool).tril()

    right = loss(samples)
    monkeypatch.setattr(trainee, 'branch_mask', all_earlier)
    assert abs(loss(samples) - right) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize('only', ['pictures', 'text'])
def test_pictures_alone_and_text_alone(samples: list[Labelled], only: str) -> None:
    """A batch without a picture has gradients of all parts, too, or processes would wait."""
    chosen = [each for each in samples if bool(each.prefix) == (only == 'pictures')]
    network = small_network()
    Trainee(network)(collate(chosen, CONFIG)).backward()
    unused = ('vision_tower.layers.2.', 'vision_tower.post_layernorm')
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == name.startswith(unused), name


def plan(samples: list[Labelled], batch_size: int = 4, seed: int = 0, **weight: float) -> Plan:
    return Plan(samples, {'set': weight.get('weight', 1.0)}, batch_size, seed, together=3)


@pytest.mark.parametrize('batch_size', [1, 4, 5, 40])
def test_every_epoch_has_every_sample_once(samples: list[Labelled], batch_size: int) -> None:
    taken = [
        row
        for step in range(plan(samples).epoch_size * 2)
        for row in plan(samples, batch_size).rows(step)
    ]
    size = len(samples)
    for epoch in (taken[:size], taken[size : 2 * size]):
        assert sorted(epoch) == list(range(size))
    assert taken[:size] != taken[size : 2 * size]


def test_a_step_is_the_same_wherever_the_plan_was_begun(samples: list[Labelled]) -> None:
    straight = plan(samples)
    steps = [straight.rows(step) for step in range(20)]
    for step in (19, 0, 7, 3):
        assert plan(samples).rows(step) == steps[step]
    assert [plan(samples, seed=1).rows(step) for step in range(20)] != steps


def test_weights_are_times_an_epoch(samples: list[Labelled]) -> None:
    twice = plan(samples, weight=2.0)
    taken = Counter(row for step in range(twice.steps(1)) for row in twice.rows(step))
    assert twice.steps(1) == 8  # 30 samples, 4 at once
    assert sum(taken.values()) == 32
    assert set(taken) == set(range(len(samples)))


def test_copies_of_a_sample_share_no_step(samples: list[Labelled]) -> None:
    thrice = plan(samples, weight=3.0)
    steps = [thrice.rows(step) for step in range(thrice.steps(1))]
    # Only where one turn ends and the next begins may a step have both.
    assert sum(len(set(rows)) < len(rows) for rows in steps) <= 2
    assert set(Counter(row for rows in steps for row in rows).values()) <= {3, 4}
    assert [plan(samples, weight=3.0).rows(step) for step in range(len(steps))] == steps


def test_every_turn_has_its_share_of_each_set(samples: list[Labelled]) -> None:
    """And what is asked about one picture stays in one turn."""
    names = ('more', 'more', 'less', 'more') * 4
    sets = [
        replace(sample, conversation=replace(sample.conversation, source=name))
        for sample, name in zip(samples * 4, names * 4, strict=False)
    ]
    turns = Plan(sets, {'more': 4.0, 'less': 1.0}, 4, 0, together=3)._turns(
        [i for i, each in enumerate(sets) for _ in range(4 if names[i % 4] == 'more' else 1)], 0
    )
    assert len(turns) == 4
    assert all(len(set(turn)) == len(turn) for turn in turns)
    less = [{i for i in turn if names[i % 4] == 'less'} for turn in turns]
    assert sum(map(len, less)) == sum(names[i % 4] == 'less' for i in range(len(sets)))
    assert max(map(len, less)) < sum(map(len, less))
    (first, second) = plan(samples)._turns([*range(15), 0], 0)
    for about_one in ({1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}):
        assert about_one <= set(first) or about_one <= set(second)


def test_positions_are_those_of_the_tensors(samples: list[Labelled]) -> None:
    for chosen in (samples, samples[:4], samples[-1:]):
        assert positions(chosen) == collate(chosen, CONFIG).tokens.numel()


def test_weights_that_leave_nothing_are_refused(samples: list[Labelled]) -> None:
    with pytest.raises(TrainingError, match='leave no conversation in an epoch'):
        plan(samples, weight=0.01)


def test_questions_about_a_picture_come_together(samples: list[Labelled]) -> None:
    rows = [plan(samples, batch_size=15).rows(0)][0]
    batch = collate([samples[row] for row in rows], CONFIG)
    # Four questions about each of three pictures, three at most in a row, are six rows.
    assert len(batch.tokens) <= 3 * 2 + 3


def test_parts_are_of_one_size_and_in_order() -> None:
    assert parts_of([5, 6, 7, 8, 9], 2) == [[5, 6, 7], [8, 9]]
    with pytest.raises(ValueError, match='2 samples cannot be cut into 3 parts'):
        parts_of([1, 2], 3)


def test_the_learning_rate_rises_in_a_line_and_falls_by_a_cosine() -> None:
    shares = [share_of_peak(step, 105, warm_up=5 / 105) for step in range(105)]
    assert shares[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert shares[5 + 25] == pytest.approx((1 + 0.5**0.5) / 2)
    assert shares[5 + 50] == pytest.approx(0.5)
    assert shares[5:] == sorted(shares[5:], reverse=True)
    assert 0 < shares[-1] < 0.001
    assert share_of_peak(0, 10, warm_up=0.0) == share_of_peak(0, 1, warm_up=1.0) == 1.0
