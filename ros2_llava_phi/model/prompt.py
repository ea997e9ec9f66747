r"""
The text around a picture and a question, and its tokens.

LLaVA-Phi's `v0` template, one turn:
`A chat between ... USER: <image>\n{question} ASSISTANT: {answer}<|endoftext|>`
The text before the picture and the text behind it are tokenised apart, as in LLaVA's training.
"""

from pathlib import Path

from tokenizers import Tokenizer

from .config import ModelError

TOKENIZER_FILE = 'tokenizer.json'

SYSTEM = (
    'A chat between a curious user and an artificial intelligence assistant. '
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
BEFORE_PICTURE = f'{SYSTEM} USER: '


def after_picture(request: str) -> str:
    """Return the text between a picture and the answer to a request about it."""
    return f'\n{request} ASSISTANT:'


def answer_text(answer: str) -> str:
    """Return an answer as it stands in a conversation, behind `ASSISTANT:`."""
    return f' {answer}'


def load_tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    """
    Read a model folder's tokenizer.json.

    Control tokens in what a user writes stay plain text. Raises ModelError if the file is missing
    or damaged, or has more tokens than the model's `vocab_size`.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise ModelError(f'{path} is missing; a model folder holds its own tokenizer')
    try:
        tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for any damage
        raise ModelError(f'{path} is no tokenizer file: {error}') from error
    if tokenizer.get_vocab_size() > vocab_size:
        raise ModelError(
            f'{path} has {tokenizer.get_vocab_size()} tokens, but the model knows {vocab_size}'
        )
    tokenizer.encode_special_tokens = True
    return tokenizer


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return a text's token ids; nothing is added in front or behind."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids
