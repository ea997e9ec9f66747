"""Probabilities of closed answers: against brute force over a language model made of a table."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_llava_phi.assistant.closed_answers import answer_probabilities
from ros2_llava_phi.assistant.reply import Expected, softmax

VOCAB, END = 9, 0


def table(tokens: Sequence[int]) -> NDArray[np.float32]:
    """Return logits that depend on all tokens so far."""
    return np.random.default_rng([7, *tokens]).normal(size=VOCAB).astype(np.float32)


def run(answers: list[tuple[int, ...]], temperature: float = 1.0) -> tuple[list[float], int]:
    """Return the probabilities, and how many steps they took."""
    steps = answer_probabilities(table([]), answers, temperature, lambda: None)
    read: list[int] = []
    taken = 0
    try:
        step = next(steps)
        while True:
            read[step.behind :] = step.tokens
            taken += 1
            step = steps.send(Expected.of(table(read)))
    except StopIteration as end:
        return end.value, taken


def constrained(answers: list[tuple[int, ...]], answer: tuple[int, ...]) -> float:
    """Return the probability that sampling restricted to the set's prefixes gives an answer."""
    probability = 1.0
    for place in range(len(answer)):
        alive = [a for a in answers if a[:place] == answer[:place]]
        options = sorted({a[place] for a in alive})
        shares = softmax(table(answer[:place])[options])
        probability *= float(shares[options.index(answer[place])])
    return probability


@pytest.mark.parametrize(
    'answers',
    [
        [(1, END), (2, END)],
        [(1, END), (1, 2, END), (1, 2, 3, END)],
        [(1, 2, 3, END), (1, 2, 4, END), (5, END), (1, 6, END)],
        [(*p, END) for p in itertools.permutations((1, 2, 3))],
    ],
)
def test_against_brute_force(answers: list[tuple[int, ...]]) -> None:
    found, _ = run(answers)
    assert found == pytest.approx([constrained(answers, answer) for answer in answers], abs=1e-6)
    assert sum(found) == pytest.approx(1, abs=1e-6)


def test_answers_that_differ_at_once_cost_nothing() -> None:
    assert run([(1, 4, 5, END), (2, 6, END), (3, END)])[1] == 0


def test_shared_tokens_are_one_step() -> None:
    assert run([(1, 2, 3, 4, END), (1, 2, 3, 5, END)])[1] == 1


def test_temperature_flattens() -> None:
    answers: list[tuple[int, ...]] = [(1, END), (2, END)]
    assert max(run(answers, temperature=5.0)[0]) < max(run(answers)[0])
