"""Parameters: one set of defaults, wrong ones refused with a sentence, when they may change."""

import random
import signal
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import node_parameters
import pytest
import yaml
from node_stand_in import Robot, StandIn, response

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.errors import ParameterError
from ros2_llava_phi.node.launch_arguments import (
    DESCRIPTIONS,
    parse_cameras,
    read_defaults,
    to_parameters,
)
from ros2_llava_phi.node.parameters import (
    CameraParameters,
    Parameters,
    flat,
    unknown,
    validate,
)

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


def test_launch_arguments_say_what_the_parameters_say() -> None:
    defaults = read_defaults(ROOT / 'config' / 'vqa.yaml')
    for name, description in DESCRIPTIONS.items():
        field = Parameters.model_fields[name]
        assert description == field.description
        assert to_parameters({name: defaults[name]}) == {name: field.default}
    assert list(parse_cameras(defaults['cameras'])) == Parameters().cameras


def test_what_the_files_say_is_up_to_date() -> None:
    assert node_parameters.stale() == {}


@pytest.mark.parametrize('name', node_parameters.WRITERS)
def test_a_file_that_says_something_else_is_noticed(tmp_path: Path, name: str) -> None:
    for each in node_parameters.WRITERS:
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_text((ROOT / each).read_text())
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace('name of a packaged model', 'anything'))
    assert node_parameters.stale(tmp_path) == {name: text}


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'max_frame_age': 0.0}, ['max_frame_age', '0.0', 'at least 0.001']),
        ({'max_frame_age': 'old'}, ['max_frame_age', "'old'", 'number']),
        ({'queue_length': 1.5}, ['queue_length', 'a whole number']),
        ({'cameras': []}, ['cameras', 'one at least']),
        ({'cameras': ['a', 'a']}, ['cameras', 'a stands twice']),
        ({'cameras': ['front left']}, ['cameras', 'front left']),
        ({'front.transport': 'theora'}, ['front.transport', 'theora', 'compressed']),
        ({'model': ''}, ['model', 'one at least']),
        ({'model': '', 'engine': ''}, ['model', 'engine']),
        ({'front.topic': 'no topic'}, ['front.topic', 'no topic', 'such as /front/image_raw']),
        ({'front.topic': '/a//b'}, ['front.topic', 'between slashes']),
        ({'front.topic': '/a/'}, ['front.topic', 'between slashes']),
        ({'front.topic': '/1/b'}, ['front.topic', 'begins with a digit']),
        ({'threads': -1}, ['threads', 'at least 0']),
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


def test_a_cameras_parameters_come_and_go_with_it(
    spin: Callable[[Any], None], request: pytest.FixtureRequest
) -> None:
    """As `ros2 param set` does it: by the services, while the node is unconfigured."""
    pytest.importorskip('llava_phi')
    from rcl_interfaces.srv import SetParameters, SetParametersAtomically
    from rclpy.parameter import Parameter

    robot = Robot(spin)
    request.addfinalizer(robot.close)
    one = robot.peer.create_client(SetParameters, 'vqa_node/set_parameters')
    all_or_none = robot.peer.create_client(
        SetParametersAtomically, 'vqa_node/set_parameters_atomically'
    )
    assert one.wait_for_service(20) and all_or_none.wait_for_service(20)

    def messages(parameters: dict[str, Any]) -> list[Any]:
        return [Parameter(name, value=v).to_parameter_msg() for name, v in parameters.items()]

    def change(**parameters: Any) -> str:
        """Set one after another; return the reasons why some were not."""
        values = messages({name.replace('__', '.'): v for name, v in parameters.items()})
        results = response(one.call_async(SetParameters.Request(parameters=values))).results
        return ' '.join(result.reason for result in results if not result.successful)

    def declared() -> set[str]:
        names = robot.node.get_parameters_by_prefix('')
        return {name for name in names if '.' in name and not name.startswith('qos')}

    own = set(CameraParameters.model_fields)
    assert declared() == {f'front.{name}' for name in own}
    assert change(cameras=['front', 'left']) == ''
    assert declared() == {f'{camera}.{name}' for camera in ('front', 'left') for name in own}
    assert change(left__topic='/robot/left') == ''
    assert 'theora' in change(left__transport='theora')
    # What was given for a camera outlives it, and what nobody gave does not.
    assert change(cameras=['front']) == ''
    assert declared() == {'left.topic', *(f'front.{name}' for name in own)}
    # Whichever is named first; and all at once.
    assert change(rear__topic='/robot/rear', cameras=['rear', 'left']) == ''
    assert change(front__topic='') == ''
    assert {name.partition('.')[0] for name in declared()} == {'rear', 'left'}
    together = messages({'side.transport': 'compressed', 'cameras': ['side', 'left']})
    request = SetParametersAtomically.Request(parameters=together)
    assert response(all_or_none.call_async(request)).result.successful
    assert change(fornt__tpoic='/x') != ''
    assert robot.node.bring_up()
    assert robot.node._cameras['side'].topic == '/side/image_raw/compressed'
    assert robot.node._cameras['left'].topic == '/robot/left'


GOOD = """\
/**:
  ros__parameters:
    model: llava-phi-tiny
    cameras: [front, rear]
    rear:
      topic: /rear/image_raw
      transport: compressed
    max_frame_age: 2.5
    qos_overrides:
      /front/image_raw:
        subscription:
          reliability: reliable
          depth: 5
"""


def run_with(*arguments: str) -> int:
    """Run the node, which a signal has stopped already; return its exit code."""
    from ros2_llava_phi.node.run import run

    signals: SimpleQueue[int] = SimpleQueue()
    signals.put(signal.SIGINT)
    code, ended = run(['--ros-args', *arguments], lambda *_: cast(Assistant, StandIn()), signals)
    assert ended
    return code


def damaged(seed: int) -> str:
    chance = random.Random(seed)
    text = GOOD
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(text))
        cut = chance.choice([0, 1, 2, 5, len(text)])
        text = (
            text[:place] + chance.choice(['', *'[]{}:\t\n -#&*!|>%@"\'x5']) + text[place + cut :]
        )
    return text


@pytest.mark.parametrize('seed', range(40))
def test_a_damaged_params_file_is_refused_in_one_sentence_or_is_one(
    ros_domain: int, tmp_path: Path, capfd: pytest.CaptureFixture[str], seed: int
) -> None:
    pytest.importorskip('llava_phi')
    (tmp_path / 'robot.yaml').write_text(damaged(seed))
    code = run_with('--params-file', str(tmp_path / 'robot.yaml'))
    said = capfd.readouterr().err
    assert 'Traceback' not in said
    assert code in (0, 2)
    if code == 2:
        (line,) = [line for line in said.splitlines() if line.startswith('vqa_node: ')]
        assert said.splitlines() == [line]


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--params-file', 'nowhere.yaml'], ['nowhere.yaml', 'ros__parameters: {']),
        (['--params-file', 'flat.yaml'], ['flat.yaml', 'before ros__parameters', 'looks like']),
        (['--params-file'], ['No file path']),
        (['-p', 'model'], ['-p model', '-p model:=llava-phi-tiny']),
        (['-p', 'cameras:=[1,a]'], ['cameras', 'same type']),
        (['-p', 'cameras:=[]'], ['the parameter cameras', 'an empty list']),
        (['-p', 'model:=x', '-p', 'front.topic:=[]'], ['parameter front.topic cannot', 'list']),
        (['-p', 'use_sim_time:=3'], ['use_sim_time', 'true or false']),
        (['-p', 'qos_overrides./a.subscription.history:=x'], ['history', 'keep_last']),
        (['-p', 'qos_overrides./a.subscription.depth:=x'], ['depth', 'number']),
        (['-r', '__node:=two words'], ['two words', 'write it like']),
        (['--log-level', 'loud'], ['loud', 'debug']),
        (['--parms-file', 'x'], ['--parms-file']),
    ],
)
def test_wrong_arguments_end_in_a_sentence_and_2(
    ros_domain: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    words: list[str],
) -> None:
    pytest.importorskip('llava_phi')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'flat.yaml').write_text('model: x\n')
    assert run_with(*arguments) == 2
    said = capfd.readouterr().err
    (line,) = [line for line in said.splitlines() if line.startswith('vqa_node: ')]
    assert all(word in line for word in words), line
    assert '.c:' not in line


@pytest.mark.parametrize(
    ('names', 'heard'),
    [
        ('/**: P', True),
        ('vqa_node: P', False),
        ('/robot1/vqa_node: P', True),
        ('robot1/vqa_node: P', True),
        ('/robot1: {vqa_node: P}', True),
        ('/*/vqa_node: P', True),
        ('/**/vqa_node: P', True),
        ('/robot1/**: P', True),
        ('/robot1/*: P', True),
        ('/*: P', False),
        ('/robot2/vqa_node: P', False),
        ('/robot1/vqa: P', False),
        ('{/robot2/vqa_node: P, /robot1/vqa_node: P}', True),
        ('', True),
    ],
)
def test_a_params_file_for_other_nodes_is_pointed_out(
    ros_domain: int, tmp_path: Path, names: str, heard: bool
) -> None:
    """As rcl sees it: where it takes the parameters, nothing is said."""
    rclpy = pytest.importorskip('rclpy')
    from ros2_llava_phi.node.run import unheard

    file = tmp_path / 'robot.yaml'
    file.write_text(names.replace('P', '{ros__parameters: {model: x}}'))
    arguments = ['--ros-args', '-r', '__ns:=/robot1', '--params-file', str(file)]
    rclpy.init(args=arguments)
    try:
        node = rclpy.create_node('vqa_node', automatically_declare_parameters_from_overrides=True)
        assert node.has_parameter('model') == (heard and bool(names))
        said = unheard(arguments, node.get_fully_qualified_name())
        node.destroy_node()
    finally:
        rclpy.shutdown()
    assert bool(said) != heard
    assert not said or 'says nothing about /robot1/vqa_node' in said[0]
