"""
How well a network does on what was held out: its loss, and its answers to the questions.

A question is asked exactly as it would be trained on. Where its kind is known the answer is chosen
among those that it can have, as the assistant chooses; otherwise it is written freely and must be
the true one, but for case and a final point.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from tokenizers import Tokenizer

from ros2_llava_phi.assistant.answer import CANNOT_TELL, YES_NO
from ros2_llava_phi.assistant.closed_answers import choose
from ros2_llava_phi.assistant.question import KIND_NAMES, Kind
from ros2_llava_phi.assistant.reply import read_number, write_text
from ros2_llava_phi.assistant.responder import Form, Request, Responder
from ros2_llava_phi.datasets.dialogue import Dialogue, choices_in, plain, says_yes_or_no
from ros2_llava_phi.engine.engine import AnyEngine
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.imaging.pictures import read_picture
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.prompt import Mark, Turn, prompt_tokens, v0_prompt
from ros2_llava_phi.scoring.calibration import fit_temperature

from .batches import collate
from .labels import Labelled
from .trainee import Trainee

LONGEST_ANSWER = 64  # tokens
AT_ONCE = 16  # samples
LEAST_CLOSED = 50  # answers, to fit a temperature to


class Asked(BaseModel):
    """
    A held-out question, its true answer, and what the model said.

    allowed, probabilities: the closed set that the answer was chosen from; empty without one.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    record: str
    kind: str
    question: str
    pictures: tuple[Path, ...]
    truth: str
    said: str
    allowed: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()

    @property
    def right(self) -> bool:
        """Return whether the answer is the true one."""
        return plain(self.said) == plain(self.truth)

    @property
    def place(self) -> int | None:
        """Return which of the allowed answers is the true one; None if none is."""
        allowed = [plain(each) for each in self.allowed]
        return allowed.index(plain(self.truth)) if plain(self.truth) in allowed else None


class Validation(BaseModel):
    """The mean loss of a held-out token, None if nothing was held out, and what was asked."""

    loss: float | None
    asked: list[Asked]

    def accuracy(self, kind: str | None = None) -> tuple[int, int]:
        """Return how many questions, of a kind or of all, were answered truly, and how many."""
        mine = [each for each in self.asked if kind in (None, each.kind)]
        return sum(each.right for each in mine), len(mine)

    def temperature(self, used: float) -> float | None:
        """
        Return the temperature with which confidences would mean what they say.

        used: the one with which the questions were asked. None if too few answers were chosen
        from a closed set to tell.
        """
        closed = [each for each in self.asked if each.place is not None]
        if len(closed) < LEAST_CLOSED:
            return None
        truth = [each.place or 0 for each in closed]
        return used * fit_temperature([each.probabilities for each in closed], truth)

    def kinds(self) -> list[str]:
        """Return the kinds of questions, sorted."""
        return sorted({each.kind for each in self.asked})


def validate(
    network: LlavaPhi,
    tokenizer: Tokenizer,
    samples: Sequence[Labelled],
    questions: int,
    seed: int,
    precision: str,
    device: str,
    done: Callable[[], object] = lambda: None,
) -> Validation:
    """
    Return the loss of held-out samples, and the answers to at most `questions` of them.

    questions: drawn by the seed; the first of each conversation. precision, device: what the
    network, which is moved there, computes in and on. done: called after each question.
    """
    drawn = np.random.default_rng(seed).permutation(len(samples))[:questions]
    engine = TorchEngine(network, precision, device)
    examiner = _Examiner(engine, tokenizer)
    asked = []
    for index in sorted(drawn):
        asked.append(examiner.ask(samples[index].conversation))
        done()
    return Validation(loss=_loss(network, samples), asked=asked)


@torch.inference_mode()
def _loss(network: LlavaPhi, samples: Sequence[Labelled]) -> float | None:
    trainee = Trainee(network).eval()
    weight = network.decoder.lm_head.weight
    total, targets = 0.0, 0
    for start in range(0, len(samples), AT_ONCE):
        part = samples[start : start + AT_ONCE]
        batch = collate(part, network.config).to(weight.device)
        batch = replace(batch, pixels=batch.pixels.to(weight.dtype))
        total += trainee(batch).item()
        targets += sum(sample.targets for sample in part)
    return total / targets if targets else None


class _Examiner:
    """Asks one conversation after another; what two have in common in front is read once."""

    def __init__(self, engine: AnyEngine, tokenizer: Tokenizer) -> None:
        self._responder = Responder(engine, tokenizer)
        self._prefix = self._responder.begin([])
        self._seen: object = None

    def ask(self, conversation: Dialogue) -> Asked:
        first = conversation.turns[0]
        request = self._request(conversation)
        (replied,) = self._responder.reply(self._prefix, [request])
        words = [piece for piece in first.request if isinstance(piece, str)]
        return Asked(
            source=conversation.source,
            record=conversation.record,
            kind=conversation.kind or 'unknown',
            question=''.join(words).strip(),
            pictures=conversation.pictures,
            truth=first.answer or '',
            said=replied.reply.text,
            allowed=allowed(conversation),
            probabilities=replied.reply.probabilities,
        )

    def _request(self, conversation: Dialogue) -> Request:
        """Read a conversation up to its last picture; return what stands behind, to be asked."""
        responder = self._responder
        pieces = v0_prompt([Turn(conversation.turns[0].request)])
        parts = prompt_tokens(responder.tokenizer, pieces, responder.config.text.eos_token_id)
        marks = [place for place, part in enumerate(parts) if part is Mark.PICTURE]
        behind = marks[-1] + 1 if marks else 0
        beginning = (str(parts[:behind]), conversation.pictures)
        if beginning != self._seen:
            pictures = iter(conversation.pictures)
            read = [
                part if isinstance(part, list) else responder.encode(read_picture(next(pictures)))
                for part in parts[:behind]
            ]
            self._prefix = responder.begin(read, instead_of=self._prefix)
            self._seen = beginning
        rest = [token for part in parts[behind:] if isinstance(part, list) for token in part]
        return Request(rest, self._form(conversation))

    def _form(self, conversation: Dialogue) -> Form:
        if answers := allowed(conversation):
            return partial(choose, answers=answers)
        is_number = conversation.kind == KIND_NAMES[Kind.NUMBER]
        if is_number and _is_number(conversation.turns[0].answer or ''):
            return partial(read_number, numbers=self._responder.numbers)
        return partial(write_text, max_tokens=LONGEST_ANSWER, on_text=lambda piece: None)


def allowed(conversation: Dialogue) -> tuple[str, ...]:
    """Return the closed set that a question's answer is of; empty if none is known."""
    first = conversation.turns[0]
    choices, truth = choices_in(first), first.answer or ''
    # A comma may be part of a choice.
    if choices and plain(truth) in map(plain, (*choices, CANNOT_TELL)):
        return choices
    return YES_NO if says_yes_or_no(truth) and not choices else ()


def _is_number(answer: str) -> bool:
    return re.fullmatch(r'\d+(\.\d+)?', answer.strip()) is not None
