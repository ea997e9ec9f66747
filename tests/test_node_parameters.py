"""Parameters: one set of defaults, wrong ones refused with a sentence, when they may change."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from node_stand_in import Robot

from ros2_llava_phi.errors import ParameterError
from ros2_llava_phi.node.launch_arguments import (
    DESCRIPTIONS,
    parse_cameras,
    read_defaults,
    to_parameters,
)
from ros2_llava_phi.node.parameters import Parameters, flat, unknown, validate

ROOT = Path(__file__).parent.parent


def test_the_params_file_holds_the_defaults() -> None:
    content = yaml.safe_load((ROOT / 'config' / 'vqa.yaml').read_text())
    assert list(content) == ['/**']
    assert content['/**']['ros__parameters'] == Parameters().model_dump()


def test_the_documentation_has_every_parameter_with_its_default() -> None:
    text = (ROOT / 'docs' / 'node.md').read_text()
    for name, value in flat(validate({})).items():
        row = next(
            (line for line in text.splitlines() if line.startswith(f'| `{name}`')),
            None,
        ) or next(
            line
            for line in text.splitlines()
            if line.startswith(f'| `NAME.{name.rpartition(".")[2]}`')
        )
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        shown = '[front]' if isinstance(value, list) else shown or "''"
        assert f'`{shown}`' in row, row


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'max_frame_age': 0.0}, ['max_frame_age', '0.0', 'greater than or equal to 0.001']),
        ({'max_frame_age': 'old'}, ['max_frame_age', "'old'", 'number']),
        ({'queue_length': 1.5}, ['queue_length', 'integer']),
        ({'cameras': []}, ['cameras', 'at least 1']),
        ({'cameras': ['a', 'a']}, ['cameras', 'a stands twice']),
        ({'cameras': ['front left']}, ['cameras', 'front left']),
        ({'front.transport': 'theora'}, ['front.transport', 'theora', 'compressed']),
        ({'model': ''}, ['model', 'at least 1']),
        ({'model': '', 'engine': ''}, ['model', 'engine']),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ParameterError) as error:
        validate(values)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert '\n' not in str(error.value)


def test_topics() -> None:
    settings = validate(
        {
            'cameras': ['a', 'b', 'c'],
            'b.transport': 'compressed',
            'c.transport': 'compressed',
            'c.topic': '/x/jpeg',
        }
    )
    topics = [settings.topic(name) for name in ('a', 'b', 'c')]
    assert topics == ['a/image_raw', 'b/image_raw/compressed', '/x/jpeg']


def test_unknown_names() -> None:
    names = ['model', 'front.topic', 'rear.topic', 'use_sim_time', 'qos_overrides./a.depth', 'x']
    assert unknown(names, validate({})) == ['rear.topic', 'x']


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


def test_launch_arguments_say_what_the_parameters_say() -> None:
    defaults = read_defaults(ROOT / 'config' / 'vqa.yaml')
    for name, description in DESCRIPTIONS.items():
        field = Parameters.model_fields[name]
        assert description == field.description
        assert to_parameters({name: defaults[name]}) == {name: field.default}
    assert list(parse_cameras(defaults['cameras'])) == Parameters().cameras


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
    assert vqa_launch(context) == ('/vqa_node', [Parameters().model_dump(), {}])
    # Included a second time, it must not take its own defaults for given.
    assert vqa_launch(context) == ('/vqa_node', [Parameters().model_dump(), {}])


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


def test_in_ros(spin: Callable[[Any], None], capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('llava_phi')
    from rclpy.parameter import Parameter

    robot = Robot(spin, max_frame_age=2, max_frame_aeg=3.0, cameras=['left'])
    node = robot.node

    def change(name: str, value: Any) -> str:
        (result,) = node.set_parameters([Parameter(name, value=value)])
        assert result.successful != bool(result.reason)
        return str(result.reason)

    assert node.get_parameter('max_frame_age').value == 2.0
    described = node.describe_parameter('max_frame_age')
    assert described.floating_point_range[0].to_value == 3600.0 and '[s]' in described.description
    assert node.describe_parameter('queue_length').integer_range[0].from_value == 1
    assert node.describe_parameter('left.topic').description

    assert change('queue_length', 3) == ''
    assert node.bring_up()
    assert 'max_frame_aeg; did you mean max_frame_age?' in capfd.readouterr().err
    assert change('max_frame_age', 5.0) == ''
    assert node.get_parameter('max_frame_age').value == 5.0
    assert 'max_frame_age' in change('max_frame_age', 9999.0)
    assert 'model can change only while the node is unconfigured' in change('model', 'other')
    assert change('left.topic', '/elsewhere')
    assert node.get_parameter('model').value == 'llava-phi-tiny'
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert change('cameras', ['left', 'right']) == ''
    assert node.bring_up()
    assert node.get_parameter('right.transport').value == 'raw'
    robot.show((1, 2, 3), 'right')
    assert robot.ask('a', camera='right').answer.text == '1 2 3'
    robot.close()


def test_a_wrong_parameter_at_start(ros: Any) -> None:
    pytest.importorskip('llava_phi')
    with pytest.raises(ParameterError, match='default_timeout'):
        Robot(lambda node: None, default_timeout='soon')
