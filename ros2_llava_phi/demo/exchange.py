"""What came of a question: the answer or the refusal, and where the time went."""

from dataclasses import dataclass

from llava_phi.srv import Ask
from rclpy.time import Time

from ..assistant.answer import Timings
from ..replay.ground_truth import CANNOT_TELL, GroundTruth
from .client import to_seconds
from .moment import Moment

ERROR_NAMES = {
    getattr(Ask.Response, name): name
    for name in (
        'INTERNAL_ERROR',
        'NOT_ACTIVE',
        'QUEUE_FULL',
        'UNKNOWN_CAMERA',
        'NO_FRAME',
        'STALE_FRAME',
        'BAD_FRAME',
        'INVALID_QUESTION',
        'TIMEOUT',
        'NO_CLOCK',
    )
}


@dataclass(frozen=True)
class Exchange:
    """
    A question and its response.

    error, error_text: name of the error code and its sentence; empty where there is an answer.
    probabilities: each allowed answer and its probability.
    stamp_ns, bag_stamp_ns: stamp of the frame that was looked at, as played and as recorded.
    round_trip_s: from the client's call to the client's return.
    truth: the right answer to the question about that very frame; empty where nobody can say.
    """

    moment: Moment
    error: str
    error_text: str
    text: str
    confidence: float
    probabilities: tuple[tuple[str, float], ...]
    abstain_reason: str
    camera: str
    frame_id: str
    stamp_ns: int
    bag_stamp_ns: int
    frame_age_s: float
    queue_s: float
    timings: Timings
    round_trip_s: float
    truth: str

    @property
    def right(self) -> bool | None:
        """Return whether the response is right; None where nobody can say."""
        if self.error or self.moment.refused_with:
            return self.error == self.moment.refused_with
        if not self.truth:
            return None
        if self.abstain_reason:
            return self.truth == CANNOT_TELL
        return self.text.strip(' .').lower() == self.truth.strip(' .').lower()


def make_exchange(
    moment: Moment,
    response: Ask.Response,
    truth: GroundTruth,
    shift_ns: int,
    round_trip_s: float,
) -> Exchange:
    """Put together what is known; `shift_ns` is what the player added to each stamp."""
    answer = response.answer
    stamp_ns = Time.from_msg(answer.header.stamp).nanoseconds
    bag_stamp_ns = stamp_ns - shift_ns
    return Exchange(
        moment=moment,
        error=error_name(response.error_code),
        error_text=response.error_text,
        text=answer.text,
        confidence=answer.confidence,
        probabilities=tuple(zip(answer.allowed_answers, answer.probabilities, strict=True)),
        abstain_reason=answer.abstain_reason,
        camera=answer.camera,
        frame_id=answer.header.frame_id,
        stamp_ns=stamp_ns,
        bag_stamp_ns=bag_stamp_ns,
        frame_age_s=to_seconds(answer.frame_age),
        queue_s=to_seconds(answer.queue_time),
        timings=Timings(
            encode=to_seconds(answer.encode_time),
            prefill_view=to_seconds(answer.prefill_view_time),
            prefill=to_seconds(answer.prefill_time),
            decode=to_seconds(answer.decode_time),
        ),
        round_trip_s=round_trip_s,
        truth=truth.answer(answer.camera, bag_stamp_ns, moment.question),
    )


def error_name(code: int) -> str:
    """Return the name of an error code; empty for none."""
    return '' if code == Ask.Response.NONE else ERROR_NAMES.get(code, f'error {code}')
