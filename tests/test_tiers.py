"""The two tiers of tests: what a quick one may not do, and that nothing is missing here."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MAY_LACK

ROOT = Path(__file__).resolve().parent.parent

DEEDS = """
import subprocess, sys
import pytest, torch

@pytest.fixture(scope='module')
def exported():
    torch.onnx.export(None)

def test_that_exports(exported):
    pass

def test_that_trains():
    torch.ones(1, requires_grad=True).sum().backward()

def test_that_starts_a_node():
    subprocess.run([sys.executable, '-c', '', '--ros-args'], check=True)

def test_that_starts_a_training():
    subprocess.run('true llava-phi train', shell=True, check=True)

def test_that_starts_anything_else():
    subprocess.run([sys.executable, '-c', ''], check=True)
"""


def run_pytest(folder: Path, *arguments: str) -> str:
    """Run the tests in a folder with the fixtures of these; return what was printed."""
    (folder / 'conftest.py').symlink_to(ROOT / 'tests' / 'conftest.py')
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', *arguments]
    return subprocess.run(
        [*command, '-c', ROOT / 'pyproject.toml', '--rootdir', folder, folder],
        cwd=folder,
        capture_output=True,
        text=True,
    ).stdout


def test_what_only_a_slow_test_may_do_fails_in_a_quick_one(tmp_path: Path) -> None:
    pytest.importorskip('torch')
    (tmp_path / 'test_quick.py').write_text(DEEDS)
    marked = DEEDS.replace('\ndef test', '\n@pytest.mark.slow\ndef test')
    # What exports nothing here would be an error of its own.
    (tmp_path / 'test_slow.py').write_text(marked.replace('torch.onnx.export(None)', 'pass'))
    printed = run_pytest(tmp_path)
    assert '3 failed, 6 passed, 1 error' in printed, printed
    assert printed.count('mark it with pytest.mark.slow') >= 4, printed
    assert 'test_that_starts_anything_else' not in printed


def test_a_test_that_takes_ros_is_slow(tmp_path: Path) -> None:
    (tmp_path / 'test_ros.py').write_text('def test_domain(ros_domain):\n    pass\n')
    assert '1 deselected' in run_pytest(tmp_path, '-m', 'not slow')


@pytest.mark.skipif(
    not Path(sys.prefix, '.dev.done').exists(), reason='this environment is not of `make dev`'
)
@pytest.mark.parametrize('name', sorted(MAY_LACK))
def test_nothing_is_skipped_where_everything_is_installed(name: str) -> None:
    assert importlib.util.find_spec(name)
