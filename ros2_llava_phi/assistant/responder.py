"""
Replies to requests: what they begin with is read once, and several are replied to at a time.

This is the level below pictures and questions: token ids in front, token ids behind, and a reply
of some form. Whatever is read stands in the cache of a `Prefix`, which knows what it holds.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ros2_llava_phi.engine.branches import MOST_BRANCHES, Branches
from ros2_llava_phi.engine.engine import AnyEngine, Floats, KVCache
from ros2_llava_phi.model.image import preprocess

from .reply import Expected, NumberTokens, Prompted, Reply, Step, Steps

# Tokens that must be free behind a prompt for the answer.
LEAST_ROOM = 16
# What a prompt begins with is made of: token ids, and pictures' embeddings, float32 [T, hidden].
Part = Sequence[int] | Floats
# Makes the steps of a reply: `write_text`, `read_number` or `choose`, with what it is to be like.
Form = Callable[[Prompted], Steps[Reply]]


def never() -> bool:
    """Say that there is still time."""
    return False


@dataclass(frozen=True)
class Run:
    """Tokens that the network read at once, and how many of them, from the first, still count."""

    tokens: tuple[int, ...]
    kept: int


@dataclass(frozen=True)
class Past:
    """
    What was said behind a prefix, for a request to go on from.

    runs: as it was read. unread: what was said behind that.
    """

    runs: tuple[Run, ...] = ()
    unread: tuple[int, ...] = ()

    @property
    def read(self) -> int:
        """Return how many tokens were read."""
        return sum(run.kept for run in self.runs)


@dataclass(frozen=True)
class Request:
    """
    What is to be replied to.

    tokens: behind the prefix, and behind the past. out_of_time: asked before every step.
    """

    tokens: Sequence[int]
    form: Form
    past: Past = Past()
    out_of_time: Callable[[], bool] = never


@dataclass(frozen=True)
class Replied:
    """
    A reply, and what it took.

    past: for a request that goes on from it; None where several were replied to at a time.
    prompt_tokens: all in front of the reply, the prefix included. prefill, decode: seconds; of
    what was done for several at a time, an equal part.
    """

    reply: Reply
    past: Past | None
    prompt_tokens: int
    prefill: float
    decode: float


class Prefix:
    """
    What prompts begin with, in a cache; one sequence of tokens may stand behind it.

    length: tokens of the beginning. room: how many fit behind it.
    runs: how what stands behind it was read.
    """

    def __init__(self, engine: AnyEngine, cache: KVCache) -> None:
        """Take a cache that holds the beginning, and nothing else."""
        self.engine, self.cache, self.length = engine, cache, cache.length
        self.room = cache.capacity - cache.length
        self.runs: tuple[Run, ...] = ()

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens behind the beginning."""
        if self.cache.length != self.length + length:
            self.runs = first_of(self.runs, length)
            self.cache.rewind(self.length + length)

    def read(self, step: Step) -> Expected:
        """Read tokens behind the first `step.behind`, which stay; return what is expected next."""
        self.rewind(step.behind)
        if step.greedy:
            token, log_probability = self.engine.step(step.tokens[0], self.cache)
            expected = Expected(token, log_probability, np.zeros(0, np.float32))
        elif len(step.tokens) == 1:
            expected = Expected.of(self.engine.decode(step.tokens[0], self.cache))
        else:
            embeddings = self.engine.embed(step.tokens)
            expected = Expected.of(self.engine.prefill(embeddings, self.cache))
        self.runs = (*self.runs, Run(step.tokens, len(step.tokens)))
        return expected

    def restore(self, past: Past) -> None:
        """
        Have the cache hold a past again; what it still holds of it is not read anew.

        The rest is read by the same runs as at first, so that every bit is as it was: what was
        decoded may have met other weights than what is prefilled.
        """
        there, length = 0, 0
        for held, wanted in zip(self.runs, past.runs, strict=False):
            if held.tokens != wanted.tokens or held.kept < wanted.kept:
                break
            there, length = there + 1, length + wanted.kept
            if held.kept > wanted.kept:
                break
        self.rewind(length)
        for run in past.runs[there:]:
            self.read(Step(run.tokens, length))
            length += run.kept
            self.rewind(length)


class Responder:
    """Reads what prompts begin with, and replies, with one engine and its tokenizer."""

    def __init__(self, engine: AnyEngine, tokenizer: Tokenizer) -> None:
        """Take over an engine and the tokenizer of its model."""
        self.engine, self.tokenizer, self.config = engine, tokenizer, engine.config
        self.numbers = NumberTokens(tokenizer, self.config.text.eos_token_id)

    def encode(self, picture: NDArray[np.uint8]) -> Floats:
        """Return the embeddings [T, hidden] of an RGB picture, uint8 [height, width, 3]."""
        return self.engine.encode(preprocess(picture, self.config))

    def begin(self, parts: Iterable[Part], instead_of: Prefix | None = None) -> Prefix:
        """
        Read what prompts begin with.

        instead_of: a prefix that is given up, and whose cache is used again.
        """
        cache = self.engine.new_cache() if instead_of is None else instead_of.cache
        cache.rewind(0)
        embeddings = [
            part if isinstance(part, np.ndarray) else self.engine.embed(part) for part in parts
        ]
        if embeddings:
            self.engine.prefill(np.concatenate(embeddings), cache)
        return Prefix(self.engine, cache)

    def reply(self, prefix: Prefix, requests: Sequence[Request]) -> Iterator[Replied]:
        """
        Yield the reply to each request, as if it were alone; up to eight are made at a time.

        Made together they are the same but for the rounding of sums. A request that goes on from
        a past is replied to by itself.

        Raises what `form` does, and OutOfTimeError.
        """
        for group in _groups(requests, prefix.room):
            found = self._reply_to(prefix, group)
            for request, replied in zip(group, found, strict=True):
                if replied is None:  # the cache had no room for so many
                    (replied,) = self._reply_to(prefix, [request])
                assert replied is not None
                yield replied

    def _reply_to(self, prefix: Prefix, requests: Sequence[Request]) -> list[Replied | None]:
        """Reply to requests at a time; None is for those that the cache has no room for."""
        start = time.perf_counter()
        pasts = [request.past for request in requests]
        prompts = [
            Step((*past.unread, *request.tokens), past.read)
            for past, request in zip(pasts, requests, strict=True)
        ]
        lengths = [prompt.behind + len(prompt.tokens) for prompt in prompts]
        sequences = _Sequences(prefix, pasts)
        expected = sequences.read(dict(enumerate(prompts)))
        prefilled = time.perf_counter()
        replies = []
        for index, request in enumerate(requests):
            room = self.config.text.context_length - prefix.length - lengths[index]
            prompted = Prompted(
                self.config, self.tokenizer, expected[index], room, request.out_of_time
            )
            replies.append(request.form(prompted))
        found = _run(replies, lengths, sequences)
        prefill = (prefilled - start) / len(requests)
        decode = (time.perf_counter() - prefilled) / len(requests)
        alone = len(requests) == 1
        return [
            Replied(
                reply,
                self._past(prefix, length, reply) if alone else None,
                prefix.length + length,
                prefill,
                decode,
            )
            if reply
            else None
            for reply, length in zip(found, lengths, strict=True)
        ]

    def _past(self, prefix: Prefix, prompt: int, reply: Reply) -> Past:
        """Return what a further request goes on from, `prompt` tokens and a reply."""
        read = [token for run in prefix.runs for token in run.tokens[: run.kept]][prompt:]
        pairs = zip(read, reply.said, strict=False)
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        unread = (*reply.said[same:], self.config.text.eos_token_id)
        return Past(first_of(prefix.runs, prompt + same), unread)


class _Sequences:
    """What is read behind a prefix: one sequence in a row, or several as branches."""

    def __init__(self, prefix: Prefix, pasts: Sequence[Past]) -> None:
        self._prefix = prefix
        self._branches = Branches(prefix.length) if len(pasts) > 1 else None
        if self._branches is None:
            prefix.restore(pasts[0])
        else:
            prefix.rewind(0)

    def fit(self, steps: Mapping[int, Step]) -> bool:
        """Return whether the cache has room for steps of several; one alone is in its bounds."""
        cache = self._prefix.cache
        tokens = sum(len(step.tokens) for step in steps.values())
        return self._branches is None or tokens <= cache.capacity - cache.length

    def read(self, steps: Mapping[int, Step]) -> dict[int, Expected]:
        """Take a step of each sequence; return what is expected to follow it."""
        if self._branches is None:
            return {index: self._prefix.read(step) for index, step in steps.items()}
        for index, step in steps.items():
            self._branches.rewind(index, step.behind)
        layout = self._branches.append([(i, len(step.tokens)) for i, step in steps.items()])
        engine = self._prefix.engine
        embeddings = engine.embed([token for step in steps.values() for token in step.tokens])
        logits = engine.extend(embeddings, self._prefix.cache, layout)
        return {index: Expected.of(row) for index, row in zip(steps, logits, strict=True)}


def _run(
    replies: Sequence[Steps[Reply]], prompts: Sequence[int], sequences: _Sequences
) -> list[Reply | None]:
    """
    Take the steps of replies, as many at once as there are, each behind a prompt of some length.

    Returns None for a reply that the cache has no more room for.
    """
    results: list[Reply | None] = [None] * len(replies)
    waiting: dict[int, Step] = {}

    def go_on(index: int, expected: Expected | None) -> None:
        reply = replies[index]
        try:
            step = next(reply) if expected is None else reply.send(expected)
        except StopIteration as end:
            results[index] = end.value
        else:
            waiting[index] = Step(step.tokens, prompts[index] + step.behind, step.greedy)

    for index in range(len(replies)):
        go_on(index, None)
    while waiting:
        # What decodes must not run as what prefills: in integers, these are different weights.
        decoding = len(next(iter(waiting.values())).tokens) == 1
        taken = {i: step for i, step in waiting.items() if (len(step.tokens) == 1) == decoding}
        while not sequences.fit(taken):
            index, _ = taken.popitem()
            del waiting[index]
        for index in taken:
            del waiting[index]
        if taken:
            for index, expected in sequences.read(taken).items():
                go_on(index, expected)
    return results


def first_of(runs: Iterable[Run], length: int) -> tuple[Run, ...]:
    """Return the runs that make the first `length` tokens."""
    kept = []
    for run in runs:
        if length <= 0:
            break
        kept.append(Run(run.tokens, min(run.kept, length)))
        length -= run.kept
    return tuple(kept)


def _groups(requests: Sequence[Request], room: int) -> Iterator[list[Request]]:
    """Divide requests, in order, so that each group with short replies fits a cache's room."""
    group: list[Request] = []
    for request in requests:
        taken = sum(len(each.tokens) + LEAST_ROOM for each in [*group, request])
        alone = any(each.past.runs for each in [*group, request])
        if group and (alone or len(group) == MOST_BRANCHES or taken > room):
            yield group
            group = []
        group.append(request)
    if group:
        yield group
