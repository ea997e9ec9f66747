"""The package as a whole: its manifest, its interfaces, what it installs, who imports what."""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest
from helpers import MODULE, imports

import ros2_llava_phi

ROOT = MODULE.parent

# Where alone these may be imported.
ROS_ROOMS = {'node', 'client', 'demo'}
HOMES = {'rclpy': ROS_ROOMS, 'llava_phi': ROS_ROOMS, 'rosbags': {'bags'}}


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg')
    return parser


def interface_files() -> list[Path]:
    return sorted(
        [*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv'), *ROOT.glob('action/*.action')]
    )


def module_files() -> list[Path]:
    files = [file for file in MODULE.rglob('*.py') if 'training' not in file.parts]
    return sorted([*files, *(MODULE / 'training').rglob('*.py')])


def test_the_manifest_is_valid() -> None:
    # colcon only mumbles when it is not, and then skips the package.
    parser = pytest.importorskip('catkin_pkg.package')
    warnings: list[str] = []
    package = parser.parse_package(str(ROOT / 'package.xml'), warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []
    assert package.name == 'llava_phi'
    assert package.get_build_type() == 'ament_cmake'
    assert [group.name for group in package.member_of_groups] == ['rosidl_interface_packages']


def test_manifest_and_module_have_one_version() -> None:
    manifest = ElementTree.parse(ROOT / 'package.xml')
    changelog = (ROOT / 'CHANGELOG.rst').read_text()
    assert manifest.findtext('version') == ros2_llava_phi.__version__
    assert re.search(rf'^{re.escape(ros2_llava_phi.__version__)} \(', changelog, re.MULTILINE)


def test_the_license_is_apache_everywhere() -> None:
    manifest = ElementTree.parse(ROOT / 'package.xml')
    assert manifest.findtext('license') == setup_cfg()['metadata']['license'] == 'Apache-2.0'
    text = (ROOT / 'LICENSE').read_text()
    assert 'Apache License' in text
    assert 'Version 2.0' in text
    assert 'END OF TERMS AND CONDITIONS' in text


def test_cmake_builds_every_interface() -> None:
    cmake = (ROOT / 'CMakeLists.txt').read_text()
    built = set(re.findall(r'\b(?:msg|srv|action)/\w+\.(?:msg|srv|action)\b', cmake))
    assert built == {str(file.relative_to(ROOT)) for file in interface_files()}


def test_cmake_and_manifest_name_the_same_interface_packages() -> None:
    cmake = (ROOT / 'CMakeLists.txt').read_text()
    generated_with = re.search(r'DEPENDENCIES ([^)]*)\)', cmake)
    assert generated_with is not None
    used = set()
    for file in interface_files():
        used |= set(re.findall(r'^(\w+)/\w+', file.read_text(), re.MULTILINE)) - {'llava_phi'}
    manifest = ElementTree.parse(ROOT / 'package.xml')
    assert set(generated_with[1].split()) == used
    assert {item.text for item in manifest.findall('depend')} == used


def test_the_manifest_names_every_ros_package_that_is_imported() -> None:
    manifest = ElementTree.parse(ROOT / 'package.xml')
    declared = {item.text for kind in ('depend', 'exec_depend') for item in manifest.findall(kind)}
    for_tests = declared | {item.text for item in manifest.findall('test_depend')}
    of_ros = re.compile(
        r'ament_index_python|launch|launch_ros|launch_testing|rclpy|\w+_(msgs|interfaces)'
    )
    for file in [*module_files(), *ROOT.glob('launch/*.py'), *ROOT.glob('tests/*.py')]:
        known = for_tests if file.parent.name == 'tests' else declared
        used = {name.split('.')[0] for name in imports(file)}
        assert {name for name in used if of_ros.fullmatch(name)} <= known, file.name


def requirements(text: str) -> dict[str, str]:
    """Return the versions that are asked for, by package, markers aside."""
    return dict(re.findall(r'^([\w.-]+)([=<>!][^;\n]*)', text, re.MULTILINE))


def test_a_robot_gets_from_pip_what_apt_does_not_have() -> None:
    options = setup_cfg()
    wanted = requirements(options['options']['install_requires'])
    robot = requirements((ROOT / 'requirements' / 'robot.txt').read_text())
    extras = requirements((ROOT / 'requirements' / 'robot-extras.txt').read_text())
    # NumPy is apt's; pip must know what it may put in its place.
    assert robot.pop('numpy') == f'{wanted["numpy"]},<2'
    assert {**robot, **extras}.items() <= wanted.items()
    assert set(wanted) - set(robot) - set(extras) == {
        'filelock',
        'numpy',
        'opencv-python-headless',
        'pillow',
        'ruamel.yaml',
    }


def test_what_the_node_imports_is_told() -> None:
    pytest.importorskip('llava_phi')
    program = (
        'import sys, ros2_llava_phi, ros2_llava_phi.node.run\n'
        "ros2_llava_phi.load('llava-phi-tiny')\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('ros2_llava_phi.')))\n"
    )
    ran = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    loaded = [Path(name) for name in ran.stdout.split()]
    assert any(file.name == 'onnx_engine.py' for file in loaded)
    imported = set()
    for file in loaded:
        # What is imported within a function may never be.
        top = ast.parse(file.read_text()).body
        tried = [item for each in top if isinstance(each, ast.Try) for item in each.body]
        for item in [*top, *tried]:
            if isinstance(item, ast.Import):
                imported |= {name.name.split('.')[0] for name in item.names}
            elif isinstance(item, ast.ImportFrom) and item.module and not item.level:
                imported.add(item.module.split('.')[0])
    manifest = ElementTree.parse(ROOT / 'package.xml')
    of_ros = {item.text for kind in ('depend', 'exec_depend') for item in manifest.findall(kind)}
    imported -= {*sys.stdlib_module_names, *of_ros, 'ros2_llava_phi', 'llava_phi'}
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    rows = re.findall(r'^\| `(\w+)` \| (?:`([\w.-]+)`|none: pip) \|', text, re.MULTILINE)
    assert {module for module, _ in rows} == imported
    assert {key for _, key in rows if key} <= of_ros
    robot = requirements((ROOT / 'requirements' / 'robot.txt').read_text())
    by_pip = {module for module, key in rows if not key} - {'annotated_types', 'pydantic_core'}
    assert by_pip == set(robot) - {'numpy'}


def test_everything_that_the_module_needs_is_pinned() -> None:
    options = setup_cfg()
    wanted = requirements(options['options']['install_requires'])
    training = requirements(options['options.extras_require']['train'])
    run, train = (
        requirements((ROOT / 'requirements' / name).read_text())
        for name in ('run.txt', 'train.txt')
    )
    assert set(run) == set(wanted)
    assert set(train) == set(training)
    assert all(version.startswith('==') for version in {**run, **train}.values())
    assert 'torch' not in run


def test_what_is_pinned_is_admitted() -> None:
    packaging = pytest.importorskip('packaging.requirements')
    parser = setup_cfg()
    texts = [parser['options']['install_requires'], *parser['options.extras_require'].values()]
    admitted = {
        each.name: each.specifier
        for each in map(packaging.Requirement, filter(None, '\n'.join(texts).split('\n')))
    }
    assert '1.24.1' not in admitted['onnxruntime'], 'it does not read linked files'
    assert all(each in admitted['onnxruntime'] for each in ('1.22.0', '1.23.2'))
    for file in (ROOT / 'requirements').glob('*.txt'):
        for line in re.findall(r'^[\w.-]+==[^#\n]+', file.read_text(), re.MULTILINE):
            pinned = packaging.Requirement(line)
            version = str(pinned.specifier).removeprefix('==')
            assert version in admitted.get(pinned.name, pinned.specifier), f'{file.name}: {line}'


def test_what_texts_advise_to_install_is_what_is_admitted() -> None:
    parser = setup_cfg()
    texts = [parser['options']['install_requires'], *parser['options.extras_require'].values()]
    admitted = requirements('\n'.join(texts))
    advised = [
        (file.name, *found)
        for file in [*module_files(), *ROOT.glob('docs/*.md'), ROOT / 'README.md']
        for found in re.findall(r"'([\w.-]+)([<>]=?[\w.]+)'", file.read_text())
    ]
    assert {package for _, package, _ in advised} >= {'av', 'simplejpeg'}
    assert [each for each in advised if admitted.get(each[1]) != each[2]] == []


@pytest.mark.parametrize('file', interface_files(), ids=lambda file: file.name)
def test_every_interface_field_is_commented(file: Path) -> None:
    # A comment stands on the line, or above the block of lines that the field is in.
    uncommented = []
    block_has_comment = False
    for line in file.read_text().splitlines():
        if not line or line == '---':
            block_has_comment = False
        elif line.startswith('#'):
            block_has_comment = True
        elif '#' not in line and not block_has_comment:
            uncommented.append(line)
    assert uncommented == []


def test_entry_points_can_be_called() -> None:
    lines = setup_cfg()['options.entry_points']['console_scripts'].split('\n')
    scripts = dict(re.split(r'\s*=\s*', line) for line in lines if line)
    # `pip install` puts them where all commands are; `replay` is a name for `ros2 run` only.
    assert set(scripts) == {'llava-phi', 'vqa_node'}
    cmake = (ROOT / 'cmake' / 'install_module.cmake').read_text()
    (of_ros2_run,) = re.findall(r'replay = (\S+:\w+)', cmake)
    for target in (*scripts.values(), of_ros2_run):
        module, function = target.split(':')
        file = ROOT / (module.replace('.', '/') + '.py')
        defined = {item.name for item in ast.parse(file.read_text()).body if hasattr(item, 'name')}
        assert function in defined, f'{target} does not exist'


@pytest.mark.parametrize('file', module_files(), ids=lambda file: str(file.relative_to(MODULE)))
def test_what_not_every_machine_has_stays_in_its_room(file: Path) -> None:
    part = file.relative_to(MODULE).parts[0].removesuffix('.py')
    for name in imports(file):
        top = name.partition('.')[0]
        assert top not in {'training', 'tests', 'tiny'}, f'{name} is not installed'
        assert part in HOMES.get(top, {part}), f'{top} does not belong into {part}/'


def test_the_contract_on_imports_sees_training_too(tmp_path: Path) -> None:
    pytest.importorskip('importlinter')
    shutil.copy(ROOT / 'pyproject.toml', tmp_path)
    for name in ('ros2_llava_phi', 'training'):
        shutil.copytree(
            ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns('data')
        )

    def lint() -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name('lint-imports')), '--no-cache']
        environment = {**os.environ, 'PYTHONPATH': str(tmp_path), 'COLUMNS': '200'}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    kept = lint()
    assert kept.returncode == 0, kept.stdout + kept.stderr
    for planted in ('ros2_llava_phi.cli.ask', 'ros2_llava_phi.replay.runs'):
        (tmp_path / 'training' / 'planted.py').write_text(f'import {planted}\n')
        broken = lint()
        assert broken.returncode == 1, broken.stdout + broken.stderr
        assert f'ros2_llava_phi.training.planted -> {planted}' in broken.stdout


@pytest.fixture(scope='module')
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel that pip builds from the checkout."""
    pytest.importorskip('setuptools', '64')
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    source.mkdir()
    # From links, so that setuptools writes nothing into the checkout.
    for name in ('setup.py', 'setup.cfg', 'pyproject.toml', 'LICENSE', 'ros2_llava_phi'):
        (source / name).symlink_to(ROOT / name)
    for name in ('training', 'tests', 'launch', 'config'):
        (source / name).symlink_to(ROOT / name)
    subprocess.run(
        [
            *(sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps'),
            *('--no-build-isolation', '--wheel-dir', folder, source),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    (file,) = folder.glob('*.whl')
    return file


@pytest.fixture(scope='module')
def wheel(wheel_file: Path) -> list[str]:
    """Return the names of the files in the wheel."""
    with zipfile.ZipFile(wheel_file) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_pip_installs_one_module_and_nothing_beside_it(wheel: list[str]) -> None:
    version = ros2_llava_phi.__version__
    tops = {name.split('/')[0] for name in wheel}
    assert tops == {'ros2_llava_phi', f'ros2_llava_phi-{version}.dist-info'}


@pytest.mark.slow
def test_pip_installs_the_code_and_its_data(wheel: list[str]) -> None:
    on_disk = {
        'ros2_llava_phi/' + str(file.relative_to(MODULE))
        for file in [*module_files(), *MODULE.rglob('data/**/*'), *MODULE.rglob('*.j2')]
        if file.is_file()
    }
    assert on_disk <= set(wheel)


@pytest.mark.slow
def test_a_wheel_alone_says_what_its_commands_lack(wheel_file: Path, tmp_path: Path) -> None:
    python = tmp_path / 'venv' / 'bin' / 'python'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', tmp_path / 'venv'], check=True)
    pip: list[str | Path] = [sys.executable, '-m', 'pip', '--python', python, 'install', '-q']
    # Away from this environment, which has the package, too.
    bare = {'PATH': os.environ['PATH']}
    subprocess.run([*pip, '--no-deps', '--no-index', wheel_file], env=bare, check=True)
    needed = requirements(setup_cfg()['options']['install_requires'])
    for command, said in {
        'vqa_node': 'vqa_node: ROS 2 is missing (rclpy): `source /opt/ros/DISTRO/setup.bash`',
        'llava-phi': 'llava-phi: typer is missing: `pip install ',
        'python -m ros2_llava_phi.demo': 'demo: rich is missing: `pip install ',
    }.items():
        name, *arguments = command.split()
        ran = subprocess.run(
            [python.with_name(name), *arguments],
            env=bare,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 2, ran.stderr
        assert ran.stderr.startswith(said) and ran.stderr.count('\n') == 1, ran.stderr
        if 'pip install' in said:
            assert set(re.findall(r"'([\w.-]+)[<>=!]", ran.stderr)) == set(needed)


@pytest.mark.slow
def test_an_installed_package_has_all_that_its_questions_name(
    wheel_file: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel_file) as archive:
        archive.extractall(tmp_path / 'site')
    # As colcon installs them: away from the module.
    share = tmp_path / 'share' / 'config' / 'questions'
    shutil.copytree(ROOT / 'config' / 'questions', share)
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path / 'site')}
    program = (
        'import sys; from ros2_llava_phi.cli.main import main;'
        'import ros2_llava_phi.assistant.load as load;'
        "load.load = lambda *given: sys.exit('all there')\n"
        'main()'
    )
    for questions in ('questions/drive.yaml', 'questions/drive.csv', f'{share}/drive.yaml'):
        command = ['replay', 'drive', '--questions', questions, '-o', str(tmp_path / 'out')]
        ran = subprocess.run(
            [sys.executable, '-c', program, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert ran.stderr == 'all there\n', ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize('symlinks', [False, True])
def test_a_rebuild_leaves_no_stale_module(tmp_path: Path, symlinks: bool) -> None:
    pytest.importorskip('ament_package')
    source, installed = tmp_path / 'source', tmp_path / 'install'
    module = source / 'ros2_llava_phi'
    (source / 'training').mkdir(parents=True)
    (source / 'training' / '__init__.py').touch()
    (module / 'node').mkdir(parents=True)
    (module / 'training').symlink_to(Path('..', 'training'))
    (source / 'config' / 'questions').mkdir(parents=True)
    (source / 'config' / 'questions' / 'drive.yaml').touch()
    (module / 'data').mkdir()
    (module / 'data' / 'questions').symlink_to(Path('..', '..', 'config', 'questions'))
    for name in ('__init__.py', 'old.py', 'node/__init__.py', 'node/old.py'):
        (module / name).touch()
    for name in ('setup.cfg', 'package.xml', 'cmake'):
        (source / name).symlink_to(ROOT / name)
    (source / 'CMakeLists.txt').write_text(
        'cmake_minimum_required(VERSION 3.16)\n'
        'project(llava_phi NONE)\n'
        'find_package(ament_cmake REQUIRED)\n'
        'find_package(ament_cmake_python REQUIRED)\n'
        'include(cmake/install_module.cmake)\n'
        'ament_package()\n'
    )

    def build() -> set[str]:
        configure = [
            *('cmake', '-S', str(source), '-B', str(tmp_path / 'build')),
            *(f'-DCMAKE_INSTALL_PREFIX={installed}', f'-DPython3_EXECUTABLE={sys.executable}'),
            f'-DAMENT_CMAKE_SYMLINK_INSTALL={int(symlinks)}',
        ]
        install = f'cmake --build {tmp_path / "build"} --parallel --target install'
        for command in (configure, install.split()):
            result = subprocess.run(command, capture_output=True, text=True)
            assert result.returncode == 0, result.stdout + result.stderr
        # What Python would find: a link to nothing is no module.
        files = [file for file in installed.rglob('*.py') if file.exists()]
        return {str(file.relative_to(installed)).split('ros2_llava_phi/')[1] for file in files}

    kept = {'__init__.py', 'node/__init__.py', 'training/__init__.py'}
    assert build() == kept | {'old.py', 'node/old.py'}
    (questions,) = installed.rglob('data/questions')
    assert (questions / 'drive.yaml').exists()
    (module / 'old.py').unlink()
    (module / 'node' / 'old.py').unlink()
    assert build() == kept
    # What a command names as missing is read from there.
    (declared,) = installed.rglob('ros2_llava_phi*.egg-info/requires.txt')
    assert re.search('^torch>=', declared.read_text(), re.MULTILINE)
    commands = {file.name for file in installed.glob('lib/llava_phi/*')}
    assert commands == {'llava-phi', 'replay', 'vqa_node'}


def test_test_modules_are_skipped_where_a_robot_lacks_what_they_import(tmp_path: Path) -> None:
    (tmp_path / 'conftest.py').symlink_to(ROOT / 'tests' / 'conftest.py')
    for name in ('rosbags', 'numpy'):
        (tmp_path / f'test_with_{name}.py').write_text(
            f'import sys\nsys.modules[{name!r}] = None\nimport {name}\n'
        )
    command = [sys.executable, '-m', 'pytest', '-ra', '-p', 'no:cacheprovider', str(tmp_path)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert '1 skipped, 1 error' in result.stdout, result.stdout
    assert 'SKIPPED [1] test_with_rosbags.py' in result.stdout
