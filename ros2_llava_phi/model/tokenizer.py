"""
The tokenizer that a checkpoint brings along.

Phi-2's is CodeGen's byte-level BPE (https://github.com/openai/gpt-2): 50257 tokens and some runs
of spaces, in one tokenizer.json or, in older folders, in vocab.json, merges.txt and
added_tokens.json.
"""

import json
import re
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from ros2_llava_phi.errors import ModelError

TOKENIZER_FILE = 'tokenizer.json'
OLD_FILES = ('vocab.json', 'merges.txt')
ADDED_FILE = 'added_tokens.json'
END_OF_TEXT = '<|endoftext|>'
CONTROL_TOKEN = re.compile(r'<[^<>\s]+>')


def load_tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    """
    Read a model folder's tokenizer.

    Control tokens in what a user writes stay plain text. Raises ModelError if the files are
    missing or damaged, or have more tokens than the model's `vocab_size`.
    """
    tokenizer = _read(folder)
    if tokenizer is None:
        raise ModelError(
            f'{folder / TOKENIZER_FILE} is missing; a model folder holds its own tokenizer'
        )
    if tokenizer.get_vocab_size() > vocab_size:
        raise ModelError(
            f'the tokenizer in {folder} has {tokenizer.get_vocab_size()} tokens, '
            f'but the model knows {vocab_size}'
        )
    # What training left behind must not cut or lengthen a prompt.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    names = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    tokenizer.add_special_tokens([name for name in names if CONTROL_TOKEN.fullmatch(name)])
    tokenizer.encode_special_tokens = True
    return tokenizer


def has_tokenizer(folder: Path) -> bool:
    """Return whether a folder holds the files of a tokenizer."""
    old = all((folder / name).is_file() for name in OLD_FILES)
    return old or (folder / TOKENIZER_FILE).is_file()


def end_of_text(folder: Path) -> int | None:
    """Return the id of <|endoftext|> in a folder's tokenizer; None if it has none."""
    tokenizer = _read(folder)
    return None if tokenizer is None else tokenizer.token_to_id(END_OF_TEXT)


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return a text's token ids; nothing is added in front or behind."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def _read(folder: Path) -> Tokenizer | None:
    path = folder / TOKENIZER_FILE
    try:
        if path.is_file():
            return Tokenizer.from_file(str(path))
        if all((folder / name).is_file() for name in OLD_FILES):
            return _read_old(folder)
    except Exception as error:  # the library raises bare Exception for any damage
        what = path if path.is_file() else f'{folder}: {", ".join(OLD_FILES)}'
        raise ModelError(f'{what} is no tokenizer file: {error}') from error
    return None


def _read_old(folder: Path) -> Tokenizer:
    vocab, merges = BPE.read_file(*(str(folder / name) for name in OLD_FILES))
    tokenizer = Tokenizer(BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT])
    if (folder / ADDED_FILE).is_file():
        added = json.loads((folder / ADDED_FILE).read_text())
        for text, number in sorted(added.items(), key=lambda item: item[1]):
            tokenizer.add_tokens([AddedToken(text, normalized=False)])
            if tokenizer.token_to_id(text) != number:
                raise ValueError(f'{ADDED_FILE} gives {text!r} the id {number}, which is not next')
    return tokenizer
