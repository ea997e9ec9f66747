"""
Replies, step by step: each says what it wants read, and is sent what the model expects next.

So they run alone, or several together, whose steps the network takes at once.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ros2_llava_phi.engine.branches import Branches
from ros2_llava_phi.engine.engine import AnyEngine, KVCache, likeliest


@dataclass(frozen=True)
class Step:
    """
    What a reply wants read.

    tokens: to read.
    behind: how many tokens of the reply, read before, stay in front of them.
    greedy: whether to be sent the likeliest token to follow, and the log of its probability, and
    not logits, float32 [vocab].
    """

    tokens: tuple[int, ...]
    behind: int
    greedy: bool = False


Result = TypeVar('Result')
Steps = Generator[Step, Any, Result]


def run_alone(steps: Steps[Result], engine: AnyEngine, cache: KVCache) -> tuple[Result, list[int]]:
    """Take a reply's steps behind the prompt in a cache; return it, and what of it was read."""
    prompt = cache.length
    read: list[int] = []
    sent: Any = None
    while True:
        try:
            step = steps.send(sent)
        except StopIteration as end:
            return end.value, read
        read = [*read[: step.behind], *step.tokens]
        cache.rewind(prompt + step.behind)
        if step.greedy:
            sent = engine.step(step.tokens[0], cache)
        elif len(step.tokens) == 1:
            sent = engine.decode(step.tokens[0], cache)
        else:
            sent = engine.prefill(engine.embed(step.tokens), cache)


def run_together(
    replies: Sequence[Steps[Result]], engine: AnyEngine, cache: KVCache, branches: Branches
) -> list[Result | None]:
    """
    Take the steps of several replies at once, each behind the prompt of its branch in a cache.

    Returns None for a reply that the cache has no more room for.
    """
    prompts = [branches.length(branch) for branch in range(len(replies))]
    results: list[Result | None] = [None] * len(replies)
    waiting: dict[int, Step] = {}

    def go_on(branch: int, sent: Any) -> None:
        try:
            waiting[branch] = replies[branch].send(sent)
        except StopIteration as end:
            results[branch] = end.value

    for branch in range(len(replies)):
        go_on(branch, None)
    while waiting:
        # What decodes must not run as what prefills: in integers, these are different weights.
        decoding = len(next(iter(waiting.values())).tokens) == 1
        taken = {b: step for b, step in waiting.items() if (len(step.tokens) == 1) == decoding}
        while sum(len(step.tokens) for step in taken.values()) > cache.capacity - cache.length:
            branch, _ = taken.popitem()
            del waiting[branch]
        if not taken:
            continue
        for branch, step in taken.items():
            del waiting[branch]
            branches.rewind(branch, prompts[branch] + step.behind)
        layout = branches.append([(branch, len(step.tokens)) for branch, step in taken.items()])
        tokens = [token for step in taken.values() for token in step.tokens]
        logits = engine.extend(engine.embed(tokens), cache, layout)
        for (branch, step), row in zip(taken.items(), logits, strict=True):
            go_on(branch, likeliest(row) if step.greedy else row)
    return results
