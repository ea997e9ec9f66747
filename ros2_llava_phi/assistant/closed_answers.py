"""
A reply of a closed set: the probability of each answer is read off the model's logits.

The allowed answers form a tree of tokens. Where it branches, the model's probabilities of the
branches are made to sum to 1; a token without alternative costs no step of the model. The product
along a path is the probability that decoding constrained to the set would give that answer. So
yes/no costs nothing beyond the prefill.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ros2_llava_phi.engine.engine import Floats
from ros2_llava_phi.model.prompt import answer_text
from ros2_llava_phi.model.tokenizer import encode

from .reply import Prompted, Reply, Step, Steps, softmax

Tokens = tuple[int, ...]


def choose(prompt: Prompted, answers: Sequence[str]) -> Steps[Reply]:
    """
    Choose among a closed set of answers, or abstain where that is likelier than all of them.

    Raises OutOfTimeError.
    """
    prompt.check_time()
    offered = list(answers)
    if prompt.abstain_text is not None and prompt.abstain_text not in offered:
        offered.append(prompt.abstain_text)
    tokens = [
        (*encode(prompt.tokenizer, answer_text(answer)), prompt.end_token) for answer in offered
    ]
    probabilities = yield from answer_probabilities(
        prompt.expected.logits, tokens, prompt.config.temperature, prompt.check_time
    )
    of_answers = probabilities[: len(answers)]
    abstained = sum(of_answers) < 0.5
    best = len(answers) if abstained else int(np.argmax(of_answers))
    return Reply(
        text=offered[best],
        confidence=probabilities[best],
        value=None if abstained else best,
        probabilities=tuple(of_answers),
        said=tokens[best][:-1],
        abstained=abstained,
    )


def answer_probabilities(
    logits: Floats,
    answers: Sequence[Tokens],
    temperature: float,
    check_time: Callable[[], None],
) -> Steps[list[float]]:
    """
    Return each answer's probability; they sum to 1.

    logits: what the model expects after the prompt, float32 [vocab].
    answers: token ids, each ending in the end of text, so that none is the start of another.
    temperature: divides the logits.
    check_time: called before every step of the model; it raises if the time is up.
    """
    probabilities = [0.0] * len(answers)

    def descend(logits: Floats, depth: int, alive: list[int], probability: float) -> Steps[None]:
        branches: dict[int, list[int]] = {}
        for index in alive:
            branches.setdefault(answers[index][depth], []).append(index)
        shares = softmax(logits[list(branches)] / temperature)
        for (token, members), share in zip(branches.items(), shares, strict=True):
            if len(members) == 1:
                probabilities[members[0]] = probability * float(share)
                continue
            check_time()
            shared = _shared(token, [answers[i] for i in members], depth + 1)
            expected = yield Step(shared, depth)
            deeper = depth + len(shared)
            yield from descend(expected.logits, deeper, members, probability * float(share))

    yield from descend(logits, 0, list(range(len(answers))), 1.0)
    return probabilities


def _shared(token: int, answers: list[Tokens], depth: int) -> Tokens:
    """Return a token, and those from a depth on that all answers share."""
    shared = [token]
    while len({answer[depth] for answer in answers}) == 1:
        shared.append(answers[0][depth])
        depth += 1
    return tuple(shared)
