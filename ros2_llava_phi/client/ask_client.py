"""Ask a vqa_node questions from another process, without ever waiting for ever."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from threading import Event, Thread
from typing import Any

import rclpy
from builtin_interfaces.msg import Duration
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from llava_phi.msg import Answer as AnswerMessage
from llava_phi.msg import ModelInfo
from llava_phi.srv import Ask
from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions

from ros2_llava_phi.assistant.answer import Answer, CutShort, ModelIdentity, Timings
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.bags.stamps import from_ns, in_ns, to_seconds
from ros2_llava_phi.errors import NoResponseError

# Requests or responses that may come at once. With the usual 10, DDS drops the rest of a burst
# without a word.
BURST = QoSProfile(depth=100)
# Longest wait for one response, where nothing else is known.
ASK_PATIENCE_S = 30.0
# While a server and a client find each other, a response can be lost for good.
ASK_AGAIN_S = 3.0


@contextmanager
def own_node(name: str) -> Iterator[Node]:
    """Make a ROS node in a context of its own, which leaves signals to the program."""
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node(name, context=context, start_parameter_services=False)
        try:
            yield node
        finally:
            node.destroy_node()
    finally:
        context.try_shutdown()


class AskClient:
    """
    A client of one vqa_node, with a ROS node, a context and a spinning thread of its own.

    Any thread but its own may ask, several at once. Every wait ends after the time it is given,
    with NoResponseError. Use it as a context manager, or call `close`.

    target: full name of the vqa_node.
    ros_node: the client's own node, which its thread spins.
    """

    def __init__(self, node: str = '/vqa_node', name: str = 'vqa_client') -> None:
        """Connect to the vqa_node of that full name; nothing is waited for."""
        self.target = node
        with ExitStack() as leaving:
            self.ros_node = leaving.enter_context(own_node(name))
            self._ask: Client = self.ros_node.create_client(Ask, f'{node}/ask', qos_profile=BURST)
            self._get_state: Client = self.ros_node.create_client(GetState, f'{node}/get_state')
            self._get_parameters: Client = self.ros_node.create_client(
                GetParameters, f'{node}/get_parameters'
            )
            self._model_info: ModelInfo | None = None
            self._informed = Event()
            latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self.ros_node.create_subscription(
                ModelInfo, f'{node}/model_info', self._take_model_info, latched
            )
            self._executor = SingleThreadedExecutor(context=self.ros_node.context)
            self._executor.add_node(self.ros_node)
            thread = Thread(target=self._spin, name=name, daemon=True)
            thread.start()
            leaving.callback(thread.join, timeout=5.0)
            leaving.callback(self._executor.shutdown, timeout_sec=1.0)
            self._leaving = leaving.pop_all()

    def ask(self, request: Ask.Request, patience_s: float) -> Ask.Response:
        """Return the response to a request; raises NoResponseError after `patience_s` seconds."""
        return self._call(self._ask, request, patience_s)

    def get_parameters(
        self, request: GetParameters.Request, patience_s: float
    ) -> GetParameters.Response:
        """Return the node's parameters; raises NoResponseError after `patience_s` seconds."""
        return self._call(self._get_parameters, request, patience_s)

    def wait_until_active(self, patience_s: float) -> None:
        """Return once the node is active; raises NoResponseError after `patience_s` seconds."""
        deadline = time.monotonic() + patience_s
        label = 'not to be found'
        while (left := deadline - time.monotonic()) > 0:
            with suppress(NoResponseError):
                patience = min(left, ASK_AGAIN_S)
                state = self._call(self._get_state, GetState.Request(), patience).current_state
                if state.id == State.PRIMARY_STATE_ACTIVE:
                    return
                label = state.label
            time.sleep(0.05)
        raise NoResponseError(f'{self.target} is {label}, not active, after {patience_s:g} s')

    def model_info(self, patience_s: float) -> ModelInfo:
        """Return what the node said last of a model that is ready; else raises NoResponseError."""
        if not self._informed.wait(patience_s):
            raise NoResponseError(f'{self.target}/model_info stayed silent for {patience_s:g} s')
        return self._model_info

    def close(self) -> None:
        """Stop the thread and leave ROS."""
        self._leaving.close()

    def __enter__(self) -> 'AskClient':
        """Return the client."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the client."""
        self.close()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def _take_model_info(self, message: ModelInfo) -> None:
        if message.status == 'ready':
            self._model_info = message
            self._informed.set()

    def _call(self, client: Client, request: Any, patience_s: float) -> Any:
        # The caller waits on an event and the client's own thread spins: nothing here can be
        # stopped by what the caller does, and no callback ever waits.
        deadline = time.monotonic() + patience_s
        if not client.wait_for_service(timeout_sec=patience_s):
            raise NoResponseError(f'there is no service {client.srv_name} after {patience_s:g} s')
        answered = Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(max(0.0, deadline - time.monotonic())):
            client.remove_pending_request(future)
            raise NoResponseError(f'{client.srv_name} did not respond within {patience_s:g} s')
        return future.result()


def make_request(
    question: str,
    kind: Kind = Kind.FREE_TEXT,
    *,
    camera: str = '',
    choices: Sequence[str] = (),
    max_frame_age_s: float = 0.0,
    timeout_s: float = 0.0,
    max_tokens: int = 0,
) -> Ask.Request:
    """Return a request; zero and empty leave the choice to the node, as Ask.srv says."""
    return Ask.Request(
        question=question,
        kind=getattr(Ask.Request, kind.name),
        camera=camera,
        choices=list(choices),
        max_frame_age=from_ns(Duration, in_ns(max_frame_age_s)),
        timeout=from_ns(Duration, in_ns(timeout_s)),
        max_tokens=max_tokens,
    )


def to_answer(message: AnswerMessage, question: Question, model: ModelIdentity) -> Answer:
    """Return a message of type Answer as the answer of that model to a question."""
    value: bool | int | float | None = {
        Kind.FREE_TEXT: None,
        Kind.YES_NO: bool(message.yes),
        Kind.CHOICE: int(message.choice_index),
        Kind.NUMBER: None if math.isnan(message.number) else float(message.number),
    }[question.kind]
    return Answer(
        question=question,
        text=message.text,
        value=None if message.abstained else value,
        confidence=message.confidence,
        timings=to_timings(message),
        prompt_tokens=message.prompt_tokens,
        answer_tokens=message.answer_tokens,
        model=model,
        allowed=tuple(message.allowed_answers),
        probabilities=tuple(message.probabilities),
        abstain_reason=message.abstain_reason,
        cut_short=CutShort[constants(AnswerMessage)[message.cut_short]],
    )


def to_timings(message: AnswerMessage) -> Timings:
    """Return what the stages of an answer took."""
    return Timings(
        encode=to_seconds(message.encode_time),
        prefill_view=to_seconds(message.prefill_view_time),
        prefill=to_seconds(message.prefill_time),
        decode=to_seconds(message.decode_time),
    )


def to_identity(info: ModelInfo) -> ModelIdentity:
    """Return the identity of the model that a node says it has."""
    return ModelIdentity(**{each.name: getattr(info, each.name) for each in fields(ModelIdentity)})


def error_name(code: int) -> str:
    """Return the name of an error code as in Ask.srv; empty for NONE."""
    if code == Ask.Response.NONE:
        return ''
    return constants(Ask.Response).get(code, f'error {code}')


def constants(interface: type[Any]) -> dict[int, str]:
    """Return the names of the constants in a generated message, request or response, by number."""
    # Beside them stand, in capitals, only tuples of what the fields hold.
    return {
        value: name
        for name, value in vars(interface).items()
        if name.isupper() and isinstance(value, int)
    }
