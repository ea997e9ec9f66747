"""The set-up: what is missing is said, and only what changed is done again."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import machine
import numpy
import pytest
import wheels
from commands import Console, SetupError, clean_environment
from ros_domain import FIRST_PORT, PORTS_PER_DOMAIN, free_domain
from steps import Step, bring_up_to_date

ROOT = Path(__file__).resolve().parent.parent


class Build:
    """Three steps in a folder: a base, and two that build upon it and on a file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: list[str] = []
        self.checked = 0
        self.fail = ''
        for name in ('a.txt', 'b.txt'):
            (folder / name).write_text('first')

    def run(self) -> list[str]:
        self.done = []
        base = Step('base', ['3.11'], self.note('base'))
        a = Step('a', [self.folder / 'a.txt'], self.note('a'), after=base)
        b = Step('b', [self.folder / 'b.txt'], self.note('b'), after=base)
        bring_up_to_date([base, a, b], stamps=self.folder, before=self.check)
        return self.done

    def note(self, name: str) -> Callable[[], None]:
        def do() -> None:
            if name == self.fail:
                raise SetupError(name)
            self.done.append(name)

        return do

    def check(self) -> None:
        self.checked += 1


def test_steps_are_done_once(tmp_path: Path) -> None:
    build = Build(tmp_path)
    assert build.run() == ['base', 'a', 'b']
    assert build.run() == []
    assert build.checked == 1


def test_a_changed_file_redoes_its_step_alone(tmp_path: Path) -> None:
    build = Build(tmp_path)
    build.run()
    (tmp_path / 'b.txt').write_text('second')
    assert build.run() == ['b']


def test_a_step_that_failed_is_tried_again(tmp_path: Path) -> None:
    build = Build(tmp_path)
    build.run()
    (tmp_path / 'a.txt').write_text('second')
    build.fail = 'a'
    with pytest.raises(SetupError):
        build.run()
    build.fail = ''
    (tmp_path / 'a.txt').write_text('first')
    assert build.run() == ['a']


def test_missing_programs_are_named_with_their_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    with pytest.raises(SetupError) as error:
        machine.check(tmp_path)
    assert 'apt install g++' in str(error.value)
    assert 'apt install cmake' in str(error.value)


@pytest.mark.parametrize(
    ('gigabytes', 'torch', 'fits'),
    [(4, '2.13.0', False), (4, '2.13.0+cpu', True), (4, '2.13.0+cu130', False), (11, '', True)],
)
def test_pytorch_with_cuda_needs_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gigabytes: int, torch: str, fits: bool
) -> None:
    usage = SimpleNamespace(free=gigabytes * 10**9)
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: usage)
    pip = tmp_path / 'python'
    pip.write_text(f'#!/bin/sh\necho Available versions: 2.14.0, {torch}, 2.12.0+cpu\n')
    pip.chmod(0o755)

    def check() -> None:
        pinned = (ROOT / 'requirements' / 'train.txt').read_text()
        machine.check_torch_fits(tmp_path, pip, pinned, os.environ)

    if fits:
        check()
        return
    with pytest.raises(SetupError, match=r'10 GB.* 4\.0 GB are free.* 2\.13\.0\+cpu'):
        check()
    # What is installed already takes no room.
    (tmp_path / 'lib' / 'python3.12' / 'site-packages' / 'torch').mkdir(parents=True)
    check()


def test_a_wrong_python_is_refused_in_one_sentence() -> None:
    # An interpreter that says it is 3.9, as old ones are not at hand everywhere.
    script = f"""
import runpy, sys
sys.version_info = (3, 9, 2)
sys.version = '3.9.2 (main)'
runpy.run_path({str(ROOT / 'tools' / 'setup.py')!r}, run_name='__main__')
"""
    result = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert result.returncode == 1
    assert 'is Python 3.9.2; ROS 2 comes for 3.10 to 3.13' in result.stderr
    assert 'make setup PYTHON=' in result.stderr
    assert 'Traceback' not in result.stderr


def test_a_failed_command_shows_all_that_it_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    console = Console(log=tmp_path / 'setup.log')
    command = [sys.executable, '-c', 'print("the reason"); raise SystemExit(3)']
    with pytest.raises(SetupError, match='"Trying" failed'):
        console.run('Trying', command, clean_environment())
    assert 'the reason' in capfd.readouterr().out
    assert 'the reason' in (tmp_path / 'setup.log').read_text()


def test_another_ros_does_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AMENT_PREFIX_PATH', '/opt/ros/humble')
    monkeypatch.setenv('ROS_DISTRO', 'humble')
    monkeypatch.setenv('HTTPS_PROXY', 'proxy')
    environment = clean_environment()
    assert 'AMENT_PREFIX_PATH' not in environment
    assert 'ROS_DISTRO' not in environment
    assert environment['HTTPS_PROXY'] == 'proxy'


def test_the_settings_of_a_robot_do_not_leak_in(tmp_path: Path) -> None:
    (tmp_path / 'colcon' / 'install').mkdir(parents=True)
    (tmp_path / 'colcon' / 'install' / 'local_setup.bash').touch()
    foreign = {
        'AMENT_PREFIX_PATH': '/opt/ros/humble',
        'CYCLONEDDS_URI': 'file:///robot.xml',
        'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4',
        'FASTRTPS_DEFAULT_PROFILES_FILE': '/robot.xml',
        'PYTHONPATH': '/opt/ros/humble/lib/python3.10/site-packages',
        'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp',
        'ROS_DISCOVERY_SERVER': '192.168.0.1:11811',
        'ROS_LOCALHOST_ONLY': '0',
        'ROS_LOG_DIR': '/var/log/robot',
        'ROS_NAMESPACE': 'robot1',
        'ROS_SECURITY_ENABLE': 'true',
        'ROS_STATIC_PEERS': '192.168.0.2',
    }
    kept = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_DOMAIN_ID': '7', 'LANG': 'C'}
    result = subprocess.run(
        [ROOT / 'tools' / 'env.sh', 'env'],
        env={**foreign, **kept, 'PATH': os.environ['PATH'], 'VENV': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    environment = dict(line.split('=', 1) for line in result.stdout.splitlines())
    assert environment.items() >= kept.items()
    ours = {name: environment[name] for name in foreign if name in environment}
    assert ours == {
        'AMENT_PREFIX_PATH': str(tmp_path),
        'PYTHONPATH': str(ROOT),
        'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp',
        'ROS_LOG_DIR': f'{tmp_path}/ros-log',
    }


def test_folders_of_the_build_machine_are_replaced() -> None:
    text = (
        '"/opt/python/cp312-cp312/include/python3.12;'
        '/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include;/usr/include"'
    )
    fitted = wheels.fit(text)
    assert '/opt/python' not in fitted
    assert numpy.get_include() in fitted
    assert fitted.endswith(';/usr/include"')


def test_a_domain_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    import ros_domain

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        domain = free_domain()
        participant.bind(('', FIRST_PORT + PORTS_PER_DOMAIN * domain))
        monkeypatch.setattr(ros_domain, 'DOMAINS', range(domain, domain + 1))
        with pytest.raises(RuntimeError, match='in use'):
            free_domain()


@pytest.mark.parametrize(
    ('distribution', 'setting', 'value'),
    [
        ('humble', 'ROS_LOCALHOST_ONLY', '1'),
        ('jazzy', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST'),
    ],
)
def test_tests_stay_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    distribution: str,
    setting: str,
    value: str,
) -> None:
    monkeypatch.delenv(setting, raising=False)
    monkeypatch.setenv('ROS_DISTRO', distribution)
    monkeypatch.setenv('ROS_STATIC_PEERS', '192.168.0.2')
    monkeypatch.setenv('CYCLONEDDS_URI', 'file:///robot.xml')
    request.getfixturevalue('ros_domain')
    assert os.environ[setting] == value
    assert not {'ROS_STATIC_PEERS', 'CYCLONEDDS_URI'} & set(os.environ)
