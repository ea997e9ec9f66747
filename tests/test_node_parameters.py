"""Parameters: one set of defaults, wrong ones refused with a sentence, when they may change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import node_parameters
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
