"""The lifecycle node: parameters, transitions, and the service that takes questions."""

import traceback
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
from llava_phi.msg import Answer as AnswerMessage
from llava_phi.msg import ModelInfo
from llava_phi.srv import Ask
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidTopicNameException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.client.ask_client import BURST, error_name
from ros2_llava_phi.engine.engine import Progress
from ros2_llava_phi.errors import LlavaPhiError, ParameterError, QuestionError
from ros2_llava_phi.imaging.jpeg import check_decoder
from ros2_llava_phi.imaging.ros_cv_bridge import find_cv_bridge

from .answering import Answering, RefusalError, Ticket, Worker
from .cameras import Camera
from .diagnostics import PERIOD, Diagnostics
from .messages import model_info_message, read_request, refused, safe_text
from .node_clock import NO_CLOCK, NodeClock
from .parameter_server import ParameterServer

# How far beyond its time-out a waiting question may get its refusal, in seconds.
WATCH_PERIOD = 0.05

Load = Callable[[str, str, str, str, Progress | None], Assistant]


class VqaNode(LifecycleNode):
    """
    Answer questions about what cameras see.

    Configuring loads the model and subscribes to the cameras, activating takes questions,
    deactivating refuses those still open and forgets all frames, cleaning up frees the model.

    An executor runs the callbacks, which are all short. Transitions take longer: those that a
    lifecycle manager asks for are made by the thread that calls `make_transitions`.
    """

    def __init__(self, load: Load, node_name: str = 'vqa_node', **options: Any) -> None:
        """
        Make the node, unconfigured.

        load: makes an Assistant of model, engine, device and precision; its last argument hears
        how far TensorRT's plans are, and is None if they must not be built. Raises ModelError.
        options: those of rclpy's Node.

        Raises ParameterError if a parameter is wrong.
        """
        try:
            super().__init__(
                node_name, automatically_declare_parameters_from_overrides=True, **options
            )
        except ValueError as error:
            # rclpy cannot tell the type of an empty list.
            raise ParameterError(f'a parameter is an empty list: {error}') from error
        self._load = load
        self._state = 'unconfigured'
        self._cameras: dict[str, Camera] = {}
        self._worker: Worker | None = None
        self._answering: Answering | None = None
        self._outcomes: Counter[str] = Counter()
        self._unsent = 0
        self._time = NodeClock(self.get_clock())
        self._clock_fault = ''
        self._transitions: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._parameter_server = ParameterServer(self, lambda: self._state == 'unconfigured')
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._model_info = self.create_publisher(ModelInfo, '~/model_info', latched)
        self._answers = self.create_publisher(AnswerMessage, '~/answers', 10)
        self._diagnostics = Diagnostics(self.get_fully_qualified_name(), self._time)
        self._health = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # By a steady clock: that of a simulation may stand still, or jump.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(PERIOD, self._report, clock=steady)
        self._watch = self.create_timer(WATCH_PERIOD, self._drop_overdue, clock=steady)
        self._watch.cancel()
        # Reentrant: a question that waits must not keep the next one from being taken.
        self.create_service(
            Ask,
            '~/ask',
            self._on_ask,
            qos_profile=BURST,
            callback_group=ReentrantCallbackGroup(),
        )
        # rclpy would make transitions in the executor, and answer nobody meanwhile.
        service: Any
        (service,) = (one for one in self.services if one.srv_type is ChangeState)
        self._change_state, service.callback = service.callback, self._on_change_state
        service.callback_group = MutuallyExclusiveCallbackGroup()
        service.callback_group.add_entity(service)

    @property
    def autostart(self) -> bool:
        """Return whether the node is to bring itself up."""
        return self._parameter_server.settings.node.autostart

    @property
    def unsent(self) -> int:
        """Return how many requests have not been responded to; it takes the executor to do so."""
        return self._unsent

    def bring_up(self) -> bool:
        """Configure and activate; return whether that worked."""
        return (
            self.trigger_configure() == TransitionCallbackReturn.SUCCESS
            and self.trigger_activate() == TransitionCallbackReturn.SUCCESS
        )

    def make_transitions(self) -> None:
        """Make the transitions that a lifecycle manager asks for, until `end_transitions`."""
        while (transition := self._transitions.get()) is not None:
            transition()

    def end_transitions(self) -> None:
        """Have `make_transitions` return; callable from any thread."""
        self._transitions.put(None)

    def close(self) -> None:
        """Refuse what is open, end the worker and free everything, in whatever state."""
        self._state = 'shutting down'
        self._stop_worker(self._state)
        self._answering = None
        cameras, self._cameras = self._cameras, {}
        for camera in cameras.values():
            camera.destroy()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the cameras and load the model."""
        return self._attempt('configuring', self._configure, 'inactive', 'unconfigured')

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take questions."""
        return self._attempt('activating', self._activate, 'active', 'inactive')

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more questions, and refuse those still open."""
        return self._attempt('deactivating', self._deactivate, 'inactive', 'active')

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and unsubscribe."""
        return self._attempt('cleaning up', self.close, 'unconfigured', 'inactive')

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, for good."""
        return self._attempt('shutting down', self.close, 'finalized', 'finalized')

    def _attempt(
        self, what: str, transition: Callable[[], None], success: str, failure: str
    ) -> TransitionCallbackReturn:
        """Run a transition; rclpy would swallow its exceptions without a word."""
        self._state = what
        try:
            transition()
        except (LlavaPhiError, InvalidTopicNameException) as error:
            self.get_logger().error(f'{what} failed: {error}')
        except Exception:
            self.get_logger().error(f'{what} failed:\n{traceback.format_exc()}')
        else:
            self._state = success
            return TransitionCallbackReturn.SUCCESS
        self._state = failure
        return TransitionCallbackReturn.FAILURE

    def _configure(self) -> None:
        self._parameter_server.declare()
        for sentence in self._parameter_server.misspelt():
            self.get_logger().warning(sentence)
        settings = self._parameter_server.settings
        try:
            for name, own in settings.cameras.items():
                self._cameras[name] = Camera(self, name, settings.topic(name), own, self._time)
            check_decoder()
            find_cv_bridge()  # takes seconds on a small computer: not within the first question
            chosen = settings.node
            self.get_logger().info(f'loading the model {chosen.model}')
            assistant = self._load(
                chosen.model,
                chosen.engine,
                chosen.device,
                chosen.precision,
                self._say_building if chosen.build_plans else None,
            )
            self._answering = Answering(assistant, self._cameras, self._time)
        except BaseException:
            self.close()
            raise
        self._model_info.publish(model_info_message(assistant.identity))
        self.get_logger().info(f'the model {assistant.identity} is loaded')

    def _say_building(self, phase: str, done: int, total: int) -> None:
        model = self._parameter_server.settings.node.model
        status = f'building plans: {phase}, {done} of {total}'
        self._model_info.publish(ModelInfo(name=safe_text(model), status=status))

    def _activate(self) -> None:
        for camera in self._cameras.values():
            camera.open()
        self._worker = Worker(self._serve, self._parameter_server.settings.node.queue_length)

    def _deactivate(self) -> None:
        for camera in self._cameras.values():
            camera.close()
        self._stop_worker('deactivated')
        if self._answering is not None:
            self._answering.forget()

    def _stop_worker(self, why: str) -> None:
        if self._worker is not None:
            self._worker.stop(_not_active(why))
        self._worker = None

    def _serve(self, ticket: Ticket) -> None:
        """Give a ticket its response; runs in the worker's thread."""
        assert self._answering is not None
        try:
            answer = self._answering.answer(ticket)
            if ticket.answer(answer):
                self._answers.publish(answer)
        except RefusalError as refusal:
            ticket.refuse(refusal)
        except Exception as error:
            self.get_logger().error(f'a question failed:\n{traceback.format_exc()}')
            ticket.refuse(_internal_error(error))

    async def _on_ask(self, request: Ask.Request, _: Ask.Response) -> Ask.Response:
        self._unsent += 1
        try:
            response = await self._response_to(request)
        finally:
            self._unsent -= 1
        self._outcomes[error_name(response.error_code) or 'ANSWERED'] += 1
        return response

    async def _response_to(self, request: Ask.Request) -> Ask.Response:
        """Enqueue a request, and return the response when the worker or the watch has given it."""
        response = Future()
        try:
            self._enqueue(request, lambda message: self._resolve(response, message))
        except RefusalError as refusal:
            return refused(refusal.code, refusal.sentence, request.question)
        except QuestionError as error:
            return refused(Ask.Response.INVALID_QUESTION, str(error), request.question)
        except Exception as error:
            self.get_logger().error(f'a request failed:\n{traceback.format_exc()}')
            return refused(Ask.Response.INTERNAL_ERROR, _internal_error(error).sentence, '')
        return await response

    async def _on_change_state(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        """Return the response when the transition was made, or could not be."""
        made = Future()

        def make() -> None:
            try:
                self._change_state(request, response)
            except Exception as error:  # what rclpy raises where it should say no
                self.get_logger().error(f'there is no such transition now: {error}')
                response.success = False
            self._resolve(made, response)

        self._transitions.put(make)
        return await made

    def _resolve(self, future: Future, result: Any) -> None:
        """Give a waiting callback what it waits for; callable from any thread."""
        future.set_result(result)
        # The executor asks after waiting coroutines only when it wakes.
        if self.executor is not None:
            self.executor.wake()

    def _enqueue(self, request: Ask.Request, respond: Callable[[Ask.Response], None]) -> None:
        """Check a request and put it into the queue; raises RefusalError or QuestionError."""
        worker = self._worker
        if self._state != 'active' or worker is None:
            raise _not_active(self._state)
        if self._time.says_nothing:
            raise RefusalError(Ask.Response.NO_CLOCK, NO_CLOCK)
        settings = self._parameter_server.settings
        asked = read_request(
            request,
            default_camera=settings.node.cameras[0],
            max_frame_age=settings.node.max_frame_age,
            timeout=settings.node.default_timeout,
            max_tokens=settings.node.default_max_tokens,
        )
        if asked.camera and asked.camera not in self._cameras:
            known = ', '.join(self._cameras)
            raise RefusalError(
                Ask.Response.UNKNOWN_CAMERA,
                f'there is no camera {asked.camera!r}; there is {known}',
            )
        worker.put(Ticket(asked, self._time.now_ns, respond))
        # One that runs already must not start over: it would never get to its end.
        if self._watch.is_canceled():
            self._watch.reset()

    def _drop_overdue(self) -> None:
        worker = self._worker
        if worker is None or not worker.drop_overdue():
            self._watch.cancel()

    def _report(self) -> None:
        fault, before = self._time.fault(), self._clock_fault
        self._clock_fault = fault
        if fault and not before:
            self.get_logger().warning(fault)
        self._health.publish(
            self._diagnostics.report(
                stamp=self.get_clock().now().to_msg(),
                state=self._state,
                fault=fault,
                waiting=worker.waiting if (worker := self._worker) is not None else 0,
                outcomes=self._outcomes,
                cameras=list(self._cameras.values()),
                max_frame_age=self._parameter_server.settings.node.max_frame_age,
            )
        )


def _not_active(state: str) -> RefusalError:
    return RefusalError(
        Ask.Response.NOT_ACTIVE, f'the node answers only while it is active; it is {state} now'
    )


def _internal_error(error: Exception) -> RefusalError:
    return RefusalError(
        Ask.Response.INTERNAL_ERROR,
        f"a fault of this package ({type(error).__name__}); the node's log has the details",
    )
