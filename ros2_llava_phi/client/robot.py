"""A running vqa_node as a live replay sees it: its cameras, its clock, its service."""

import math
from dataclasses import dataclass
from types import TracebackType

import rclpy
from llava_phi.msg import Answer, ModelInfo
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from ros2_llava_phi.assistant.answer import ModelIdentity
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.bags.bag import RawMessage
from ros2_llava_phi.errors import ClientError, NoResponseError
from ros2_llava_phi.replay.record import Record, Seconds

from .ask_client import AskClient, error_name, make_request, to_seconds
from .player import MESSAGE_TYPES, wait_for_subscribers
from .recorded_clock import OthersClock, OwnClock, RecordedClock, to_time

# Longest waits: for an active node, and for one response.
START_PATIENCE_S = 60.0
ASK_PATIENCE_S = 30.0


@dataclass(frozen=True)
class NodeResponse:
    """What the node responded; error is empty where it answered."""

    error: str
    error_text: str
    answer: Answer

    @property
    def stamp_ns(self) -> int:
        """Return the stamp of the frame that was looked at."""
        stamp = self.answer.header.stamp
        return int(stamp.sec) * 10**9 + int(stamp.nanosec)

    @property
    def frame_age(self) -> float:
        """Return the frame's age in seconds when it was picked, by the recording's clock."""
        return to_seconds(self.answer.frame_age)

    @property
    def queue(self) -> float:
        """Return the seconds spent waiting for the model."""
        return to_seconds(self.answer.queue_time)

    def fill(self, record: Record) -> Record:
        """Return a record with the answer."""
        answer = self.answer
        return record.model_copy(
            update={
                'text': answer.text,
                'value': _value(answer),
                'confidence': answer.confidence,
                'allowed': tuple(answer.allowed_answers),
                'probabilities': tuple(answer.probabilities),
                'abstain_reason': answer.abstain_reason,
                'cut_short': answer.cut_short,
                'prompt_tokens': answer.prompt_tokens,
                'answer_tokens': answer.answer_tokens,
                'model': answer.model,
                'seconds': Seconds(
                    encode=to_seconds(answer.encode_time),
                    prefill_view=to_seconds(answer.prefill_view_time),
                    prefill=to_seconds(answer.prefill_time),
                    decode=to_seconds(answer.decode_time),
                ),
            }
        )


class NodeUnderTest:
    """
    A vqa_node to which a recording is played: its robot's cameras and clock.

    Use it as a context manager, or call `close`.
    """

    def __init__(self, name: str = '/vqa_node', rate: float | None = 1.0) -> None:
        """
        Connect to the vqa_node of that full name; nothing is waited for.

        rate: times the recorded rate; None if somebody else plays, as `ros2 bag play` does.
        """
        self._name, self._rate = name, rate
        self._client = AskClient(name, 'replay_client')
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            'replay', context=self._context, start_parameter_services=False
        )
        self._cameras: dict[str, Publisher] = {}
        self._clock: RecordedClock = (
            OthersClock(self._node) if rate is None else OwnClock(self._node, rate)
        )

    def wait_until_ready(self, topics: dict[str, str]) -> ModelIdentity:
        """
        Return which model answers, once the node is active and listens to these topics.

        topics: the message type of each.

        Raises ClientError, and NoResponseError, which is one.
        """
        self._client.wait_until_active(START_PATIENCE_S)
        if not self._uses_sim_time():
            raise ClientError(
                f'{self._name} goes by its own clock, but the recording has its own time; '
                'start the node with `--ros-args -p use_sim_time:=true`'
            )
        for topic, message_type in topics.items() if self._rate is not None else ():
            if topic not in self._cameras:
                self._cameras[topic] = self._node.create_publisher(
                    MESSAGE_TYPES[message_type], topic, QoSProfile(depth=5)
                )
        wait_for_subscribers(self._cameras)
        return _identity(self._client.model_info(START_PATIENCE_S))

    def begin(self) -> None:
        """Begin another recording."""
        self._clock.begin()

    def wait_for(self, time_ns: int) -> None:
        """Return when the recording's time has come; raises NoResponseError if it stands still."""
        self._clock.wait_for(time_ns)

    def idle(self) -> None:
        """Let a moment pass."""
        self._clock.idle()

    def show(self, message: RawMessage) -> None:
        """Publish a camera's message as it was recorded, unless somebody else does."""
        if message.topic in self._cameras:
            self._cameras[message.topic].publish(message.cdr)

    def ask(self, question: Question, camera: str, oldest_stamp_ns: int) -> NodeResponse:
        """Return the node's response; NO_RESPONSE if it does not respond in time."""
        request = make_request(
            question.text,
            question.kind,
            camera=camera,
            choices=question.choices,
            max_tokens=question.max_tokens if question.kind == Kind.FREE_TEXT else 0,
        )
        request.oldest_stamp = to_time(oldest_stamp_ns)
        try:
            response = self._client.ask(request, ASK_PATIENCE_S)
        except NoResponseError as error:
            return NodeResponse('NO_RESPONSE', str(error), Answer())
        return NodeResponse(error_name(response.error_code), response.error_text, response.answer)

    def close(self) -> None:
        """Leave ROS."""
        self._client.close()
        self._node.destroy_node()
        self._context.try_shutdown()

    def __enter__(self) -> 'NodeUnderTest':
        """Return the node."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _uses_sim_time(self) -> bool:
        request = GetParameters.Request(names=['use_sim_time'])
        values = self._client.get_parameters(request, ASK_PATIENCE_S).values
        return bool(values and values[0].bool_value)


def _value(answer: Answer) -> bool | int | float | None:
    if answer.abstained:
        return None
    if answer.kind == Kind.YES_NO:
        return bool(answer.yes)
    if answer.kind == Kind.CHOICE:
        return int(answer.choice_index)
    return None if math.isnan(answer.number) else float(answer.number)


def _identity(info: ModelInfo) -> ModelIdentity:
    return ModelIdentity(
        name=info.name,
        weights_hash=info.weights_hash,
        engine=info.engine,
        precision=info.precision,
        device=info.device,
        image_size=info.image_size,
        image_tokens=info.image_tokens,
        context_length=info.context_length,
    )
