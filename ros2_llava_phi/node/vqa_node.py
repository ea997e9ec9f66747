"""The lifecycle node: parameters, transitions, and the service that takes questions."""

import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from llava_phi.msg import Answer as AnswerMessage
from llava_phi.msg import ModelInfo
from llava_phi.srv import Ask
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidTopicNameException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from std_srvs.srv import Trigger

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.client.ask_client import BURST, error_name
from ros2_llava_phi.engine.engine import Progress
from ros2_llava_phi.errors import LlavaPhiError, ParameterError, QuestionError
from ros2_llava_phi.imaging.jpeg import check_decoder
from ros2_llava_phi.imaging.ros_cv_bridge import find_cv_bridge

from .answering import Answering, RefusalError, Ticket, Worker
from .bond import ManagerBond
from .cameras import Camera
from .diagnostics import PERIOD, Diagnostics
from .loading import Loading
from .messages import model_info_message, read_request, refused, safe_text
from .node_clock import NO_CLOCK, NodeClock
from .parameter_server import ParameterServer
from .transitions import Transitions

# How far beyond its time-out a waiting question may get its refusal, in seconds.
WATCH_PERIOD = 0.05

Load = Callable[[str, str, str, str, Progress | None, int], Assistant]


class VqaNode(LifecycleNode):
    """
    Answer questions about what cameras see.

    Configuring loads the model and subscribes to the cameras, activating takes questions,
    deactivating refuses those still open and forgets all frames, cleaning up frees the model.

    An executor runs the callbacks, which are all short. Transitions take longer: those that a
    lifecycle manager asks for are made by the thread that calls `make_transitions`. A model is
    loaded in a thread of its own, so that a load can be aborted.
    """

    def __init__(self, load: Load, node_name: str = 'vqa_node', **options: Any) -> None:
        """
        Make the node, unconfigured.

        load: does what `assistant.load.load` does, with its arguments in its order.
        options: those of rclpy's Node.

        Raises ParameterError if a parameter is wrong.
        """
        try:
            super().__init__(
                node_name, automatically_declare_parameters_from_overrides=True, **options
            )
        except ValueError as error:
            # rclpy cannot tell the type of an empty list.
            given = self._parameter_overrides.items()
            empty = [name for name, parameter in given if parameter.value is None]
            if not empty:
                raise
            raise ParameterError(
                f'the parameter {", ".join(empty)} cannot be an empty list; leave it out, or say '
                'what it holds'
            ) from error
        self._load = load
        self._state = 'unconfigured'
        self._cameras: dict[str, Camera] = {}
        self._worker: Worker | None = None
        self._bond = ManagerBond(self)
        self._loading: Loading | None = None
        self._stopping = False
        self._answering: Answering | None = None
        self._outcomes: Counter[str] = Counter()
        self._unsent = 0
        self._time = NodeClock(self.get_clock())
        self._clock_fault = ''
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
        self.create_service(Trigger, '~/abort_loading', self._on_abort_loading)
        self._transitions = Transitions(self, self._resolve, self.abort_loading)

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """Set parameters, one after another."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set all parameters, or none; those of a camera come and go with it."""
        self._parameter_server.before_change(parameter.name for parameter in parameter_list)
        result = super().set_parameters_atomically(parameter_list)
        self._parameter_server.after_change()
        return result

    @property
    def autostart(self) -> bool:
        """Return whether the node is to bring itself up."""
        return self._parameter_server.settings.node.autostart

    @property
    def unsent(self) -> int:
        """Return how many requests have not been responded to; it takes the executor to do so."""
        return self._unsent

    def bring_up(self) -> bool:
        """Configure and activate; return whether that worked, or was aborted on request."""
        done = (
            self.trigger_configure() == TransitionCallbackReturn.SUCCESS
            and self.trigger_activate() == TransitionCallbackReturn.SUCCESS
        )
        return done or (self._loading is not None and self._loading.aborted)

    def make_transitions(self) -> None:
        """Make the transitions that a lifecycle manager asks for, until `stop`."""
        self._transitions.make()

    def stop(self) -> None:
        """Abort a load, make no more transitions, and have `make_transitions` return."""
        self._stopping = True
        self.abort_loading()
        self._transitions.stop()

    def abort_loading(self) -> bool:
        """Have a node that loads its model fail to configure; return whether it was loading."""
        return self._state == 'configuring' and self._loading is not None and self._loading.abort()

    def close(self, patience: float | None = None) -> bool:
        """
        Refuse what is open, end the worker and free everything, in whatever state.

        patience: seconds to wait for the step that the model is at; None: for as long as it takes.
        Returns whether the model is at no step any more.
        """
        self._state = 'shutting down'
        ended = self._stop_worker(self._state, patience)
        self._bond.leave()
        self._answering = None
        cameras, self._cameras = self._cameras, {}
        for camera in cameras.values():
            camera.destroy()
        if patience is not None and self._loading is not None:
            ended = self._loading.ended(patience) and ended
        return ended

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
        self, what: str, transition: Callable[[], object], success: str, failure: str
    ) -> TransitionCallbackReturn:
        """Run a transition; rclpy would swallow its exceptions without a word."""
        self._state = what
        try:
            transition()
        except CancelledError:
            self.get_logger().warning(f'{what} was aborted')
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
        # First of all, so that it can be aborted from now on.
        self._loading = loading = Loading(self._load_model, after=self._loading)
        if self._stopping:
            loading.abort()
        for sentence in self._parameter_server.misspelt():
            self.get_logger().warning(sentence)
        settings = self._parameter_server.settings
        try:
            for name, own in settings.cameras.items():
                self._cameras[name] = Camera(self, name, settings.topic(name), own, self._time)
            check_decoder()
            find_cv_bridge()  # takes seconds on a small computer: not within the first question
            self.get_logger().info(f'loading the model {settings.node.model}')
            loading.start()
            assistant = loading.result()
            self._answering = Answering(assistant, self._cameras, self._time)
        except BaseException:
            self.close()
            raise
        self._model_info.publish(model_info_message(assistant.identity))
        self.get_logger().info(f'the model {assistant.identity} is loaded')

    def _load_model(self, loading: Loading) -> Assistant:
        """Load what the parameters say; runs in the thread of the load."""
        chosen = self._parameter_server.settings.node

        def say(phase: str, done: int, total: int) -> None:
            loading.check()
            status = f'building plans: {phase}, {done} of {total}'
            self._model_info.publish(ModelInfo(name=safe_text(chosen.model), status=status))

        return self._load(
            chosen.model,
            chosen.engine,
            chosen.device,
            chosen.precision,
            say if chosen.build_plans else None,
            chosen.threads,
        )

    def _activate(self) -> None:
        self._bond.join()
        for camera in self._cameras.values():
            camera.open()
        self._worker = Worker(self._serve, self._parameter_server.settings.node.queue_length)

    def _deactivate(self) -> None:
        for camera in self._cameras.values():
            camera.close()
        self._stop_worker('deactivated')
        if self._answering is not None:
            self._answering.forget()
        self._bond.leave()

    def _stop_worker(self, why: str, patience: float | None = None) -> bool:
        worker, self._worker = self._worker, None
        return worker is None or worker.stop(_not_active(why), patience)

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

    def _on_abort_loading(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        state = self._state
        response.success = self.abort_loading()
        response.message = (
            'the load is aborted; the node comes to rest unconfigured'
            if response.success
            else f'nothing is being loaded; the node is {state}'
        )
        return response

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
