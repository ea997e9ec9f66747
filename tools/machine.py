"""What the machine must have before the set-up can start."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from commands import SetupError

GIGABYTES_NEEDED = 3
GIGABYTES_WITH_CUDA = 10


def check(folder: Path) -> None:
    """Raise SetupError if anything is missing, naming all of it and the packages that have it."""
    missing = missing_parts(folder)
    if missing:
        raise SetupError('this is missing:\n' + '\n'.join(f'  - {part}' for part in missing))


def missing_parts(folder: Path) -> list[str]:
    """Return a sentence for each thing that an installation below `folder` needs and lacks."""
    python = f'python{sys.version_info[0]}.{sys.version_info[1]}'
    missing = []
    if (sys.platform, platform.machine()) != ('linux', 'x86_64'):
        missing.append(
            'Linux on x86-64: ROS 2 wheels exist for nothing else. '
            'Where ROS 2 is installed, see "On a robot" in the README.'
        )
    if platform.libc_ver()[0] != 'glibc':
        missing.append('the GNU C library: the wheels of ROS 2 and PyTorch are built against it')
    if ' ' in str(folder):
        missing.append(f'a path without spaces, which CMake and scripts need: {folder}')
    if not importlib.util.find_spec('ensurepip') or not importlib.util.find_spec('venv'):
        missing.append(f'the module venv with pip (Debian and Ubuntu: apt install {python}-venv)')
    if not Path(sysconfig.get_path('include'), 'Python.h').exists():
        missing.append(f'the headers of Python (Debian and Ubuntu: apt install {python}-dev)')
    if not any(map(shutil.which, filter(None, (os.environ.get('CXX'), 'c++', 'g++', 'clang++')))):
        missing.append('a C++ compiler (Debian and Ubuntu: apt install g++)')
    if not shutil.which('cmake'):
        missing.append('CMake (Debian and Ubuntu: apt install cmake)')
    free = shutil.disk_usage(folder).free / 1e9
    if free < GIGABYTES_NEEDED:
        missing.append(f'disk space: {GIGABYTES_NEEDED} GB at the least, {free:.1f} GB are free')
    return missing


def check_torch_fits(
    folder: Path, python: Path, requirements: str, environment: Mapping[str, str]
) -> None:
    """Raise SetupError if pip would install PyTorch with CUDA, and there is no room for it.

    folder: the virtual environment. python: its interpreter. requirements: text that pins torch.
    """
    # pip is asked last: that takes the network.
    free = shutil.disk_usage(folder).free / 1e9
    if free >= GIGABYTES_WITH_CUDA or any(folder.glob('lib/python*/site-packages/torch')):
        return
    (version,) = re.findall(r'^torch==(\S+)$', requirements, re.MULTILINE)
    found = subprocess.run(
        [python, '-m', 'pip', 'index', 'versions', 'torch'],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if f'{version}+cpu' not in re.findall(r'[^\s,]+', found.stdout):
        raise SetupError(
            f'this is missing:\n  - disk space: {GIGABYTES_WITH_CUDA} GB, as PyTorch from PyPI '
            f'brings CUDA along; {free:.1f} GB are free. {GIGABYTES_NEEDED} GB are enough where '
            f'pip finds torch {version}+cpu (PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS).'
        )
