"""The versions that setup.cfg admits: `make floors` finds them, and says where there are none."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import floors
import pytest
from commands import SetupError

pytestmark = pytest.mark.skipif(
    not Path(sys.executable).with_name('uv').exists(), reason='uv is of `make dev`'
)


def offer(folder: Path, name: str, *versions: str, tag: str = 'py3-none-any') -> None:
    """Put wheels of a package into a folder."""
    for version in versions:
        stem = f'{name}-{version}'
        with zipfile.ZipFile(folder / f'{stem}-{tag}.whl', 'w') as wheel:
            about = f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'
            wheel.writestr(f'{stem}.dist-info/METADATA', about)
            wheel.writestr(f'{stem}.dist-info/WHEEL', f'Wheel-Version: 1.0\nTag: {tag}\n')
            wheel.writestr(f'{stem}.dist-info/RECORD', '')


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout whose only package index is the folder `wheels` in it."""
    (tmp_path / 'wheels').mkdir()
    (tmp_path / 'uv.toml').write_text('no-index = true\noffline = true\nfind-links = ["wheels"]\n')
    monkeypatch.setenv('UV_CONFIG_FILE', str(tmp_path / 'uv.toml'))
    monkeypatch.setenv('UV_CACHE_DIR', str(tmp_path / 'cache'))
    monkeypatch.setattr(floors, 'pip_index', lambda: '')
    (tmp_path / 'requirements').mkdir()
    require(tmp_path, 'thing>=1.1')
    (tmp_path / 'requirements' / 'robot.txt').write_text('# A comment.\nnumpy\n')
    (tmp_path / 'requirements' / 'robot-extras.txt').write_text('thing>=1.1\n')
    offer(tmp_path / 'wheels', 'numpy', '1.26.4')
    return tmp_path


def require(checkout: Path, *requirements: str, extra: str = 'thing') -> None:
    lines = ''.join(f'    {each}\n' for each in requirements)
    (checkout / 'setup.cfg').write_text(
        f'[options]\ninstall_requires =\n{lines}[options.extras_require]\nmore =\n    {extra}\n'
    )


def test_the_lowest_and_the_newest_that_go_together_are_found(checkout: Path) -> None:
    offer(checkout / 'wheels', 'thing', '1.0', '1.1', '2.0')
    wanted = ['thing>=1.1', 'numpy']
    for machine in floors.MACHINES:
        lowest = floors.resolve(wanted, '3.10', machine, 'lowest')
        assert lowest == ['numpy==1.26.4', 'thing==1.1']
        assert 'thing==2.0' in floors.resolve(wanted, '3.10', machine)
    floors.check_versions(checkout)


@pytest.mark.parametrize(
    ('tag', 'said'),
    [
        # Nothing; for another Python; for x86-64 alone.
        ('', 'no lowest versions of what is required go together for Python 3.10 on x86_64'),
        ('cp311-cp311-any', 'lowest versions .* for Python 3.10 on x86_64'),
        ('cp310-cp310-manylinux_2_28_x86_64', 'lowest versions .* for Python 3.10 on aarch64'),
        ('cp310-cp310-manylinux_2_39_aarch64', 'lowest versions .* for Python 3.10 on x86_64'),
    ],
)
@pytest.mark.parametrize('extra', [False, True])
def test_what_a_robot_cannot_have_is_refused_in_a_sentence(
    checkout: Path, tag: str, said: str, extra: bool
) -> None:
    offer(checkout / 'wheels', 'thing', '1.1')
    offer(checkout / 'wheels', 'other', *(['2.0'] if tag else []), tag=tag)
    if extra:
        require(checkout, 'thing>=1.1', extra='other>=2')
    else:
        require(checkout, 'thing>=1.1', 'other>=2')
    with pytest.raises(SetupError, match=said) as caught:
        floors.check_versions(checkout)
    assert 'other' in str(caught.value) and '\n' not in str(caught.value)


def test_ranges_that_exclude_each_other_are_refused(checkout: Path) -> None:
    offer(checkout / 'wheels', 'thing', '1.1')
    require(checkout, 'thing>=1.1', 'numpy>=2')
    with pytest.raises(SetupError, match=r'numpy'):
        floors.check_versions(checkout)


def test_pip_must_leave_a_robot_the_numpy_of_its_opencv(checkout: Path) -> None:
    offer(checkout / 'wheels', 'thing', '1.1')
    offer(checkout / 'wheels', 'numpy', '2.2.6')
    with pytest.raises(SetupError, match=r'would install numpy==2\.2\.6 .* Python 3\.10'):
        floors.check_versions(checkout)
    (checkout / 'requirements' / 'robot.txt').write_text('numpy<2; python_version < "3.11"\n')
    floors.check_versions(checkout)
    # What asks for another NumPy than Ubuntu 24.04 has.
    (checkout / 'requirements' / 'robot-extras.txt').write_text(
        'numpy>=2; python_version > "3.11"\n'
    )
    with pytest.raises(SetupError, match=r'for Python 3\.12'):
        floors.check_versions(checkout)


def test_a_failure_ends_with_2_and_one_line(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(floors, 'ROOT', checkout)
    monkeypatch.setattr(sys, 'argv', ['floors.py', '--venv', str(checkout / 'venv')])
    with pytest.raises(SystemExit, match='2'):
        floors.main()
    assert capsys.readouterr().err.startswith('make floors: no lowest versions of what is')


def test_the_lowest_versions_run_the_tests(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(checkout / 'wheels', 'thing', '1.1', '2.0')
    offer(checkout / 'wheels', 'pytest', '9')
    (checkout / 'requirements' / 'dev.txt').write_text('pytest==9\nruff==1\n')
    ran: list[list[str]] = []
    codes = [0, 1]

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if 'not slow' in command:
            ran.append(command)
            return subprocess.CompletedProcess(command, codes.pop(0))
        return genuine(command, **options)

    genuine = subprocess.run
    monkeypatch.setattr(subprocess, 'run', run)
    floors.run_lowest(checkout, checkout / 'venv')
    assert ran[0][0] == str(checkout / 'venv' / 'bin' / 'python')
    installed = {path.name for path in (checkout / 'venv').rglob('*.dist-info')}
    assert installed == {'pytest-9.dist-info', 'thing-1.1.dist-info'}
    with pytest.raises(SetupError, match='a test fails with the lowest versions'):
        floors.run_lowest(checkout, checkout / 'venv')
