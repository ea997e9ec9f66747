"""What an installation may lack: which package has it, and how it is had."""

import importlib
import re
import sys
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

# What comes with ROS 2, and this package's own interfaces, which colcon builds.
OF_ROS = re.compile(r'rclpy|launch|launch_ros|ament_index_python|bondpy|\w+_(msgs|interfaces)')
INTERFACES = 'llava_phi'
# Packages by their modules, where the names differ.
PACKAGES = {
    'PIL': 'pillow',
    'cv2': 'opencv-python-headless',
    'ruamel': 'ruamel.yaml',
}


def what_is_missing(error: ImportError) -> str | None:
    """
    Return in one sentence what is missing and how it is had: in a checkout, a wheel and colcon.

    All is named that the same feature needs and that is not installed either. None for what is no
    requirement of this package: then the error is a mistake in the code.
    """
    module = (error.name or '').partition('.')[0]
    if module == INTERFACES or OF_ROS.fullmatch(module):
        return _what_of_ros(module, error)
    # What onnxscript brings; the rest is asked for by name.
    module = {'onnx_ir': 'onnxscript'}.get(module, module)
    package = PACKAGES.get(module, module)
    for packages in _requirements().values():
        if package not in packages:
            continue
        if find_spec(module) is not None:
            lacking = [packages[package]]
            what = f'{package} is of a version that does not do ({error.msg})'
        else:
            lacking = [packages[name] for name in packages if not _is_installed(name)]
            what = f'{package} is missing'
        return f'{what}: `pip install {" ".join(map(repr, lacking))}`'
    return None


def run_main(command: str, module: str) -> int:
    """
    Run `main` of a module as a command, and return its exit code.

    If what the module imports is missing, at once or later, it is 2, after one line on stderr.
    """
    try:
        return int(importlib.import_module(module).main() or 0)
    except ImportError as error:
        sentence = what_is_missing(error)
        if sentence is None:
            raise
        print(f'{command}: {" ".join(sentence.split())}', file=sys.stderr)
        return 2


def _what_of_ros(module: str, error: ImportError) -> str:
    if module == INTERFACES:
        what = f'the interfaces of this package ({module}) are missing'
        return f'{what}: build it with `colcon build`, and `source install/setup.bash`'
    if find_spec(module) is not None:
        python = '{}.{}'.format(*sys.version_info)
        return f'the ROS 2 that is sourced is not for this Python, {python} ({error.msg})'
    return (
        f'ROS 2 is missing ({module}): `source /opt/ros/DISTRO/setup.bash` in this shell, or '
        'install it first; then build this package with `colcon build`'
    )


def _requirements() -> dict[str, dict[str, str]]:
    """Return what setup.cfg asks for by package, by extra; '' is what is always needed."""
    by_extra: dict[str, dict[str, str]] = {}
    try:
        lines = requires('ros2_llava_phi') or []
    except PackageNotFoundError:  # run from a folder, where neither pip nor colcon installed it
        lines = []
    for line in lines:
        requirement, _, marker = line.partition(';')
        extra = re.search(r'extra == .(\w+)', marker)
        package = re.split(r'[^\w.-]', requirement, maxsplit=1)[0]
        packages = by_extra.setdefault(extra[1] if extra else '', {})
        packages[package] = re.sub(r'[\s()]', '', requirement)
    return by_extra


def _is_installed(package: str) -> bool:
    modules = [module for module, name in PACKAGES.items() if name == package]
    return find_spec((modules or [package])[0]) is not None
