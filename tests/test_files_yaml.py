"""YAML files are read as PyYAML reads them, and so ROS 2."""

import warnings
from pathlib import Path

import pytest
import yaml

from ros2_llava_phi.errors import FileError
from ros2_llava_phi.files.yaml_file import read_yaml

SCALARS = """
    yes no on off y n Y N true True TRUE null ~ NULL nUll 010 0o10 08 0x1f 0b11 1_000 1:30 1:30.5
    +1 -0 1. .5 1.0e-3 .inf -.inf 2020-01-01 "yes" '010' [a,y] {a:1} a#b
"""


@pytest.mark.parametrize('before', ['', '---\n', '%YAML 1.1\n---\n', '# a\n--- # b\n'])
@pytest.mark.parametrize('scalar', SCALARS.split())
def test_a_value_is_what_it_is_to_pyyaml(tmp_path: Path, scalar: str, before: str) -> None:
    path = tmp_path / 'file.yaml'
    path.write_text(f'{before}a: {scalar}\n')
    assert repr(read_yaml(path)) == repr(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize('wrong', ["!!bool ''", '!!bool', '!!bool [a]', '!!bool maybe'])
def test_a_truth_that_is_none(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / 'file.yaml'
    path.write_text(wrong)
    with pytest.raises(FileError, match='line 1: '):
        read_yaml(path)


@pytest.mark.parametrize('wrong', ['[[]]: 1', '? - - ', '{[{}]: 1}'])
def test_a_name_that_cannot_be_one(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / 'file.yaml'
    path.write_text(wrong)
    with pytest.raises(FileError, match='no YAML: '):
        read_yaml(path)


def test_a_number_needs_no_point_and_a_file_may_be_of_a_later_version(tmp_path: Path) -> None:
    path = tmp_path / 'file.yaml'
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        path.write_text('1e-3')
        assert read_yaml(path) == 0.001
        path.write_text('[&a 1, &a 2, *a]')
        assert read_yaml(path) == [1, 2, 2]
    path.write_text('%YAML 1.2\n---\n[yes, 010]\n')
    assert read_yaml(path) == ['yes', 10]
