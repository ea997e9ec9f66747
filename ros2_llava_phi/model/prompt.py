r"""
The text around pictures, questions and answers.

LLaVA-Phi's template v0, as https://github.com/zhuyiche/llava-phi has it:

    A chat between ... questions. USER: <image>\n{question} ASSISTANT: {answer}<|endoftext|>

A later turn follows the end of text at once: `USER: {question} ASSISTANT: {answer}...`.
The text between two pictures is tokenised by itself, as in LLaVA's training.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from tokenizers import Tokenizer

from .tokenizer import encode

SYSTEM = (
    'A chat between a curious user and an artificial intelligence assistant. '
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
USER, ASSISTANT = 'USER: ', ' ASSISTANT:'
BEFORE_PICTURE = f'{SYSTEM} {USER}'
PICTURE_TEXT = '<image>'


class Mark(Enum):
    """What stands in a prompt beside text: a picture's place, and the end of an answer."""

    PICTURE = 'picture'
    END = 'end of text'


Piece = str | Mark


@dataclass(frozen=True)
class Turn:
    """
    One request, and its answer; None where the model is to give it.

    request: text and the places of pictures, in order.
    """

    request: tuple[Piece, ...]
    answer: str | None = None


def turn(text: str, answer: str | None = None) -> Turn:
    """
    Return a turn from a template's or a data set's text, in which `<image>` is a picture.

    Not for what users write: there, `<image>` is seven characters like any others.
    """
    texts = text.split(PICTURE_TEXT)
    pieces: list[Piece] = [texts[0]]
    for after in texts[1:]:
        pieces += [Mark.PICTURE, after]
    return Turn(tuple(piece for piece in pieces if piece), answer)


def v0_prompt(turns: Sequence[Turn]) -> list[Piece]:
    """Return a conversation as LLaVA-Phi's v0 template has it, text joined to text."""
    pieces: list[Piece] = [f'{SYSTEM} ']
    for said in turns:
        pieces += [USER, *said.request, ASSISTANT]
        if said.answer is not None:
            pieces += [answer_text(said.answer), Mark.END]
    return _joined(pieces)


def prompt_tokens(
    tokenizer: Tokenizer, pieces: Iterable[Piece], end_token: int
) -> list[list[int] | Mark]:
    """Return a prompt's token ids, in a list for each stretch between pictures."""
    parts: list[list[int] | Mark] = []
    for piece in pieces:
        if piece is Mark.PICTURE:
            parts.append(piece)
            continue
        tokens = [end_token] if isinstance(piece, Mark) else encode(tokenizer, piece)
        if parts and isinstance(parts[-1], list):
            parts[-1] += tokens
        else:
            parts.append(tokens)
    return parts


def after_picture(request: str) -> str:
    """Return the text between a picture and the answer to a request about it."""
    return f'\n{request}{ASSISTANT}'


def next_turn(request: str) -> str:
    """Return the text between the end of an answer and the answer to the next request."""
    return f'{USER}{request}{ASSISTANT}'


def answer_text(answer: str) -> str:
    """Return an answer as it stands in a conversation, behind `ASSISTANT:`."""
    return f' {answer}'


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined
