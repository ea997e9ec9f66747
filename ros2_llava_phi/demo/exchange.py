"""What came of a question: the answer or the refusal, and where the time went."""

from dataclasses import dataclass

from llava_phi.srv import Ask
from rclpy.time import Time

from ros2_llava_phi.assistant.answer import CANNOT_TELL, Timings
from ros2_llava_phi.bags.ground_truth import GroundTruth
from ros2_llava_phi.client.ask_client import error_name, to_seconds
from ros2_llava_phi.scoring.correctness import soft_score

from .moment import Moment


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
        return soft_score(self.text, [self.truth]) == 1


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
