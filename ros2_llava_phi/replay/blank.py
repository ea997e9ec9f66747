"""The blank-image control: what the model says to a question when the picture is plain grey."""

from functools import cache

import numpy as np

from ros2_llava_phi.assistant.answer import Answer
from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Question
from ros2_llava_phi.assistant.view import View

GREY = 128
Shape = tuple[int, ...]


class BlankPicture:
    """A grey picture of every shape; each is looked at once, and asked each question once."""

    def __init__(self, assistant: Assistant) -> None:
        """Take the assistant that answers."""
        self._assistant = assistant
        self._view = cache(self._look)
        self.answer = cache(self._answer)

    def _answer(self, question: Question, shape: Shape) -> str:
        """
        Return the answer to a question about a grey picture of some shape.

        Of a closed question that is the likeliest answer, even where the model would rather
        abstain: the control is about what it would guess.
        """
        return _guess(self._assistant.ask(self._view(shape), question))

    def _look(self, shape: Shape) -> View:
        return self._assistant.look(Frame(np.full(shape, GREY, np.uint8)), check=False)


def _guess(answer: Answer) -> str:
    if answer.allowed:
        return answer.allowed[int(np.argmax(answer.probabilities))]
    return answer.text
