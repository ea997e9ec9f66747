"""Entry point `vqa_node`: the node in a process of its own."""

import signal
import sys
import threading
import time
import traceback
from types import FrameType

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.engine.engine import Progress
from ros2_llava_phi.errors import ParameterError

from .vqa_node import Load, VqaNode

# How long the last responses may take to be sent, in seconds.
LAST_RESPONSES = 2.0

# Signals this close together, in seconds, are one: a terminal and a launch file may both send it.
SAME_SIGNAL = 1.0
# What a client has not taken yet is lost with the process that sent it: seconds to take it.
TAKING = 0.2


def load_model(
    model: str, engine: str, device: str, precision: str, on_build: Progress | None
) -> Assistant:
    """Load an assistant; what runs the model is imported only now, so that the node is up soon."""
    from ros2_llava_phi.assistant.load import load

    return load(model, engine, device, precision, on_build)


def main(args: list[str] | None = None, load: Load = load_model) -> int:
    """
    Run the node until SIGINT or SIGTERM, and return the exit code.

    0: stopped by a signal. 1: it could not bring itself up. 2: a parameter is wrong.
    """
    # rclpy's own handlers would end its context before the last requests are responded to.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = VqaNode(load)
    except ParameterError as error:
        print(f'vqa_node: {error}', file=sys.stderr)
        rclpy.shutdown()
        return 2
    try:
        return _run(node)
    finally:
        node.destroy_node()
        rclpy.shutdown()


def _run(node: VqaNode) -> int:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stopping = threading.Event()
    # The executor spins beside this thread, which makes the transitions: whoever asks while the
    # model loads learns what goes on, and a signal interrupts the loading.
    spinning = threading.Thread(target=_spin, args=(node, executor, stopping), name='vqa_executor')
    spinning.start()
    code = 0
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        if node.autostart and not node.bring_up():
            code = 1
        else:
            node.make_transitions()
    except KeyboardInterrupt:
        pass
    # The executor still spins, and sends what close has to say to those who wait.
    unsent = node.unsent
    node.close()
    deadline = time.monotonic() + LAST_RESPONSES
    while node.unsent and time.monotonic() < deadline:
        time.sleep(0.01)
    if unsent:
        time.sleep(TAKING)
    stopping.set()
    # A task, as the executor does not return when it is only woken.
    executor.create_task(lambda: None)
    spinning.join()
    executor.shutdown()
    return code


def _spin(node: VqaNode, executor: SingleThreadedExecutor, stopping: threading.Event) -> None:
    """Run callbacks until told to stop; one that raises does not take the node down."""
    while not stopping.is_set():
        try:
            executor.spin_once()
        except ExternalShutdownException:
            break
        except Exception:
            node.get_logger().error(f'a callback failed:\n{traceback.format_exc()}')
    node.end_transitions()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt the main thread; who signals again later ends the process on the spot."""
    interrupted = time.monotonic()

    def insist(number: int, frame: FrameType | None) -> None:
        if time.monotonic() - interrupted > SAME_SIGNAL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, insist)
    raise KeyboardInterrupt


if __name__ == '__main__':
    sys.exit(main())
