"""The launch file: what its arguments mean, and what they make of the node."""

import itertools
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ros2_llava_phi.errors import ParameterError
from ros2_llava_phi.node.launch_arguments import (
    DESCRIPTIONS,
    NAMES,
    find_params_file,
    parse_cameras,
    put_back,
    take,
    to_parameters,
)

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


def include(
    configurations: dict[str, str], *command_line: str, **arguments: str
) -> dict[str, str]:
    """Do as launch and the launch file do: set the arguments, take them, and put them back."""
    configurations.update(arguments)
    given = take(configurations, command_line)
    for name in NAMES:
        configurations.setdefault(name, 'our default')
    put_back(configurations, given)
    return given


@pytest.mark.parametrize('seed', range(20))
def test_no_include_has_what_another_one_was_given(seed: int) -> None:
    """Whatever two robots are given: the second has its own and the command line's, or none."""
    chance = random.Random(seed)

    def some(values: Sequence[str]) -> dict[str, str]:
        names = chance.sample(NAMES, chance.randint(0, len(NAMES)))
        return {name: chance.choice(values) for name in names}

    outer = some('o')
    command_line = [f'{name}:={value}' for name, value in outer.items()]
    configurations: dict[str, str] = {'ros_namespace': '/fleet', **outer}
    first, second = some('ab'), some('ab')
    assert include(configurations, *command_line, **first) == {**outer, **first}
    assert configurations == {'ros_namespace': '/fleet', **outer, **first}
    if set(first) <= set(second):
        assert include(configurations, *command_line, **second) == {**outer, **second}
        return
    with pytest.raises(ParameterError) as error:
        include(configurations, *command_line, **second)
    leaked = str(error.value).partition('was given ')[2].partition(', which launch')[0]
    assert set(leaked.split(', ')) == set(first) - set(second)


def test_includes_in_scopes_of_their_own_are_apart() -> None:
    outer: dict[str, str] = {}
    include(dict(outer), namespace='robot1', cameras='front=/robot1/image')
    assert include(dict(outer), namespace='robot2') == {'namespace': 'robot2'}


def test_what_was_used_is_a_text_as_before() -> None:
    configurations: dict[str, str] = {}
    include(configurations, model='x')
    # As launch forwards it, when the file around declares an argument and gives it to each.
    assert include(configurations, model=''.join([configurations['model']])) == {'model': 'x'}


def test_a_params_file_is_found_at_home_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    with pytest.raises(ParameterError, match=r"no params file '~/robot\.yaml'"):
        find_params_file('~/robot.yaml')
    (tmp_path / 'robot.yaml').touch()
    assert find_params_file('~/robot.yaml') == str(tmp_path / 'robot.yaml')


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


@pytest.mark.parametrize(
    ('given', 'queue_length', 'device'),
    [
        ({}, 3, 'cuda'),
        ({'device': 'cuda:1'}, 3, 'cuda:1'),
        ({'params_file': 'robot.yaml'}, 5, 'cuda'),
        ({'params_file': 'robot.yaml', 'device': 'cuda:1'}, 5, 'cuda:1'),
    ],
)
def test_what_set_parameter_says_wins_over_our_defaults_only(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    given: dict[str, str],
    queue_length: int,
    device: str,
) -> None:
    """Not over what a params file or an argument says: these are of this node, and that of all."""
    pytest.importorskip('launch_ros')
    import ament_index_python.packages
    from launch.launch_context import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch_ros.actions import SetParameter

    monkeypatch.setattr(
        ament_index_python.packages, 'get_package_share_directory', lambda name: str(ROOT)
    )
    monkeypatch.chdir(tmp_path)
    robot = {'/**': {'ros__parameters': {'queue_length': 5}}}
    (tmp_path / 'robot.yaml').write_text(yaml.safe_dump(robot))
    context = LaunchContext()
    SetParameter('queue_length', 3).execute(context)
    SetParameter('device', 'cuda').execute(context)
    context.launch_configurations.update(given)
    source = PythonLaunchDescriptionSource(str(ROOT / 'launch' / 'vqa.launch.py'))
    actions: list[Any] = []
    for entity in source.get_launch_description(context).entities:
        actions += entity.visit(context) or []
    (node,) = actions
    node._perform_substitutions(context)
    words = [getattr(part[0], 'text', '') for part in node.cmd]
    parameters: dict[str, Any] = {}  # as rcl reads them: the last one wins
    for option, value in itertools.pairwise(words):
        if option == '--params-file':
            content = yaml.safe_load(Path(value).read_text())
            parameters.update(next(iter(content.values()))['ros__parameters'])
        elif option == '-p':
            name, _, text = value.partition(':=')
            parameters[name] = yaml.safe_load(text)
    assert (parameters['queue_length'], parameters['device']) == (queue_length, device)


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


def test_a_refused_include_ends_what_was_launched_before(ros_domain: int, tmp_path: Path) -> None:
    if shutil.which('ros2') is None:
        pytest.skip('the command ros2 is not installed: a full ROS 2 has it')
    include = """IncludeLaunchDescription(
        PythonLaunchDescriptionSource(LAUNCH), launch_arguments=ARGUMENTS.items()
    )"""
    (tmp_path / 'two.launch.py').write_text(
        'from launch import LaunchDescription\n'
        'from launch.actions import IncludeLaunchDescription\n'
        'from launch.launch_description_sources import PythonLaunchDescriptionSource\n'
        f'LAUNCH = {str(ROOT / "launch" / "vqa.launch.py")!r}\n'
        "ARGUMENTS = {'cameras': 'front=/one/image', 'node_name': 'refused_include'}\n"
        f'one = {include}\n'
        "ARGUMENTS = {'node_name': 'other'}\n"
        f'two = {include}\n'
        'def generate_launch_description():\n'
        '    return LaunchDescription([one, two])\n'
    )
    command = ['ros2', 'launch', str(tmp_path / 'two.launch.py')]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert 'was given cameras' in done.stdout + done.stderr
    nodes = subprocess.run(['pgrep', '-f', '__node:=refused_include'], stdout=subprocess.PIPE)
    assert nodes.stdout == b''


def test_the_real_ros2_shows_the_arguments(ros_domain: int) -> None:
    if shutil.which('ros2') is None:
        pytest.skip('the command ros2 is not installed: a full ROS 2 has it')
    launch = ['ros2', 'launch', str(ROOT / 'launch' / 'vqa.launch.py'), '--show-args']
    shown = subprocess.run(launch, capture_output=True, text=True, timeout=120).stdout
    for name in (*DESCRIPTIONS, 'cameras', 'transport', 'params_file', 'use_sim_time'):
        assert f"'{name}':" in shown
    assert f'{DESCRIPTIONS["model"]}.' in shown
