"""The transitions that a lifecycle manager asks for, made by a thread that has time for them."""

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future

# What a lifecycle manager may call a shutdown.
SHUTDOWNS = {
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    Transition.TRANSITION_INACTIVE_SHUTDOWN,
    Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


class Transitions:
    """
    What a node's service `change_state` is asked for, one after another.

    rclpy would make transitions in the executor, and answer nobody meanwhile.
    """

    def __init__(
        self,
        node: LifecycleNode,
        resolve: Callable[[Future, Any], None],
        abort_loading: Callable[[], bool],
    ) -> None:
        """
        Take over the service.

        resolve: gives a callback that waits for a future its result, from any thread.
        abort_loading: has a node that loads its model fail to configure, and says whether it was.
        """
        self._node = node
        self._resolve = resolve
        self._abort_loading = abort_loading
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._stopping = False
        self._shutdowns: set[Future] = set()  # those that wait
        service: Any
        (service,) = (one for one in node.services if one.srv_type is ChangeState)
        self._change_state, service.callback = service.callback, self._on_change_state
        # A shutdown is heard while another transition is being made.
        service.callback_group = ReentrantCallbackGroup()
        service.callback_group.add_entity(service)

    def make(self) -> None:
        """Make the transitions in this thread, until `stop`."""
        while (transition := self._waiting.get()) is not None:
            transition()

    def stop(self) -> None:
        """Make no more transitions, and have `make` return; callable from any thread."""
        self._stopping = True
        self._waiting.put(None)

    async def _on_change_state(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        """
        Return the response when the transition was made, or could not be.

        A shutdown aborts a load, and has those that wait before it not begin.
        """
        made = Future()
        wanted = request.transition
        is_shutdown = wanted.label == 'shutdown' or wanted.id in SHUTDOWNS
        if is_shutdown:
            self._shutdowns.add(made)
            if self._abort_loading() or not self._waiting.empty():
                wanted.label = 'shutdown'  # from the state that the node comes to rest in
        loads = wanted.label == 'configure' or wanted.id == Transition.TRANSITION_CONFIGURE

        def make() -> None:
            try:
                self._shutdowns.discard(made)
                if self._stopping:
                    raise RuntimeError('the node is being stopped')
                if loads and self._shutdowns:
                    raise RuntimeError('the node is to shut down')
                self._change_state(request, response)
            except Exception as error:  # what rclpy raises where it should say no
                self._node.get_logger().error(f'there is no such transition now: {error}')
                response.success = False
            self._resolve(made, response)

        self._waiting.put(make)
        return await made
