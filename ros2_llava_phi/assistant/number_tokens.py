"""Which tokens may continue a number, so that a number question is answered with a number."""

import re

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

LONGEST_NUMBER = 12  # characters

_NUMBER_PIECE = re.compile(r' ?-?\d*\.?\d*')
_STARTED = re.compile(r' ?-?(\d+\.?\d*)?')
_COMPLETE = re.compile(r' ?-?\d+(\.\d+)?')


class NumberTokens:
    """The tokens of a vocabulary that can be part of a decimal number."""

    def __init__(self, tokenizer: Tokenizer, end_token: int) -> None:
        """Look through the vocabulary once."""
        self._end = end_token
        pieces = {
            token: tokenizer.decode([token], skip_special_tokens=False)
            for token in range(tokenizer.get_vocab_size())
        }
        self._pieces = {
            token: piece
            for token, piece in pieces.items()
            if piece and _NUMBER_PIECE.fullmatch(piece)
        }

    def text(self, token: int) -> str:
        """Return the characters that a token adds to a number."""
        return self._pieces[token]

    def allowed(self, number: str) -> NDArray[np.int64]:
        """Return the ids that may follow what is there of a number: more digits, or the end."""
        ids = [
            token
            for token, piece in self._pieces.items()
            if _STARTED.fullmatch(number + piece) and len(number + piece) <= LONGEST_NUMBER
        ]
        if _COMPLETE.fullmatch(number):
            ids.append(self._end)
        return np.array(ids, np.int64)
