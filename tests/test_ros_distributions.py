"""What is used of ROS 2, every distribution offers: the check itself, by violations planted."""

from pathlib import Path

import pytest
import ros_api
from helpers import imports
from python_sources import Sources

OFFERS = ros_api.read_list(ros_api.LIST.read_text())
FILE = 'ros2_llava_phi/node/planted.py'
WRITE_ANEW = 'is not in tools/ros_api.txt yet; write it anew'
# A class as this package has them, that keeps a node.
KEEPER = """\
from rclpy.node import Node

class Keeper:
    def __init__(self, node: Node) -> None:
        self._node, self.name = node, 'keeper'
"""


def faults(root: Path, files: dict[str, str]) -> list[str]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return ros_api.faults(ros_api.our_uses(root, OFFERS.returns.get), OFFERS, root)


@pytest.mark.parametrize(
    ('text', 'line', 'said'),
    [
        ('from rclpy.clock_type import ClockType', 1, 'humble has no rclpy.clock_type'),
        ('import rclpy.clock_type', 1, 'humble has no rclpy.clock_type'),
        ('import rclpy\nkind = rclpy.clock_type.ClockType', 2, 'humble has no rclpy.clock_type'),
        ('from rclpy import clock_type as kinds', 1, 'humble has no rclpy.clock_type'),
        ('import rclpy as ros\nkind = ros.clock_type.ClockType', 2, 'humble has no rclpy.clock'),
        ('def later():\n    import rclpy.event_handler', 2, 'humble has no rclpy.event_handler'),
        ('from rclpy.qos_event import QoSEventHandler', 1, 'jazzy and kilted and rolling have no'),
        ('from rclpy.experimental import EventsExecutor', 1, 'humble and jazzy and rolling have'),
        ('from launch.substitutions import EqualsSubstitution', 1, 'humble has no launch.subst'),
        ('from launch_ros.actions import SetROSLogDir', 1, 'humble has no launch_ros.actions'),
        (
            'import pytest\nkinds = pytest.importorskip("rclpy.clock_type")',
            2,
            'humble has no rclpy.clock_type',
        ),
        (
            'from rclpy.node import Node\n\ndef f(node: Node):\n    node.count_clients("/ask")',
            4,
            'humble has no rclpy.node.Node.count_clients',
        ),
        (
            'from rclpy.node import Node as Robot\n\ndef f(node: "Robot | None"):\n'
            '    node.count_clients("/ask")',
            4,
            'humble has no rclpy.node.Node.count_clients',
        ),
        (
            KEEPER + '        self._node.wait_for_node("other", 1.0)',
            6,
            'humble has no rclpy.node.Node.wait_for_node',
        ),
        (
            KEEPER + '\ndef f(keepers: dict[str, Keeper]):\n'
            '    return [one._node.count_services("/ask") for one in keepers.values()]',
            8,
            'humble has no rclpy.node.Node.count_services',
        ),
        (
            'from rclpy.lifecycle import LifecycleNode\n\nclass Eyes(LifecycleNode):\n'
            '    def look(self):\n        return self.count_clients("/ask")',
            5,
            'humble has no rclpy.lifecycle.LifecycleNode.count_clients',
        ),
        (
            'from typing import Any\n\ndef f(node: Any):\n    return node.count_clients("/ask")',
            4,
            'humble has no class with count_clients (is the object none of theirs? annotate it)',
        ),
        (
            'def f(node):\n    return getattr(node, "count_clients")("/ask")',
            2,
            'humble has no class with count_clients',
        ),
        ('kinds = __import__("rclpy.clock_type")', 1, 'humble has no rclpy.clock_type'),
        *(
            (
                f'from typing import TypeVar, Union\nfrom rclpy.node import Node\n{text}',
                3 + text.count('\n'),
                'humble has no ',
            )
            for text in (
                'def f(node: Union[None, Node]):\n    node.count_clients("/ask")',
                'T = TypeVar("T", bound=Node)\ndef f(node: T):\n    node.count_clients("/ask")',
                'def f(node: Node):\n    return lambda count=node.count_clients: count("/ask")',
                'def f(node):\n    match node:\n        case Node(count_clients=it): return it',
            )
        ),
        (
            'from rclpy.clock import Clock\nClock(clock_kind=1)',
            2,
            f'rclpy.clock.Clock(clock_kind) {WRITE_ANEW}',
        ),
        (
            'import rclpy\nnode = rclpy.create_node("a", enable_logger_service=True)',
            2,
            f'rclpy.create_node(enable_logger_service) {WRITE_ANEW}',
        ),
        (
            'from rclpy.node import Node\n\ndef f(node: Node):\n    node.get_clock().sleep_long()',
            4,
            f'rclpy.clock.Clock.sleep_long {WRITE_ANEW}',
        ),
        (
            'from rclpy.action import ActionServer',
            1,
            f'rclpy.action.ActionServer {WRITE_ANEW}',
        ),
    ],
)
def test_what_a_distribution_lacks_is_refused_with_file_line_and_name(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    (sentence, *_) = [
        sentence
        for sentence in faults(tmp_path, {FILE: text + '\n'})
        if sentence.startswith(f'{FILE}:{line}: ')
    ]
    assert said in sentence


@pytest.mark.parametrize(
    'text',
    [
        'from rclpy.clock import Clock, ClockType\nClock(clock_type=ClockType.STEADY_TIME).now()',
        # Its own, and none of theirs.
        'class Census:\n    def count_clients(self):\n        ...\n\nCensus().count_clients()',
        'def f(node):\n    return hasattr(node, "count_clients")',
        'from pathlib import Path\n\ndef f(path: Path):\n    return path.count_clients',
    ],
)
def test_what_all_offer_and_what_is_none_of_theirs_passes(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, {FILE: text + '\n'}) == []


def test_beside_the_package_unknown_objects_are_theirs_where_a_file_imports_theirs(
    tmp_path: Path,
) -> None:
    text = 'def f(node):\n    return node.count_clients\n'
    assert faults(tmp_path, {'tests/test_a.py': text}) == []
    (sentence,) = faults(tmp_path, {'tests/test_a.py': f'import rclpy\n{text}'})
    assert sentence.startswith('tests/test_a.py:3: humble has no class with count_clients')


GUARDED = """\
from typing import Any

from rclpy.node import Node

try:
    from rclpy.clock_type import ClockType
except ImportError:
    from rclpy.clock import ClockType


def count(node: Node) -> Any:
    if hasattr(node, 'count_clients'):
        return node.count_clients
    return None
"""


def test_what_a_distribution_lacks_may_stand_guarded_and_in_the_seam_only(tmp_path: Path) -> None:
    assert faults(tmp_path / 'guarded', {ros_api.SEAM: GUARDED}) == []
    elsewhere = faults(tmp_path / 'elsewhere', {FILE: GUARDED})
    assert [sentence.split(': ')[0] for sentence in elsewhere] == [f'{FILE}:6', f'{FILE}:13']
    bare = GUARDED.replace("if hasattr(node, 'count_clients'):", 'if node:')
    (sentence,) = faults(tmp_path / 'bare', {ros_api.SEAM: bare})
    assert sentence.startswith(f'{ros_api.SEAM}:13: humble has no rclpy.node.Node.count_clients')


OLD = {
    'rclpy/__init__.py': 'from .robot import Robot\n',
    'rclpy/robot.py': 'class Base:\n    def __init__(self): ...\n'
    '    def spin(self, seconds): ...\n'
    'class Robot(Base):\n    def __init__(self, name, **kwargs): ...\n',
}
NEW = {
    'rclpy/__init__.py': 'from .robot import Robot\nfrom .arm import Arm\n',
    'rclpy/arm.py': 'class Arm:\n    def reach(self) -> int: ...\n',
    'rclpy/robot.py': 'from .arm import Arm\n'
    'class Base:\n    def __init__(self, *, colour="red"): ...\n'
    '    def spin(self, seconds, *, way="left"): ...\n'
    'class Robot(Base):\n    def __init__(self, name, **kwargs): ...\n'
    '    def arm(self) -> Arm: ...\n',
}
USER = """\
from rclpy import Robot
robot = Robot('r2', colour='blue')
robot.spin(1.0, way='right')
robot.arm().reach()
"""


def test_the_list_says_who_offers_what_by_their_sources(tmp_path: Path) -> None:
    distributions = {}
    for name, files in (('old', OLD), ('new', NEW)):
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        distributions[name] = Sources({'rclpy': tmp_path / name / 'rclpy'})
    (tmp_path / 'ours' / 'ros2_llava_phi').mkdir(parents=True)
    (tmp_path / 'ours' / 'ros2_llava_phi' / 'user.py').write_text(USER)
    offers = ros_api.compare(
        tmp_path / 'ours', distributions, {'old': 'rclpy 1', 'new': 'rclpy 2'}
    )
    text = ros_api.write_list(offers)
    assert text.splitlines()[2:] == [
        '#   old: rclpy 1',
        '#   new: rclpy 2',
        '*.arm: new',
        '*.reach: new',
        'rclpy.Arm: new',
        'rclpy.Robot: all',
        'rclpy.Robot(1): all',
        'rclpy.Robot(colour): new',
        'rclpy.Robot.arm -> rclpy.arm.Arm: new',
        'rclpy.Robot.spin: all',
        'rclpy.Robot.spin(1): all',
        'rclpy.Robot.spin(way): new',
        'rclpy.arm: new',
        'rclpy.arm.Arm.reach: new',
    ]
    assert ros_api.read_list(text) == offers
    said = ros_api.faults(
        ros_api.our_uses(tmp_path / 'ours', offers.returns.get), offers, tmp_path / 'ours'
    )
    assert [sentence.split('; ')[0].partition('user.py:')[2] for sentence in said] == [
        '2: old has no rclpy.Robot(colour)',
        '3: old has no rclpy.Robot.spin(way)',
        '4: old has no rclpy.Robot.arm',
        '4: old has no rclpy.arm.Arm.reach',
    ]


def test_humble_jazzy_kilted_and_rolling_were_read() -> None:
    assert list(OFFERS.read) == ['humble', 'jazzy', 'kilted', 'rolling']
    assert all('rclpy' in read and 'launch_ros' in read for read in OFFERS.read.values())


def test_every_file_that_imports_of_theirs_is_looked_into() -> None:
    files = [
        file
        for folder in (
            'ros2_llava_phi',
            'launch',
            'tests',
            'benchmarks',
            'tools',
            'tiny',
            'training',
        )
        for file in (ros_api.ROOT / folder).rglob('*.py')
        if any(name.split('.')[0] in ros_api.PACKAGES for name in imports(file))
    ]
    found = ros_api.our_uses(ros_api.ROOT, OFFERS.returns.get)
    assert len(files) > 20
    assert {use.path for use in found if not use.name.startswith('*.')} >= set(files)
    # What the list does not say is a fault: no list, no check that passes.
    nothing = ros_api.faults(found, ros_api.read_list(''), ros_api.ROOT)
    assert all(WRITE_ANEW in sentence for sentence in nothing)
    assert {ros_api.ROOT / sentence.split(':')[0] for sentence in nothing} >= set(files)
