"""Threads of an engine: what the process may use, a core left free from four up, or as asked."""

import os
from pathlib import Path
from typing import Any

import pytest

from ros2_llava_phi import errors, load
from ros2_llava_phi.engine import cpu_threads as module
from ros2_llava_phi.engine.cpu_threads import cpu_quota, cpu_threads, usable_cores
from ros2_llava_phi.engine.onnx_engine import OnnxEngine


@pytest.mark.parametrize(('cores', 'threads'), [(1, 1), (2, 2), (3, 3), (4, 3), (8, 7), (96, 95)])
def test_a_core_is_left_free_from_four_up(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr(module, 'usable_cores', lambda: cores)
    assert cpu_threads() == threads
    assert cpu_threads(5) == 5


def test_affinity_limits_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, 'cpu_quota', lambda: float('inf'))
    monkeypatch.setattr(module, 'TOPOLOGY', Path('/nowhere'))
    monkeypatch.setattr(os, 'process_cpu_count', lambda: None, raising=False)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: {2, 3, 7})
    assert usable_cores() == 3
    monkeypatch.setattr(module, 'cpu_quota', lambda: 2.5)
    assert usable_cores() == 2
    monkeypatch.setattr(module, 'cpu_quota', lambda: 0.5)
    assert usable_cores() == 1
    monkeypatch.setattr(os, 'process_cpu_count', lambda: 1, raising=False)
    monkeypatch.setattr(module, 'cpu_quota', lambda: float('inf'))
    assert usable_cores() == 1


def test_hardware_threads_of_one_core_are_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for cpu in range(8):
        topology = tmp_path / f'cpu{cpu}' / 'topology'
        topology.mkdir(parents=True)
        (topology / 'thread_siblings_list').write_text(f'{cpu % 4},{cpu % 4 + 4}\n')
    monkeypatch.setattr(module, 'TOPOLOGY', tmp_path)
    monkeypatch.setattr(module, 'cpu_quota', lambda: float('inf'))
    monkeypatch.setattr(os, 'process_cpu_count', lambda: None, raising=False)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: set(range(8)))
    assert usable_cores() == 4


@pytest.mark.parametrize(
    ('process', 'files', 'cores'),
    [
        ('0::/\n', {}, float('inf')),
        ('0::/robot/vqa\n', {'robot/vqa/cpu.max': 'max 100000\n'}, float('inf')),
        ('0::/robot/vqa\n', {'robot/vqa/cpu.max': '150000 100000\n'}, 1.5),
        (
            '0::/robot/vqa\n',
            {'robot/vqa/cpu.max': '800000 100000', 'robot/cpu.max': '300000 100000'},
            3.0,
        ),
        ('0::/\n', {'cpu.max': '200000 100000\n'}, 2.0),
        (
            '4:cpu,cpuacct:/docker/1\n',
            {
                'cpu,cpuacct/docker/1/cpu.cfs_quota_us': '250000\n',
                'cpu,cpuacct/docker/1/cpu.cfs_period_us': '100000\n',
            },
            2.5,
        ),
        (
            '1:cpu:/\n',
            {'cpu/cpu.cfs_quota_us': '-1\n', 'cpu/cpu.cfs_period_us': '100000\n'},
            float('inf'),
        ),
        ('0::/\n', {'cpu.max': 'nonsense'}, float('inf')),
    ],
)
def test_a_control_groups_processor_time_limits_the_cores(
    tmp_path: Path, process: str, files: dict[str, str], cores: float
) -> None:
    (tmp_path / 'process').write_text(process)
    for name, text in files.items():
        (tmp_path / 'cgroup' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'cgroup' / name).write_text(text)
    assert cpu_quota(tmp_path / 'process', tmp_path / 'cgroup') == cores


def test_an_engine_takes_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, 'usable_cores', lambda: 6)
    for asked, threads in ((0, 5), (2, 2)):
        engine = load('llava-phi-tiny', 'onnxruntime', threads=asked)._responder.engine
        assert isinstance(engine, OnnxEngine)
        options = engine._vision.get_session_options()
        assert engine.threads == options.intra_op_num_threads == threads


def test_pytorch_takes_what_is_asked_for_and_no_more_than_it_has() -> None:
    torch = pytest.importorskip('torch')
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert load('llava-phi-tiny', 'torch')._responder.engine.threads == 1
        assert load('llava-phi-tiny', 'torch', threads=2)._responder.engine.threads == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize('threads', [-1, 1.5, True, '2', 10**6])
def test_what_is_no_number_of_threads_is_refused(threads: Any) -> None:
    with pytest.raises(errors.ModelError, match='threads is a number from 0'):
        load('llava-phi-tiny', threads=threads)
