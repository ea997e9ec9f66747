"""
The launch file in the real launch, asked by the real ros2: `launch_test tests/launch_vqa.py`.

test_launch.py runs it, where both are installed.
"""

import re
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

import launch_testing
import launch_testing.actions
import launch_testing.asserts
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import SetParameter

from launch import LaunchDescription
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.client.process import running_player

ROOT = Path(__file__).parent.parent
DRIVE = ROOT / 'ros2_llava_phi' / 'data' / 'drive'
CAMERAS = 'front=/front/image_raw/compressed rear=/rear/image_raw/compressed'
START_S = 120.0


def generate_test_description() -> LaunchDescription:
    """Start the launch file as two robots would; only the first has cameras of its own."""
    vqa = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(ROOT / 'launch' / 'vqa.launch.py')),
        launch_arguments={
            'cameras': CAMERAS,
            'transport': 'compressed',
            'namespace': 'robot1',
            'node_name': 'eyes',
        }.items(),
    )
    second = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(ROOT / 'launch' / 'vqa.launch.py')),
        launch_arguments={'namespace': 'robot2', 'autostart': 'false'}.items(),
    )
    scoped = GroupAction([SetParameter('queue_length', 3), second])
    return LaunchDescription([GroupAction([vqa]), scoped, launch_testing.actions.ReadyToTest()])


def ros2(*arguments: str) -> str:
    """Return what the command says, on both streams; it may fail."""
    done = subprocess.run(['ros2', *arguments], capture_output=True, text=True, timeout=START_S)
    return done.stdout + done.stderr


def ask(fields: str) -> str:
    """Ask the node; return the response as ros2 shows it, behind the request."""
    said = ros2('service', 'call', '/robot1/eyes/ask', 'llava_phi/srv/Ask', f'{{{fields}}}')
    return said.partition('response:')[2] or said


class TestTheNode(unittest.TestCase):
    def wait_for(self, words: str, noun: str, verb: str, node: str, *arguments: str) -> None:
        """Give a command until it says so; it may take a while to discover the node."""
        deadline = time.monotonic() + START_S
        said = ''
        while words not in said:
            self.assertLess(time.monotonic(), deadline, said)
            said = ros2(noun, verb, '--no-daemon', '--spin-time', '2', node, *arguments)

    def test_it_is_up_and_answers(self) -> None:
        eyes, second = '/robot1/eyes', '/robot2/vqa_node'
        self.wait_for('active [3]', 'lifecycle', 'get', eyes)
        self.wait_for('/rear/image_raw/compressed', 'param', 'get', eyes, 'rear.topic')
        self.wait_for("['front']", 'param', 'get', second, 'cameras')
        self.wait_for('3', 'param', 'get', second, 'queue_length')
        # A camera that comes later has its own parameters.
        self.wait_for('unconfigured', 'lifecycle', 'get', second)
        self.wait_for('successful', 'param', 'set', second, 'cameras', '[front, left]')
        self.wait_for('successful', 'param', 'set', second, 'left.topic', '/left')
        refused = ask("question: 'Is there a car?', kind: 1, camera: left")
        self.assertIn('error_code=4', refused)
        with running_player(DRIVE, sys.stderr) as player:
            shift_ns = player.wait_for_start()
            answered = ask(
                "question: 'Is there a car?', kind: 1, camera: rear, max_frame_age: {sec: 60}"
            )
        self.assertIn('error_code=0', answered)
        self.assertRegex(answered, "text='(Yes|No)'|abstained=True")
        # It is about a frame of that camera, and of no other.
        self.assertIn("frame_id='rear_optical'", answered)
        stamp = re.search(r'sec=(\d+), nanosec=(\d+)', answered)
        assert stamp is not None
        looked_at_ns = int(stamp[1]) * 10**9 + int(stamp[2]) - shift_ns
        stamps = {
            frame.stamp_ns
            for frame in Recording(DRIVE).frames({'rear': '/rear/image_raw/compressed'})
        }
        self.assertIn(looked_at_ns, stamps)


@launch_testing.post_shutdown_test()
class TestTheEnd(unittest.TestCase):
    def test_it_ends_cleanly(self, proc_info: Any) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
