"""A scripted stand-in for the assistant, and what the tests of the node share."""

import contextlib
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from helpers import wait_for

from ros2_llava_phi.assistant.answer import Answer, CutShort, ModelIdentity, Timings
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.errors import OutOfTimeError, QuestionError

IDENTITY = ModelIdentity('stand-in', '0123456789abcdef' * 4, 'script', 'fp32', 'cpu', 32, 4, 256)


AT_WORK = 'the stand-in is at work'


@dataclass
class StandInView:
    """A frame that was looked at."""

    frame: Frame
    timings: Timings


class StandIn:
    """
    Answers with the mean colour of the frame, and does what some questions tell it to.

    'hold' and 'hold on' wait for `release` or the end of the time (then raise, or cut short where
    the question is a free text), 'ignore the time' for `release` only, 'fail' raises.
    """

    def __init__(self) -> None:
        self.identity = IDENTITY
        self.looked: list[Frame] = []
        self.views: list[weakref.ref[StandInView]] = []
        self.asked: list[str] = []
        self.release = threading.Event()
        self.threads: set[str] = set()

    def look(self, frame: Frame, decoding: float = 0.0) -> Any:
        self.threads.add(threading.current_thread().name)
        self.looked.append(frame)
        view = StandInView(frame, Timings(encode=0.25 + decoding, prefill_view=0.125))
        self.views.append(weakref.ref(view))
        return view

    def views_kept(self) -> int:
        """Return how many of the views are still in memory."""
        return sum(view() is not None for view in self.views)

    def ask(
        self,
        view: Any,
        question: Question,
        *,
        out_of_time: Callable[[], bool] = lambda: False,
        on_text: Any = None,
    ) -> Answer:
        self.threads.add(threading.current_thread().name)
        self.asked.append(question.text)
        cut = CutShort.COMPLETE
        if question.text.startswith('fail'):
            raise RuntimeError('the stand-in fails as told')
        if question.text.startswith('too long'):
            raise QuestionError('the question takes 300 tokens; 256 fit')
        if question.text.startswith('ignore the time'):
            print(AT_WORK, file=sys.stderr, flush=True)
            self.release.wait(60)
        if question.text.startswith('hold'):
            wait_for(lambda: self.release.is_set() or out_of_time(), 20, 'release')
            if out_of_time():
                if question.kind != Kind.FREE_TEXT:
                    raise OutOfTimeError
                cut = CutShort.TIME_LIMIT
        timings, view.timings = view.timings, Timings()
        colour = view.frame.image.reshape(-1, 3).mean(axis=0)
        allowed = {Kind.YES_NO: ('Yes', 'No'), Kind.CHOICE: question.choices}
        value = {Kind.YES_NO: True, Kind.CHOICE: 1, Kind.NUMBER: 3.0, Kind.FREE_TEXT: None}
        names = allowed.get(question.kind, ())
        return Answer(
            question=question,
            text=' '.join(str(round(channel)) for channel in colour),
            value=value[question.kind],
            confidence=0.75,
            timings=timings,
            prompt_tokens=10,
            answer_tokens=2,
            model=self.identity,
            allowed=names,
            probabilities=tuple(0.5 for _ in names),
            cut_short=cut,
        )


def image_message(colour: tuple[int, int, int], stamp: Any, frame_id: str = 'optical') -> Any:
    """Return a small rgb8 `sensor_msgs/Image` of one colour."""
    from sensor_msgs.msg import Image

    message = Image(height=4, width=6, step=18, encoding='rgb8')
    message.data = np.full((4, 6, 3), colour, np.uint8).tobytes()
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    return message


class Robot:
    """A node under test, its stand-in, and a client beside it; all spin in one thread."""

    def __init__(self, spin: Callable[[Any], None], **parameters: Any) -> None:
        import rclpy
        from llava_phi.msg import Answer as AnswerMessage
        from llava_phi.msg import ModelInfo
        from llava_phi.srv import Ask
        from rclpy.parameter import Parameter
        from rclpy.qos import DurabilityPolicy, QoSProfile

        from ros2_llava_phi.node.vqa_node import VqaNode

        # However slow the machine: frames grow too old only where a test says so.
        parameters = {'max_frame_age': 3600.0, **parameters}
        options = {name: parameters.pop(name) for name in ('namespace',) if name in parameters}
        self.stand_in = StandIn()
        self.load = threading.Event()
        self.load.set()
        self.node = VqaNode(
            self._load,
            parameter_overrides=[
                Parameter(name.replace('__', '.'), value=value)
                for name, value in parameters.items()
            ],
            **options,
        )
        self.peer = rclpy.create_node('peer', **options)
        self.client = self.peer.create_client(
            Ask, 'vqa_node/ask', qos_profile=QoSProfile(depth=100)
        )
        self.answers: list[Any] = []
        self.infos: list[Any] = []
        self.peer.create_subscription(AnswerMessage, 'vqa_node/answers', self.answers.append, 100)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.peer.create_subscription(ModelInfo, 'vqa_node/model_info', self.infos.append, latched)
        self.publishers: dict[str, Any] = {}
        spin(self.node)
        spin(self.peer)
        self.transitions = threading.Thread(target=self.node.make_transitions)
        self.transitions.start()
        assert self.client.wait_for_service(20)

    def _load(self, *arguments: Any) -> Any:
        if on_build := arguments[4]:
            on_build('decoder: Building', 3, 12)
        assert self.load.wait(60)
        return self.stand_in

    def show(self, colour: tuple[int, int, int], camera: str = 'front', stamp: Any = None) -> Any:
        """Publish one frame until the node has it; return its stamp."""
        from sensor_msgs.msg import Image

        if camera not in self.publishers:
            self.publishers[camera] = self.peer.create_publisher(Image, f'{camera}/image_raw', 1)
        publisher = self.publishers[camera]
        wait_for(publisher.get_subscription_count, 20, f'the subscription to {camera}')
        message = image_message(
            colour, stamp or self.node.get_clock().now().to_msg(), f'{camera}_optical'
        )
        seen = self.node._cameras[camera].received
        publisher.publish(message)
        wait_for(lambda: self.node._cameras[camera].received > seen, 20, f'a frame of {camera}')
        return message.header.stamp

    def send(self, question: str, **fields: Any) -> Any:
        """Send a request; return the future response."""
        from builtin_interfaces.msg import Duration
        from llava_phi.srv import Ask

        for name in ('timeout', 'max_frame_age'):
            if name in fields:
                nanoseconds = round(fields[name] * 1e9)
                fields[name] = Duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
        return self.client.call_async(Ask.Request(question=question, **fields))

    def ask(self, question: str, **fields: Any) -> Any:
        """Send a request; return its response."""
        return response(self.send(question, **fields))

    def close(self) -> None:
        """Let the worker go; the nodes are destroyed by who spins them."""
        self.stand_in.release.set()
        self.load.set()
        self.node.stop()
        self.transitions.join()
        self.node.close()


class Reports:
    """What a robot says about itself."""

    def __init__(self, robot: Robot) -> None:
        from diagnostic_msgs.msg import DiagnosticArray

        self.reports: list[Any] = []
        robot.peer.create_subscription(DiagnosticArray, '/diagnostics', self.reports.append, 10)

    def find(self, name: str, level: bytes, key: str, value: str) -> bool:
        """Return whether it was ever said; the key 'message' is the status's own sentence."""
        return any(
            status.name == f'/vqa_node: {name}'
            and status.level == level
            and (
                (key == 'message' and value in status.message)
                or any(pair.key == key and pair.value == value for pair in status.values)
            )
            for report in self.reports
            for status in report.status
        )


def response_to(client: Any, request: Any) -> Any:
    """
    Return the response to a request that may be made twice.

    It is made again and again: a response gets lost while two processes discover each other.
    """
    made: list[Any] = []

    def done() -> Any:
        made.append(client.call_async(request))
        with contextlib.suppress(AssertionError):
            wait_for(made[-1].done, 2, 'the response')
        return [future for future in made if future.done()]

    return wait_for(done, 60, 'any response')[0].result()


def response(future: Any) -> Any:
    """Return the response once it is there."""
    wait_for(future.done, 20, 'the response')
    return future.result()


if __name__ == '__main__':
    from ros2_llava_phi.node.main import main

    def load(model: str, *_: object) -> Any:
        """Return the stand-in; what loads for ever can only be interrupted."""
        if model == 'loads for ever':
            threading.Event().wait()
        return StandIn()

    sys.exit(main(load=load))
