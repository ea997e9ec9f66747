"""What an installation lacks is said in one line that is right for checkout, wheel and colcon."""

import configparser
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ros2_llava_phi import requirements
from ros2_llava_phi.requirements import what_is_missing

ROOT = Path(__file__).resolve().parent.parent
DRIVE = ROOT / 'ros2_llava_phi' / 'data' / 'drive'
QUESTIONS = ROOT / 'config' / 'questions' / 'drive.csv'

# The first argument names modules whose import fails.
PROGRAM = """\
import sys
lacking, command, *sys.argv[1:] = sys.argv[1:]
sys.modules.update(dict.fromkeys(lacking.split()))
from ros2_llava_phi import entry_points
sys.exit(getattr(entry_points, command)())
"""
OF_ROS = 'ROS 2 is missing (rclpy): `source /opt/ros/DISTRO/setup.bash` in this shell, or install'


def required() -> dict[str, dict[str, str]]:
    """Return what setup.cfg asks for: by extra, by package."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg')
    texts = {'': parser['options']['install_requires'], **parser['options.extras_require']}
    return {
        extra: {re.split('[<>=!]', each)[0]: each for each in text.split()}
        for extra, text in texts.items()
    }


def installed() -> None:
    try:
        distribution('ros2_llava_phi')
    except PackageNotFoundError:
        pytest.skip('this package runs from a folder; nobody installed it')


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """Have setup.cfg be what was installed, as an older set-up may have installed another."""
    lines = [
        each + (f'; extra == "{extra}"' if extra else '')
        for extra, packages in required().items()
        for each in packages.values()
    ]
    monkeypatch.setattr(requirements, 'requires', lambda name: lines)
    return required()


def run(lacking: str, command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, '-c', PROGRAM, lacking, command, *map(str, arguments)]
    environment = {**os.environ, 'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}
    return subprocess.run(program, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    ('lacking', 'command', 'said'),
    [
        ('rclpy', ['vqa_node'], f'vqa_node: {OF_ROS}'),
        ('numpy', ['vqa_node'], 'vqa_node: .* is missing'),
        ('typer', ['llava_phi'], "llava-phi: typer is missing: `pip install .*'typer>="),
        ('typer rich', ['replay', '--schema'], "typer is missing: `pip install .*'rich>=.*'typer"),
        ('rosbags', ['llava_phi', 'extract', DRIVE, '-o', 'out'], "install .*'rosbags>="),
        ('rosbags', ['replay', DRIVE, '--questions', QUESTIONS, '-o', 'out'], "'rosbags>="),
        ('rclpy', ['replay', DRIVE, '--questions', QUESTIONS, '-o', 'out', '--live'], OF_ROS),
        ('torch', ['llava_phi', 'inspect', 'llava-phi-tiny'], "torch is .*'torch>="),
    ],
)
def test_a_command_says_in_one_line_what_it_lacks(
    lacking: str,
    command: list[str | Path],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if 'pip install' in said or '>=' in said or 'numpy' in lacking:
        installed()
    monkeypatch.chdir(tmp_path)
    ran = run(lacking, str(command[0]), *command[1:])
    assert ran.returncode == 2, ran.stderr
    assert re.search(said.replace('(', r'\(').replace(')', r'\)'), ran.stderr), ran.stderr
    assert 'Traceback' not in ran.stderr and ran.stderr.count('\n') == 1


def test_the_demonstration_says_in_one_line_what_it_lacks() -> None:
    program = (
        'import runpy, sys; sys.modules["rclpy"] = None; '
        'runpy.run_module("ros2_llava_phi.demo", run_name="__main__")'
    )
    ran = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith(f'demo: {OF_ROS}') and ran.stderr.count('\n') == 1


def test_whatever_is_required_is_named_with_the_rest_of_its_kind(
    declared: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    there: set[str] = set()
    monkeypatch.setattr(requirements, 'find_spec', lambda name: name if name in there else None)
    modules = {package: module for module, package in requirements.PACKAGES.items()}
    for packages in declared.values():
        for package, requirement in packages.items():
            module = modules.get(package, package)
            sentence = what_is_missing(
                ModuleNotFoundError(f'No module named {module!r}', name=module)
            )
            assert sentence is not None and sentence.startswith(f'{package} is missing: `pip ')
            assert sorted(re.findall("'(.*?)'", sentence)) == sorted(packages.values())
            # What is there stays as it is: on a robot it is apt's, or a Jetson's own build.
            there = {modules.get(each, each) for each in packages} - {module}
            sentence = what_is_missing(ModuleNotFoundError('', name=f'{module}.part'))
            assert sentence == f'{package} is missing: `pip install {requirement!r}`'
            there = set()


def test_a_version_that_is_too_old_is_named(declared: Any) -> None:
    error = ImportError("cannot import name 'Reader' from 'numpy'", name='numpy.lib')
    sentence = what_is_missing(error)
    assert sentence is not None
    assert sentence.startswith("numpy is of a version that does not do (cannot import name 'Rea")
    assert sentence.endswith(f": `pip install '{required()['']['numpy']}'`")


def test_the_interfaces_and_a_ros_of_another_python_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 'colcon build' in (what_is_missing(ModuleNotFoundError('', name='llava_phi.srv')) or '')
    monkeypatch.setattr(requirements, 'find_spec', lambda name: name)
    error = ImportError("No module named 'rclpy._rclpy'", name='rclpy._rclpy')
    assert 'is not for this Python, 3.' in (what_is_missing(error) or '')


@pytest.mark.parametrize('name', [None, 'ros2_llava_phi.gone', 'sqlite3', 'tiny'])
def test_a_mistake_in_the_code_is_no_lack_of_the_installation(name: str | None) -> None:
    assert what_is_missing(ModuleNotFoundError('', name=name)) is None
    assert find_spec('ros2_llava_phi')
