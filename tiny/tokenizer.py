"""A byte-level BPE tokenizer of its own, trained on the text of a training set."""

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from ros2_llava_phi.assistant.question import SHORT_ANSWER
from ros2_llava_phi.model.prompt import BEFORE_PICTURE
from ros2_llava_phi.model.tokenizer import END_OF_TEXT


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """
    Train a tokenizer with at most `vocab_size` tokens; the end of text is number 0.

    What stands in every prompt is one token each: a small model on a small computer must not
    spend a fifth of its work on reading the same sentence over and over.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    boilerplate = [BEFORE_PICTURE, SHORT_ANSWER]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(boilerplate),
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in boilerplate])
    return tokenizer
