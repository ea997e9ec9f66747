"""The blank-image control: what the model says to a question when the picture is plain grey."""

import numpy as np

from ..assistant.answer import Answer
from ..assistant.assistant import Assistant
from ..assistant.frame import Frame
from ..assistant.question import Question

GREY = 128


class BlankPicture:
    """Answers about a grey picture, each given once."""

    def __init__(self, assistant: Assistant) -> None:
        """Take the assistant that answers."""
        self._assistant = assistant
        self._answers: dict[tuple[Question, tuple[int, ...]], str] = {}

    def answer(self, question: Question, shape: tuple[int, ...]) -> str:
        """
        Return the answer to a question about a grey picture of some shape.

        Of a closed question that is the likeliest answer, even where the model would rather
        abstain: the control is about what it would guess.
        """
        key = question, shape
        if key not in self._answers:
            frame = Frame(np.full(shape, GREY, np.uint8))
            view = self._assistant.look(frame, check=False)
            self._answers[key] = _guess(self._assistant.ask(view, question))
        return self._answers[key]


def _guess(answer: Answer) -> str:
    if answer.allowed:
        return answer.allowed[int(np.argmax(answer.probabilities))]
    return answer.text
