"""Ask a vqa_node questions from another process, without ever waiting for ever."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Any

import rclpy
from builtin_interfaces.msg import Duration
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from llava_phi.msg import ModelInfo
from llava_phi.srv import Ask
from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.errors import NoResponseError

# Responses that may come at once. With the usual 10, DDS drops the rest of a burst without a word.
RESPONSES = QoSProfile(depth=100)
# While a server and a client find each other, a response can be lost for good.
ASK_AGAIN_S = 3.0

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


class AskClient:
    """
    A client of one vqa_node, with a ROS node, a context and a spinning thread of its own.

    Any thread but its own may ask, several at once. Every wait ends after the time it is given,
    with NoResponseError. Use it as a context manager, or call `close`.
    """

    def __init__(self, node: str = '/vqa_node', name: str = 'vqa_client') -> None:
        """Connect to the vqa_node of that full name; nothing is waited for."""
        self._target = node
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(name, context=self._context, start_parameter_services=False)
        self._ask: Client = self._node.create_client(Ask, f'{node}/ask', qos_profile=RESPONSES)
        self._get_state: Client = self._node.create_client(GetState, f'{node}/get_state')
        self._get_parameters: Client = self._node.create_client(
            GetParameters, f'{node}/get_parameters'
        )
        self._model_info: Future[ModelInfo] = Future()
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(
            ModelInfo, f'{node}/model_info', self._take_model_info, latched
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = Thread(target=self._spin, name=name, daemon=True)
        self._thread.start()

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
        raise NoResponseError(f'{self._target} is {label}, not active, after {patience_s:g} s')

    def model_info(self, patience_s: float) -> ModelInfo:
        """Return what the node says about its model; raises NoResponseError if it does not."""
        try:
            return self._model_info.result(timeout=patience_s)
        except FutureTimeoutError:
            raise NoResponseError(
                f'{self._target}/model_info stayed silent for {patience_s:g} s'
            ) from None

    def close(self) -> None:
        """Stop the thread and leave ROS."""
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(timeout=5.0)
        self._node.destroy_node()
        self._context.try_shutdown()

    def __enter__(self) -> 'AskClient':
        """Return the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        self.close()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def _take_model_info(self, message: ModelInfo) -> None:
        if message.status == 'ready' and not self._model_info.done():
            self._model_info.set_result(message)

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
        kind=int(kind),
        camera=camera,
        choices=list(choices),
        max_frame_age=to_duration(max_frame_age_s),
        timeout=to_duration(timeout_s),
        max_tokens=max_tokens,
    )


def to_duration(seconds: float) -> Duration:
    """Return seconds as a message."""
    whole, nanoseconds = divmod(round(seconds * 1e9), 10**9)
    return Duration(sec=whole, nanosec=nanoseconds)


def to_seconds(duration: Duration) -> float:
    """Return a duration message in seconds."""
    return float(duration.sec + duration.nanosec * 1e-9)


def error_name(code: int) -> str:
    """Return the name of an error code; empty for none."""
    return '' if code == Ask.Response.NONE else ERROR_NAMES.get(code, f'error {code}')
