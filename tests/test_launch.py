"""The launch file: what its arguments mean, and what they make of the node."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ros2_llava_phi.errors import ParameterError
from ros2_llava_phi.node.launch_arguments import DESCRIPTIONS, parse_cameras, to_parameters

ROOT = Path(__file__).parent.parent
PARAMS = ROOT / 'config' / 'vqa.yaml'


def test_launch_arguments_set_only_what_was_given() -> None:
    assert to_parameters({'namespace': 'robot1', 'device': '0', 'autostart': 'False'}) == {
        'device': '0',
        'autostart': False,
    }
    assert to_parameters({'cameras': 'rear front'}) == {'cameras': ['rear', 'front']}
    assert to_parameters({'cameras': 'a=/a/image b', 'transport': 'compressed'}) == {
        'cameras': ['a', 'b'],
        'a.topic': '/a/image',
        'a.transport': 'compressed',
        'b.transport': 'compressed',
    }


def test_launch_arguments_need_no_package_of_the_node() -> None:
    # `ros2 launch` runs with the system's Python, the node in a virtual environment.
    script = (
        'import sys; sys.path.insert(0, sys.argv[1]); import yaml; before = set(sys.modules)\n'
        'import ros2_llava_phi.node.launch_arguments\n'
        'new = {name.split(".")[0] for name in set(sys.modules) - before}\n'
        'print(*sorted(new - set(sys.stdlib_module_names)))'
    )
    command = [sys.executable, '-c', script, str(ROOT)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert loaded.split() == ['ros2_llava_phi']


@pytest.mark.parametrize('text', ['', '  ', '=/topic', 'a=/x a=/y'])
def test_wrong_cameras_in_the_launch_file(text: str) -> None:
    with pytest.raises(ParameterError, match="'front=/front/image_raw"):
        parse_cameras(text)


def test_wrong_launch_arguments() -> None:
    with pytest.raises(ParameterError, match='true or false'):
        to_parameters({'use_sim_time': 'maybe'})
    with pytest.raises(ParameterError, match='goes with cameras'):
        to_parameters({'transport': 'compressed'})


@pytest.fixture
def vqa_launch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], tuple[str, list[Any]]]:
    """Return a function that visits the launch file: the node's full name, its params files."""
    pytest.importorskip('launch_ros')
    import ament_index_python.packages
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    # The checkout's config, also where the package is not built.
    monkeypatch.setattr(
        ament_index_python.packages, 'get_package_share_directory', lambda name: str(ROOT)
    )
    source = PythonLaunchDescriptionSource(str(ROOT / 'launch' / 'vqa.launch.py'))

    def visit(context: Any) -> tuple[str, list[Any]]:
        actions: list[Any] = []
        for entity in source.get_launch_description(context).entities:
            actions += entity.visit(context) or []
        (node,) = actions
        node._perform_substitutions(context)
        words = ['' if len(part) != 1 else getattr(part[0], 'text', '') for part in node.cmd]
        files = [words[place + 1] for place, word in enumerate(words) if word == '--params-file']
        contents = [yaml.safe_load(Path(file).read_text()) for file in files]
        return node.node_name, [next(iter(one.values()))['ros__parameters'] for one in contents]

    return visit


def test_the_launch_file(vqa_launch: Callable[[Any], tuple[str, list[Any]]]) -> None:
    from launch.launch_context import LaunchContext

    context = LaunchContext()
    assert vqa_launch(context) == (
        '/vqa_node',
        [yaml.safe_load(PARAMS.read_text())['/**']['ros__parameters'], {}],
    )
    # Included a second time, it must not take its own defaults for given.
    assert vqa_launch(context) == (
        '/vqa_node',
        [yaml.safe_load(PARAMS.read_text())['/**']['ros__parameters'], {}],
    )


def test_the_launch_file_with_arguments(
    vqa_launch: Callable[[Any], tuple[str, list[Any]]], tmp_path: Path
) -> None:
    from launch.launch_context import LaunchContext

    robot = {'rear': {'topic': '/r', 'transport': 'compressed'}}
    (tmp_path / 'robot.yaml').write_text(yaml.safe_dump({'/**': {'ros__parameters': robot}}))
    context = LaunchContext()
    context.launch_configurations.update(
        namespace='robot1',
        node_name='eyes',
        device='0',
        autostart='false',
        use_sim_time='true',
        cameras='rear front=/front/image_raw',
        params_file=str(tmp_path / 'robot.yaml'),
    )
    name, (file, own) = vqa_launch(context)
    assert name == '/robot1/eyes'
    assert file == robot
    assert own == {
        'device': '0',
        'autostart': False,
        'use_sim_time': True,
        'cameras': ['rear', 'front'],
        'front.topic': '/front/image_raw',
    }


def test_the_launch_arguments_read_well(
    vqa_launch: Callable[[Any], tuple[str, list[Any]]],
) -> None:
    from launch.launch_context import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(str(ROOT / 'launch' / 'vqa.launch.py'))
    arguments = {
        argument.name: argument
        for argument in source.get_launch_description(LaunchContext()).get_launch_arguments()
    }
    assert set(DESCRIPTIONS) < set(arguments)
    assert all(argument.description for argument in arguments.values())


def test_the_real_launch_and_the_real_ros2(ros_domain: int) -> None:
    pytest.importorskip('launch_testing', reason='launch_testing is not installed: a full ROS 2')
    if shutil.which('ros2') is None:
        pytest.skip('the command ros2 is not installed: a full ROS 2 has it')
    done = subprocess.run(
        [
            sys.executable,
            '-m',
            'launch_testing.launch_test',
            str(ROOT / 'tests' / 'launch_vqa.py'),
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_real_ros2_shows_the_arguments(ros_domain: int) -> None:
    if shutil.which('ros2') is None:
        pytest.skip('the command ros2 is not installed: a full ROS 2 has it')
    launch = ['ros2', 'launch', str(ROOT / 'launch' / 'vqa.launch.py'), '--show-args']
    shown = subprocess.run(launch, capture_output=True, text=True, timeout=120).stdout
    for name in (*DESCRIPTIONS, 'cameras', 'transport', 'params_file', 'use_sim_time'):
        assert f"'{name}':" in shown
    assert f'{DESCRIPTIONS["model"]}.' in shown
