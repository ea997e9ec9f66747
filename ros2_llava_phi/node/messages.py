"""Between the assistant's types and ROS messages."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from builtin_interfaces.msg import Duration
from llava_phi.msg import Answer as AnswerMessage
from llava_phi.msg import ModelInfo
from llava_phi.srv import Ask
from std_msgs.msg import Header

from ros2_llava_phi.assistant.answer import Answer, ModelIdentity
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.bags.stamps import from_ns, in_ns, to_ns
from ros2_llava_phi.client.ask_client import constants
from ros2_llava_phi.errors import QuestionError


@dataclass(frozen=True)
class AskedFor:
    """
    What a request asks for, checked.

    picture: the picture to look at instead of a camera, or None.
    oldest_stamp_ns, max_age_ns, timeout_ns: limits in nanoseconds.
    """

    question: Question
    camera: str
    picture: Any | None
    oldest_stamp_ns: int
    max_age_ns: int
    timeout_ns: int


def read_request(
    request: Any, default_camera: str, max_frame_age: float, timeout: float, max_tokens: int
) -> AskedFor:
    """
    Return what an Ask request asks for; the other arguments apply where it does not say.

    max_frame_age, timeout: in seconds. Raises QuestionError for what cannot be asked.
    """
    question = Question(
        text=request.question,
        kind=constants(Ask.Request).get(request.kind, request.kind),
        choices=tuple(request.choices),
        max_tokens=request.max_tokens or max_tokens,
    )
    picture = request.image if len(request.image.data) else None
    if picture is not None and request.camera:
        raise QuestionError(
            f'the request names the camera {request.camera!r} and brings a picture; '
            'leave one of them out'
        )
    return AskedFor(
        question=question,
        camera='' if picture is not None else request.camera or default_camera,
        picture=picture,
        oldest_stamp_ns=_nanoseconds('oldest_stamp', request.oldest_stamp),
        max_age_ns=_nanoseconds('max_frame_age', request.max_frame_age) or in_ns(max_frame_age),
        timeout_ns=_nanoseconds('timeout', request.timeout) or in_ns(timeout),
    )


def answer_message(
    answer: Answer, header: Header, camera: str, frame_age_ns: int, queue_seconds: float
) -> AnswerMessage:
    """Return the Answer message of an answer about the frame with that header."""
    kind, value = answer.question.kind, answer.value
    return AnswerMessage(
        header=header,
        camera=camera,
        question=safe_text(answer.question.text),
        kind=getattr(Ask.Request, kind.name),
        choices=[safe_text(choice) for choice in answer.question.choices],
        text=safe_text(answer.text),
        yes=bool(value) if kind == Kind.YES_NO else False,
        choice_index=int(value) if value is not None and kind == Kind.CHOICE else -1,
        number=float(value) if value is not None and kind == Kind.NUMBER else math.nan,
        confidence=float(answer.confidence),
        allowed_answers=[safe_text(allowed) for allowed in answer.allowed],
        probabilities=[float(probability) for probability in answer.probabilities],
        abstained=answer.abstained,
        abstain_reason=safe_text(answer.abstain_reason),
        cut_short=getattr(AnswerMessage, answer.cut_short.name),
        frame_age=from_ns(Duration, frame_age_ns),
        queue_time=from_ns(Duration, in_ns(queue_seconds)),
        encode_time=from_ns(Duration, in_ns(answer.timings.encode)),
        prefill_view_time=from_ns(Duration, in_ns(answer.timings.prefill_view)),
        prefill_time=from_ns(Duration, in_ns(answer.timings.prefill)),
        decode_time=from_ns(Duration, in_ns(answer.timings.decode)),
        prompt_tokens=answer.prompt_tokens,
        answer_tokens=answer.answer_tokens,
        model=safe_text(str(answer.model)),
    )


def answered(answer: AnswerMessage) -> Any:
    """Return the response that gives an answer."""
    return Ask.Response(error_code=Ask.Response.NONE, answer=answer)


def refused(code: int, sentence: str, question: str) -> Any:
    """Return the response that refuses, with an answer that holds but the question."""
    nothing = AnswerMessage(question=safe_text(question), choice_index=-1, number=math.nan)
    return Ask.Response(error_code=code, error_text=safe_text(sentence), answer=nothing)


def model_info_message(identity: ModelIdentity) -> ModelInfo:
    """Return the ModelInfo message of a model."""
    return ModelInfo(status='ready', **{**asdict(identity), 'name': safe_text(identity.name)})


def safe_text(text: str) -> str:
    """
    Return text that survives a DDS string, with U+FFFD for what would not.

    A NUL would silently end the string there, a lone surrogate would make publishing fail.
    """
    return text.replace('\0', '\ufffd').encode('utf-8', 'surrogatepass').decode('utf-8', 'replace')


def _nanoseconds(field: str, time: Any) -> int:
    """Return a Time or Duration message in nanoseconds."""
    if time.sec < 0:
        raise QuestionError(f'{field} is negative; it must be zero (not given) or later')
    return to_ns(time)
