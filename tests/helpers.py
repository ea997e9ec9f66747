"""What several test modules need."""

import ast
import copy
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ros2_llava_phi.bags.bag import COMPRESSED_IMAGE

MODULE = Path(__file__).resolve().parent.parent / 'ros2_llava_phi'

Result = TypeVar('Result')

# Words of pydantic's that no user should read.
PYDANTICS = re.compile('valid |type=|pydantic|Input should|Field required|Value error|instance of')


def wait_for(condition: Callable[[], Result], seconds: float, what: str) -> Result:
    """Return the first true result of `condition`; fail the test if there is none in time.

    `what` completes the sentence "waited in vain for ...".
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f'waited {seconds:g} s in vain for {what}')
        time.sleep(0.01)
    return result


def write_compressed(
    path: Path, pictures: list[bytes], named: str = 'jpeg', start_ns: int = 1_760_000_000 * 10**9
) -> None:
    """Write a bag of pictures as they are, a second apart, as messages of /front."""
    types = get_typestore(Stores.ROS2_JAZZY)
    known = types.types
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/front', COMPRESSED_IMAGE, typestore=types)
        for index, data in enumerate(pictures):
            stamp_ns = start_ns + index * 10**9
            stamp = known['builtin_interfaces/msg/Time'](*divmod(stamp_ns, 10**9))
            header = known['std_msgs/msg/Header'](stamp, 'optical')
            message = known[COMPRESSED_IMAGE](header, named, np.frombuffer(data, np.uint8))
            writer.write(connection, stamp_ns, types.serialize_cdr(message, COMPRESSED_IMAGE))


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of everything in nested settings: names, and numbers in lists."""
    entries = content.items() if isinstance(content, dict) else enumerate(content)
    for name, value in entries:
        yield (*path, name)
        if isinstance(value, dict | list):
            yield from places(value, (*path, name))


# What somebody may write where something else belongs.
WRONG: tuple[object, ...] = (
    *('often', '', ' ', 'a, b', 'nan', 'a\x00b', '\ud800', 'x' * 2000, True, None),
    *(-1, 1.5, 10**400, float('nan')),
    *([], [[]], [None], [1, 'a', []], {}, {'a': {'b': []}}, [{'question': 5}]),
)


def spoiled(content: Any, place: tuple[Any, ...]) -> Iterator[Any]:
    """Yield nested settings once with each wrong value at a place."""
    for wrong in WRONG:
        whole = copy.deepcopy(content)
        part = whole
        for step in place[:-1]:
            part = part[step]
        part[place[-1]] = wrong
        yield whole


def assert_one_sentence(error: Exception, path: Path) -> str:
    """Return what an error says, which must be one line about a file, in words of ours."""
    text = str(error)
    assert text.startswith(str(path)) and '\n' not in text and len(text) < 500, text
    assert not PYDANTICS.search(text), text
    return text


def imports(file: Path) -> Iterator[str]:
    """Yield the absolute name of every module that a file imports, wherever in the file."""
    inside = file.relative_to(MODULE).parts[:-1] if file.is_relative_to(MODULE) else ()
    package = ['ros2_llava_phi', *inside]
    for item in ast.walk(ast.parse(file.read_text())):
        if isinstance(item, ast.Import):
            yield from (name.name for name in item.names)
        elif isinstance(item, ast.ImportFrom):
            base = package[: len(package) - item.level + 1] if item.level else []
            module = '.'.join([*base, *([item.module] if item.module else [])])
            # `from ros2_llava_phi import model` imports a module, too.
            yield from (f'{module}.{name.name}' for name in item.names)
