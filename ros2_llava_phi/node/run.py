"""Run the node: from the arguments to the last response."""

import itertools
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import rclpy
import rclpy.logging
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import LoggingSeverity
from rclpy.signals import SignalHandlerOptions

from ros2_llava_phi.errors import FileError, ParameterError
from ros2_llava_phi.files.yaml_file import read_yaml

from .vqa_node import Load, VqaNode

# How long the step that the model is at may take once a signal came, in seconds. It is less than
# the 5 s after which `ros2 launch` insists, and half of the 10 s after which it kills.
LAST_STEP = 4.0
# How long the last responses may take to be sent, in seconds.
LAST_RESPONSES = 2.0
# What a client has not taken yet is lost with the process that sent it: seconds to take it.
TAKING = 0.2

PARAMS_FILE = "a params file looks like '/**: {ros__parameters: {cameras: [front]}}'"
# How what rcl cannot parse is written.
HINTS = {
    'parameter override rule': '-p model:=llava-phi-tiny',
    'remap rule': '-r __ns:=/robot1',
    'log level': '--log-level debug, info, warn, error or fatal',
}


def run(args: list[str] | None, load: Load, signals: 'SimpleQueue[int]') -> tuple[int, bool]:
    """
    Run the node until a signal stands in the queue.

    Returns the exit code (see `main`), and whether all threads have ended: those that are at a
    long step of the model are not waited for.
    """
    try:
        # What rcl finds wrong with the arguments is said below.
        rclpy.logging.set_logger_level('rcl', LoggingSeverity.FATAL)
        # rclpy's own handlers would end its context before the last requests are responded to.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        rclpy.logging.set_logger_level('rcl', LoggingSeverity.UNSET)
        node = VqaNode(load)
    except (ParameterError, ParameterException, NameValidationException, RuntimeError) as error:
        print(f'vqa_node: {sentence(error)}', file=sys.stderr)
        rclpy.try_shutdown()
        return 2, True
    for warning in unheard(sys.argv if args is None else args, node.get_fully_qualified_name()):
        node.get_logger().warning(warning)
    try:
        return _run(node, signals)
    finally:
        node.destroy_node()
        rclpy.shutdown(uninstall_handlers=False)


def sentence(error: Exception) -> str:
    """Return in one line what an error says; rcl adds where in its sources it was found."""
    text = ' '.join(str(error).split()).removeprefix('failed to initialize rcl: ')
    text = re.sub(r', at \S+:\d+', '', text)
    if file := re.fullmatch(
        r"Couldn't parse params file: '--params-file (.*)'. Error: (.*)", text
    ):
        why = re.sub('Error parsing an? event', 'it is not YAML', file[2])
        return f'the params file {file[1]} cannot be used: {why}; {PARAMS_FILE}'
    if type(error).__name__ == 'UnknownROSArgsError':
        text = f'there are no such ROS arguments: {text}'
    hint = next((hint for what, hint in HINTS.items() if f"Couldn't parse {what}" in text), '')
    return f'{text}; write it like {hint}' if hint else text


def unheard(arguments: Sequence[str], node: str) -> list[str]:
    """
    Return a sentence for every params file that says nothing about a node of that full name.

    Names of nodes stand above `ros__parameters`, in one key or nested; * is any part of a name,
    and ** any number of parts: https://design.ros2.org/articles/160_ros_command_line_arguments.html
    """
    sentences = []
    for option, file in itertools.pairwise(arguments):
        if option != '--params-file':
            continue
        try:
            names = list(_nodes(read_yaml(Path(file))))
        except FileError:  # rcl could read it
            continue
        if names and not any(re.fullmatch(_pattern(name), node) for name in names):
            sentences.append(
                f'the params file {file} says nothing about {node}, but about {", ".join(names)}; '
                '/** is any node'
            )
    return sentences


def _nodes(content: Any, above: str = '') -> Iterator[str]:
    for key, value in content.items() if isinstance(content, dict) else ():
        if key == 'ros__parameters':
            yield above
        else:
            yield from _nodes(value, f'{above}/{str(key).strip("/")}')


def _pattern(name: str) -> str:
    *above, last = (re.escape(part) for part in name.strip('/').split('/'))
    front = (r'(.+/)?' if part == r'\*\*' else f'{part}/' for part in above)
    pattern = '/' + ''.join(front) + last
    return pattern.replace(r'\*\*', '.+').replace(r'\*', '[^/]+')


def _run(node: VqaNode, signals: 'SimpleQueue[int]') -> tuple[int, bool]:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stopping = threading.Event()
    # The executor spins beside this thread, which makes the transitions: whoever asks while the
    # model loads learns what goes on.
    spinning = threading.Thread(target=_spin, args=(node, executor, stopping), name='vqa_executor')
    spinning.start()
    threading.Thread(target=_stop_on_signal, args=(node, signals), daemon=True).start()
    code = 1
    if not node.autostart or node.bring_up():
        node.make_transitions()
        code = 0
    # The executor still spins, and sends what close has to say to those who wait.
    unsent = node.unsent
    ended = node.close(LAST_STEP)
    deadline = time.monotonic() + LAST_RESPONSES
    while node.unsent and time.monotonic() < deadline:
        time.sleep(0.01)
    if unsent:
        time.sleep(TAKING)
    stopping.set()
    # A task, as the executor does not return when it is only woken.
    executor.create_task(lambda: None)
    spinning.join()
    # Humble would wait for what nobody responds to any more, such as an interrupted transition.
    executor.shutdown(timeout_sec=0.0)
    return code, ended


def _stop_on_signal(node: VqaNode, signals: 'SimpleQueue[int]') -> None:
    signals.get()
    node.stop()


def _spin(node: VqaNode, executor: SingleThreadedExecutor, stopping: threading.Event) -> None:
    """Run callbacks until told to stop; one that raises does not take the node down."""
    while not stopping.is_set():
        try:
            executor.spin_once()
        except ExternalShutdownException:
            break
        except Exception:
            node.get_logger().error(f'a callback failed:\n{traceback.format_exc()}')
    node.stop()
