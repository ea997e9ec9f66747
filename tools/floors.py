"""Hold the versions that setup.cfg admits to what is true: `make floors`.

For Python 3.10, which Ubuntu 22.04 and JetPack 6 have, the lowest and the newest of them must
exist as wheels that go together, on x86-64 and on aarch64; what a robot gets from pip must leave
it a NumPy that its OpenCV and cv_bridge can use; and the quick tests must pass with the lowest
versions that exist for this Python, without PyTorch and without ROS.
"""

import argparse
import configparser
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

from commands import SetupError, clean_environment

ROOT = Path(__file__).resolve().parent.parent
MACHINES = ('x86_64', 'aarch64')
# Of what setup.cfg names itself; whatever that needs is the newest, as pip would have it.
RESOLUTIONS = {'lowest': 'lowest-direct', 'newest': 'highest'}
# What Ubuntu 22.04 and 24.04 have: a Python, and the NumPy that is installed there from the start.
# Extension modules built for NumPy 1.21 run with any 1.x, so that pip may install a later one.
ROBOTS = {'3.10': '', '3.12': 'numpy==1.26.4'}
# Extras that the quick tests do without: PyTorch's, and Ray's.
LARGE = ('ray', 'tensorboard', 'train')
TESTS = ('-m', 'not slow', '-q', '-n', 'auto', '--maxprocesses', '4', '--dist', 'worksteal')


def admitted(setup_cfg: Path) -> dict[str, list[str]]:
    """Return what setup.cfg requires, by the name of the extra; '' without one."""
    parser = configparser.ConfigParser()
    parser.read(setup_cfg)
    texts = {
        '': parser['options']['install_requires'],
        **parser['options.extras_require'],
    }
    return {extra: text.strip().splitlines() for extra, text in texts.items()}


def required(file: Path) -> list[str]:
    """Return what a requirements file asks for, without its comments."""
    return [line for line in file.read_text().splitlines() if line and not line.startswith('#')]


def resolve(
    wanted: list[str], python: str, machine: str = '', versions: str = 'newest'
) -> list[str]:
    """
    Return versions that go together and exist as wheels, a `package==version` each.

    python: `3.10`. machine: x86_64 or aarch64, both with Linux; this one without. versions: lowest
    or newest.

    Raises SetupError with the reason if there are none.
    """
    options = ['--python', sys.executable, '--python-version', python]
    options += ['--resolution', RESOLUTIONS[versions]]
    if machine:
        options += ['--python-platform', f'{machine}-manylinux_2_28']
    command = ['pip', 'compile', '--quiet', '--no-annotate', '--no-header']
    ran = uv([*command, '--only-binary', ':all:', *options, '-'], '\n'.join(wanted))
    if ran.returncode:
        raise SetupError(
            f'no {versions} versions of what is required go together for Python {python} on '
            f'{machine or "this machine"}: {" ".join(ran.stderr.split())}'
        )
    return ran.stdout.split()


def uv(arguments: list[str], text: str = '') -> subprocess.CompletedProcess[str]:
    """Run uv, which does not read by itself where pip is told to look for packages."""
    environment = {'UV_PYTHON_DOWNLOADS': 'never', **clean_environment()}
    if index := pip_index():
        environment.setdefault('UV_DEFAULT_INDEX', index)
    return subprocess.run(
        [str(Path(sys.executable).with_name('uv')), *arguments],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
    )


@functools.cache
def pip_index() -> str:
    """Return where pip looks for packages, if it is told to look elsewhere than usual."""
    command = [sys.executable, '-m', 'pip', 'config', 'get', 'global.index-url']
    configured = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return os.environ.get('PIP_INDEX_URL', configured)


def check_versions(root: Path) -> None:
    """Raise SetupError if what setup.cfg or the robot's files admit cannot be had."""
    every = [each for some in admitted(root / 'setup.cfg').values() for each in some]
    for machine in MACHINES:
        for versions in RESOLUTIONS:
            count = len(resolve(every, '3.10', machine, versions))
            print(f'Python 3.10, {machine}, {versions} versions: {count} packages', flush=True)
    files = [root / 'requirements' / name for name in ('robot.txt', 'robot-extras.txt')]
    from_pip = [each for file in files for each in required(file)]
    for python, from_apt in ROBOTS.items():
        for machine in MACHINES:
            found = resolve([*from_pip, from_apt], python, machine)
            numpy = [each for each in found if each.startswith('numpy==')]
            if not numpy[0].startswith('numpy==1.'):
                raise SetupError(
                    f'pip would install {numpy[0]} on a robot with Python {python}, which its '
                    'OpenCV and cv_bridge cannot use; requirements/robot.txt must admit 1.x only'
                )
            print(f'a robot with Python {python}, {machine}: {numpy[0]}', flush=True)


def run_lowest(root: Path, venv: Path) -> None:
    """Run the quick tests with the lowest versions; raise SetupError if one fails."""
    pinned = required(root / 'requirements' / 'dev.txt')
    tests = [each for each in pinned if re.match('pytest(-xdist)?==', each)]
    python = '{}.{}'.format(*sys.version_info)
    extras = admitted(root / 'setup.cfg')
    wanted = [each for extra, some in extras.items() if extra not in LARGE for each in some]
    lowest = resolve([*wanted, *tests], python, versions='lowest')
    print('the quick tests with', *lowest, flush=True)
    if not venv.exists():
        uv(['venv', '--quiet', '--python', sys.executable, str(venv)])
    installed = uv(['pip', 'sync', '--quiet', '--python', str(venv), '-'], '\n'.join(lowest))
    if installed.returncode:
        raise SetupError(f'they cannot be installed: {" ".join(installed.stderr.split())}')
    command = [str(venv / 'bin' / 'python'), '-m', 'pytest', *TESTS]
    if subprocess.run(command, cwd=root, env=clean_environment()).returncode:
        raise SetupError('a test fails with the lowest versions; raise the bound that allows them')


def main() -> None:
    """Check all of it; leave with 2 and one line where something is not so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--venv', type=Path, required=True, help='where the lowest are installed')
    venv = parser.parse_args().venv
    try:
        check_versions(ROOT)
        run_lowest(ROOT, venv.absolute())
    except SetupError as failure:
        print(f'make floors: {failure}', file=sys.stderr)
        sys.exit(2)


if __name__ == '__main__':
    main()
