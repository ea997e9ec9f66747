"""
From a conversation to token ids, picture places, and what of it the model has to say.

Loss lies on the assistant's words and the end of text behind them, nowhere else. A stretch of text
is tokenised once and whole, as it is when the model is asked; the tokenizer itself tells which
characters a token stands for, so that no length is ever counted on a text tokenised anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ros2_llava_phi.datasets.dialogue import Dialogue, Dropped
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.prompt import ASSISTANT, SYSTEM, USER, Mark, Piece, answer_text

PICTURE = -1  # the place of a whole picture, whatever number of tokens it takes


@dataclass(frozen=True)
class Spoken:
    """A piece of a prompt, and whether the assistant says it."""

    piece: Piece
    learned: bool = False


@dataclass(frozen=True, eq=False)
class LabelledTokens:
    """
    Text and pictures as the network reads them.

    tokens: int32 [T], PICTURE where a picture stands. learned: bool [T], what the model must say.
    image_tokens: how many tokens a picture takes.
    """

    tokens: NDArray[np.int32]
    learned: NDArray[np.bool_]
    image_tokens: int

    @cached_property
    def prefix(self) -> int:
        """Return how many tokens there are up to and including the last picture; 0 without one."""
        places = np.flatnonzero(self.tokens == PICTURE)
        return int(places[-1]) + 1 if len(places) else 0

    @cached_property
    def length(self) -> int:
        """Return the number of positions taken, pictures at their full size."""
        pictures = int((self.tokens == PICTURE).sum())
        return len(self.tokens) + pictures * (self.image_tokens - 1)

    @cached_property
    def targets(self) -> int:
        """Return the number of tokens that carry loss."""
        return int(self.learned.sum())


@dataclass(frozen=True, eq=False)
class Labelled(LabelledTokens):
    """One conversation as the network reads it."""

    conversation: Dialogue

    @property
    def row_key(self) -> object:
        """Return what samples that can share a row have in common; None for one that cannot."""
        prefix = self.prefix
        # What follows the prefix at once must not be learned: one place would have two labels.
        if not prefix or self.learned[: prefix + 1].any():
            return None
        return self.conversation.pictures, self.tokens[:prefix].tobytes()


@dataclass(frozen=True)
class LabelledSet:
    """The samples that are trained on, and what was left out and why."""

    samples: list[Labelled]
    dropped: list[Dropped]


def label_all(
    conversations: Iterable[Dialogue],
    tokenizer: Tokenizer,
    config: ModelConfig,
    template: str,
    max_length: int,
) -> LabelledSet:
    """
    Label conversations by a template, 'v0' or 'plain'; what cannot be trained on is dropped.

    max_length: the most positions that one may take, pictures included.
    """
    samples, dropped = [], []
    for conversation in conversations:
        sample = label(conversation, tokenizer, config, template)
        if reason := _unfit(sample, template, max_length):
            dropped.append(Dropped(conversation.source, conversation.record, reason))
        else:
            samples.append(sample)
    return LabelledSet(samples, dropped)


def label(
    conversation: Dialogue, tokenizer: Tokenizer, config: ModelConfig, template: str
) -> Labelled:
    """Label one conversation by a template, 'v0' or 'plain'."""
    spoken = v0(conversation) if template == 'v0' else plain(conversation)
    labelled = label_spoken(spoken, tokenizer, config)
    return Labelled(labelled.tokens, labelled.learned, labelled.image_tokens, conversation)


def label_spoken(
    spoken: Sequence[Spoken], tokenizer: Tokenizer, config: ModelConfig
) -> LabelledTokens:
    """Label what is said, whoever says it."""
    tokens: list[int] = []
    learned: list[bool] = []
    for stretch in _stretches(spoken):
        ids, flags = _label(stretch, tokenizer, config.text.eos_token_id)
        tokens += ids
        learned += flags
    return LabelledTokens(
        np.array(tokens, np.int32), np.array(learned, np.bool_), config.image_tokens
    )


def v0(conversation: Dialogue) -> list[Spoken]:
    """Return a conversation by the template v0: answers and their ends of text are learned."""
    spoken = [Spoken(f'{SYSTEM} ')]
    for turn in conversation.turns:
        request = [Spoken(piece) for piece in turn.request]
        spoken += [Spoken(USER), *request, Spoken(ASSISTANT)]
        spoken += [Spoken(answer_text(turn.answer or ''), True), Spoken(Mark.END, True)]
    return spoken


def plain(conversation: Dialogue) -> list[Spoken]:
    """Return LLaVA-Phi's plain template, a picture and its caption, which is learned."""
    caption = conversation.turns[0].answer or ''
    pictures = [Spoken(Mark.PICTURE) for _ in conversation.pictures]
    return [*pictures, Spoken(f'{caption}\n', True)]


def _stretches(spoken: Sequence[Spoken]) -> list[list[Spoken]]:
    """Group what is tokenised together: texts side by side, each mark alone."""
    stretches: list[list[Spoken]] = []
    for each in spoken:
        joins = stretches and isinstance(each.piece, str)
        if joins and isinstance(stretches[-1][0].piece, str):
            stretches[-1].append(each)
        else:
            stretches.append([each])
    return stretches


def _label(
    stretch: list[Spoken], tokenizer: Tokenizer, end_token: int
) -> tuple[list[int], list[bool]]:
    """Return a stretch's token ids, and which of them are learned."""
    first = stretch[0]
    if isinstance(first.piece, Mark):
        return [PICTURE if first.piece is Mark.PICTURE else end_token], [first.learned]
    text = ''.join(each.piece for each in stretch if isinstance(each.piece, str))
    said = np.concatenate([np.full(len(str(each.piece)), each.learned) for each in stretch])
    encoding = tokenizer.encode(text, add_special_tokens=False)
    # A token is said by whoever says its last character: the space of ` No` is part of it.
    learned = [bool(said[end - 1]) if end else False for _, end in encoding.offsets]
    return list(encoding.ids), learned


def _unfit(sample: Labelled, template: str, max_length: int) -> str:
    """Return why a sample cannot be trained on; nothing if it can."""
    if template == 'plain' and len(sample.conversation.pictures) != 1:
        return 'has no single picture, and aligning needs one with a caption'
    if not sample.targets:
        return 'has nothing that the assistant says'
    if sample.length > max_length:
        return f'takes more than {max_length} tokens, pictures included'
    return ''
