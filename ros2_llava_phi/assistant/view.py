"""A view, ready for any number of questions; and a conversation about one."""

from dataclasses import dataclass

from ros2_llava_phi.errors import QuestionError, described

from .answer import Answer, Timings
from .frame import Frame
from .responder import Past, Prefix


@dataclass(frozen=True, eq=False)
class View:
    """
    A frame that was looked at, as `Assistant.look` returns it.

    timings: what looking took; the first answer reports it, later ones report zero.
    nothing_to_see: why the frame cannot show anything; empty if it can.
    prefix: the prompt up to and including the picture, for the assistant: every question goes on
    from it. None where there is nothing to see, since it may take gigabytes.
    """

    frame: Frame
    timings: Timings
    nothing_to_see: str
    prefix: Prefix | None


class Conversation:
    """
    A view, and what was said about it: each question put to it goes on from the last answer.

        conversation = Conversation(view)
        model.ask(conversation, 'Is there a car?', kind='yes_no')
        model.ask(conversation, 'What colour is it?')
        conversation.answers

    Others about the same view, and questions about the view itself, do not disturb it. A question
    that fails leaves it as it was.

    Raises QuestionError for anything but a view.
    """

    def __init__(self, view: View) -> None:
        """Begin."""
        if not isinstance(view, View):
            raise QuestionError(
                f'a conversation is about a View, as look returns it, not about {described(view)}'
            )
        self._view = view
        self._answers: tuple[Answer, ...] = ()
        self._past = Past()

    @property
    def view(self) -> View:
        """Return what the conversation is about."""
        return self._view

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Return the answers so far, each with its question."""
        return self._answers

    @property
    def past(self) -> Past:
        """Return what was said, as the model read it."""
        return self._past

    def remember(self, answer: Answer, past: Past) -> None:
        """Add an answer, and what is said with it; for the assistant."""
        self._answers = (*self._answers, answer)
        self._past = past
