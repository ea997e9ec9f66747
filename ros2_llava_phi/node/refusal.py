"""A request that gets no answer, and why."""

from enum import IntEnum

from llava_phi.srv import Ask


class Reason(IntEnum):
    """Why there is no answer: the error codes of Ask.srv."""

    INTERNAL_ERROR = Ask.Response.INTERNAL_ERROR
    NOT_ACTIVE = Ask.Response.NOT_ACTIVE
    QUEUE_FULL = Ask.Response.QUEUE_FULL
    UNKNOWN_CAMERA = Ask.Response.UNKNOWN_CAMERA
    NO_FRAME = Ask.Response.NO_FRAME
    STALE_FRAME = Ask.Response.STALE_FRAME
    BAD_FRAME = Ask.Response.BAD_FRAME
    INVALID_QUESTION = Ask.Response.INVALID_QUESTION
    TIMEOUT = Ask.Response.TIMEOUT
    NO_CLOCK = Ask.Response.NO_CLOCK


class RefusalError(Exception):
    """
    The reason why a request gets no answer.

    sentence: what was wrong and what would be right, for a person.
    """

    def __init__(self, reason: Reason, sentence: str) -> None:
        """Keep reason and sentence."""
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
