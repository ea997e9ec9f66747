"""
A node with the face of vqa_node and a script for a brain, as a program for tests.

It answers every question with what it says itself: 'Is it red?' is answered by the middle of the
newest frame, 'silence' is never answered, 'again: X' with X, and any other by its own text. What
it is told to be slow with, it is: `wait 0.2` takes that many seconds. It says that 'of X' was
answered by the camera X, whoever was asked.
"""

import re
import sys
import time
from contextlib import suppress
from functools import partial

import cv2
import numpy as np
import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from llava_phi.msg import Answer, ModelInfo
from llava_phi.srv import Ask
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from rclpy.time import Time
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import CompressedImage

NOTHING = 'the middle of the picture is black'


class ScriptedNode(Node):
    """The services, topics and parameters of vqa_node that the demonstration uses."""

    def __init__(self, context: Context | None = None) -> None:
        super().__init__('vqa_node', context=context)
        self.frames: dict[str, CompressedImage] = {}
        self.cameras: list[str] = self.declare_parameter('cameras', ['camera']).value
        for camera in self.cameras:
            topic = self.declare_parameter(f'{camera}.topic', f'/{camera}').value
            self.declare_parameter(f'{camera}.transport', 'compressed')
            self.create_subscription(
                CompressedImage,
                topic,
                partial(self.frames.__setitem__, camera),
                QoSProfile(depth=1),
            )
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.model_info = self.create_publisher(ModelInfo, '~/model_info', latched)
        self.model_info.publish(
            ModelInfo(status='ready', name='scripted', weights_hash='0123456789abcdef')
        )
        self.create_service(GetState, '~/get_state', self.get_state)
        self.create_service(Ask, '~/ask', self.ask, callback_group=ReentrantCallbackGroup())

    def get_state(self, _: GetState.Request, response: GetState.Response) -> GetState.Response:
        response.current_state = State(id=State.PRIMARY_STATE_ACTIVE, label='active')
        return response

    async def ask(self, request: Ask.Request, response: Ask.Response) -> Ask.Response:
        if request.question == 'silence':
            await Future(executor=self.executor)
        if match := re.fullmatch(r'wait ([\d.]+)', request.question):
            time.sleep(float(match[1]))
        response.answer = Answer(question=request.question, kind=request.kind)
        response.answer.text = request.question.removeprefix('again: ')
        camera = request.camera or self.cameras[0]
        if camera not in self.cameras:
            response.error_code = Ask.Response.UNKNOWN_CAMERA
            response.error_text = f'there is no camera {camera!r}; there is {self.cameras}'
        elif camera in self.frames:
            self.look(camera, response.answer)
        if match := re.fullmatch(r'of (\w+)', request.question):
            response.answer.camera = match[1]
        return response

    def look(self, camera: str, answer: Answer) -> None:
        frame = self.frames[camera]
        picture = np.asarray(cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR))
        blue, _, red = picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)
        answer.camera = camera
        answer.header = frame.header
        age = self.get_clock().now() - Time.from_msg(frame.header.stamp)
        answer.frame_age = age.to_msg()
        if answer.question != 'Is it red?':
            return
        if max(blue, red) < 20:
            answer.abstained, answer.abstain_reason = True, NOTHING
            return
        answer.yes = bool(red > blue)
        answer.text = 'Yes' if answer.yes else 'No'
        answer.confidence = 0.9
        answer.allowed_answers = ['Yes', 'No']
        answer.probabilities = [0.9, 0.1] if answer.yes else [0.1, 0.9]


def main() -> None:
    if 'fail' in sys.argv:
        sys.exit('the script says that the node fails')
    rclpy.init()
    # rclpy handles SIGINT and SIGTERM, and wakes the executor.
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(ScriptedNode())
    try_shutdown()


if __name__ == '__main__':
    main()
