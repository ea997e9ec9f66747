"""Fixtures that several test modules share.

Tests that take `ros`, or anything built upon it, run on a DDS domain of their own, on this machine
only. They are skipped where no ROS 2 is sourced.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# As Humble does by itself: a field of a wrong type is an error. Read when messages are imported.
os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'
# Not as pytest's option `pythonpath`, which Humble's pytest does not know.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'tools'))
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / 'benchmarks'))
sys.path.insert(2, str(Path(__file__).resolve().parent.parent))  # for tiny
sys.path.insert(3, str(Path(__file__).resolve().parent))

import tiers
from ros_domain import own_domain

if TYPE_CHECKING:
    from node_stand_in import Robot
    from rclpy.context import Context
    from rclpy.node import Node

# A shell has Ctrl-C ignored by what it starts in the background, and so by all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Several tests run at once, so PyTorch gets one thread, and each worker one core, which leaves
# ONNX Runtime one thread. Both hold for the processes that tests start, too.
os.environ['OMP_NUM_THREADS'] = '1'
if worker := os.environ.get('PYTEST_XDIST_WORKER'):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix('gw')) % len(cores)]})

# What a machine may lack: requirements/robot-extras.txt, train.txt and dev.txt have it, or ROS 2.
MAY_LACK = {
    *(
        'accelerate',
        'av',
        'catkin_pkg',
        'importlinter',
        'jinja2',
        'lz4',
        'markupsafe',
        'matplotlib',
    ),
    *('mcap', 'ml_dtypes', 'onnx', 'onnx_ir', 'onnxscript', 'peft', 'rich', 'rosbags'),
    *('safetensors', 'sybil', 'torch', 'tqdm', 'transformers', 'typer', 'zstandard'),
    *('builtin_interfaces', 'diagnostic_msgs', 'launch', 'lifecycle_msgs', 'llava_phi'),
    *('rcl_interfaces', 'rclpy', 'rosgraph_msgs', 'sensor_msgs', 'std_msgs'),
}

# What a robot's shell says about its network that would let tests out of this machine, or keep
# their processes from hearing each other.
NETWORK_SETTINGS = (
    *('CYCLONEDDS_', 'FASTDDS_', 'FASTRTPS_', 'ROS_DISCOVERY_', 'ROS_SECURITY_'),
    *('ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS'),
)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, None]:
    """Skip a test module, and say why, where a machine lacks what the module imports."""
    outcome = yield
    report = outcome.get_result()
    call = getattr(report, 'call', None)
    error = call.excinfo.value.__cause__ if call is not None and call.excinfo else None
    if isinstance(error, ModuleNotFoundError) and str(error.name).split('.')[0] in MAY_LACK:
        report.outcome = 'skipped'
        report.longrepr = (collector.nodeid, 0, f'Skipped: {error}')


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell quick and slow tests apart before any are deselected."""
    tiers.mark(items)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, None]:
    """Hold a quick test to being quick, its fixtures included."""
    with contextlib.nullcontext() if tiers.is_slow(item) else tiers.quick():
        yield


@pytest.fixture(autouse=True, scope='session')
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests, and the processes that they start, away from the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture(autouse=True, scope='session')
def _shared_traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have exports share their traces, where a test module imports what exports."""
    with pytest.MonkeyPatch.context() as patch:
        if 'ros2_llava_phi.engine.export' in sys.modules:
            from traces import share_traces

            share_traces(tmp_path_factory, patch)
        yield


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Return a domain of the test's own; processes started by the test are in it, too."""
    for name in [name for name in os.environ if name.startswith(NETWORK_SETTINGS)]:
        monkeypatch.delenv(name)
    if os.environ.get('ROS_DISTRO') == 'humble':
        monkeypatch.setenv('ROS_LOCALHOST_ONLY', '1')
    else:
        monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    with own_domain() as domain:
        monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
        yield domain


@pytest.fixture
def ros(ros_domain: int) -> Iterator['Context']:
    """Return the default context of rclpy, initialised for this test alone."""
    rclpy = pytest.importorskip('rclpy')
    rclpy.init(domain_id=ros_domain)
    yield rclpy.utilities.get_default_context()
    rclpy.try_shutdown()


@pytest.fixture
def spin(ros: 'Context') -> Iterator[Callable[['Node'], None]]:
    """Return a function that has a node spun by a thread, and destroyed after the test."""
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=ros)

    def work() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=work, name='spin', daemon=True)
    nodes: list[Node] = []

    def add(node: 'Node') -> None:
        nodes.append(node)
        executor.add_node(node)
        if not thread.is_alive():
            thread.start()

    yield add
    executor.shutdown(timeout_sec=1.0)  # Humble would wait for what nobody responds to
    if thread.ident is not None:
        thread.join(timeout=10)
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def node(ros: 'Context', spin: Callable[['Node'], None]) -> 'Node':
    """Return a node of the test's own, spinning."""
    import rclpy

    node = rclpy.create_node('test', context=ros)
    spin(node)
    return node


@pytest.fixture
def make_robot(spin: Callable[['Node'], None]) -> Iterator[Callable[..., 'Robot']]:
    """Return a function that makes a robot with parameters; it is closed after the test."""
    from node_stand_in import Robot

    robots: list[Robot] = []

    def make(**parameters: Any) -> Robot:
        robots.append(Robot(spin, **parameters))
        return robots[-1]

    yield make
    for robot in robots:
        robot.close()
