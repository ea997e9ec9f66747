"""The packaged drive: what is asked about it fits it, and the whole demonstration runs on it."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('llava_phi.srv')

from rich.console import Console

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.bags.ground_truth import read_ground_truth
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.demo.demonstration import Show, demonstrate
from ros2_llava_phi.demo.drive import MOMENTS
from ros2_llava_phi.files.packaged import DATA

# How far from the moment of asking the frame may be that is looked at.
LATENESS_NS = 400_000_000


def test_the_moments_fit_the_drive() -> None:
    truth = read_ground_truth(DATA / 'drive_ground_truth.json')
    stamps: dict[str, list[int]] = {'front': [], 'rear': []}
    for frame in Recording(DATA / 'drive', must_be_whole=True).frames():
        stamps[frame.camera.split('/')[1]].append(frame.stamp_ns)
    for moment in MOMENTS:
        if moment.refused_with:
            continue
        first = stamps[moment.camera][0]
        asked_at = first + moment.at_s * 1e9
        near = [each for each in stamps[moment.camera] if abs(each - asked_at) < LATENESS_NS]
        answers = {truth.answer(moment.camera, each, moment.question) for each in near}
        # One answer, and a true one, whichever frame near that moment is looked at.
        assert len(answers) == 1, (moment, answers)
        (answer,) = answers
        assert answer, moment
        assert not moment.choices or answer in (*moment.choices, 'cannot tell')


def test_the_moments_show_what_there_is() -> None:
    assert len(MOMENTS) >= 10
    assert [each.at_s for each in MOMENTS] == sorted(each.at_s for each in MOMENTS)
    assert {each.kind for each in MOMENTS} == set(Kind)
    assert {'front', 'rear'} <= {each.camera for each in MOMENTS}
    assert any(each.refused_with for each in MOMENTS)
    asked = [(each.camera, each.question) for each in MOMENTS]
    assert len(set(asked)) < len(asked), 'nothing is asked again after a scene change'


def test_the_demonstration_begins(ros_domain: int, tmp_path: Path) -> None:
    show = Show(DATA / 'drive', read_ground_truth(DATA / 'drive_ground_truth.json'), MOMENTS[:4])
    exchanges = demonstrate(show, tmp_path / 'demo.html', Console(file=io.StringIO()))
    assert [each.error for each in exchanges] == [''] * 4
    assert all(each.truth for each in exchanges)
    assert sum(bool(each.right) for each in exchanges) >= 3
    for each in exchanges:
        assert each.timings.prefill > 0


def test_ctrl_c_ends_it(ros_domain: int, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, '-m', 'ros2_llava_phi.demo', '--page', str(tmp_path / 'demo.html')],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if 'Is there a car?' in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, 'stopped\n')
    assert 'Traceback' not in (tmp_path / 'demo.log').read_text()
