"""Probabilities of closed answers: against brute force over a language model made of a table."""

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ros2_llava_phi.assistant.closed_answers import answer_probabilities, softmax

VOCAB, END = 9, 0


class TableEngine:
    """Logits that depend on all tokens so far, and a count of the steps taken."""

    def __init__(self) -> None:
        self.steps = 0

    def logits(self, tokens: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        rng = np.random.default_rng([7, *tokens])
        return rng.normal(size=VOCAB).astype(np.float32)

    def embed(self, tokens: Sequence[int]) -> Sequence[int]:
        return tokens

    def prefill(self, tokens: Sequence[int], cache: Any) -> Any:
        self.steps += 1
        cache.tokens += tokens
        cache.length += len(tokens)
        return self.logits(cache.tokens)


class TableCache(SimpleNamespace):
    def rewind(self, length: int) -> None:
        self.length = length
        del self.tokens[length:]


def run(answers: list[tuple[int, ...]], temperature: float = 1.0) -> tuple[list[float], int]:
    engine: Any = TableEngine()
    cache: Any = TableCache(tokens=[], length=0)
    start = engine.logits([])
    found = answer_probabilities(engine, cache, start, answers, temperature, lambda: None)
    assert cache.length == 0
    return found, engine.steps


def constrained(answers: list[tuple[int, ...]], answer: tuple[int, ...]) -> float:
    """Return the probability that sampling restricted to the set's prefixes gives an answer."""
    probability = 1.0
    for place in range(len(answer)):
        alive = [a for a in answers if a[:place] == answer[:place]]
        options = sorted({a[place] for a in alive})
        shares = softmax(TableEngine().logits(answer[:place])[options])
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
