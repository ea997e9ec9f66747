"""Two tiers of tests: the quick ones, and those marked `slow`.

Only a slow test may export a model, train, or start a process that does so or is a ROS node; in a
quick one each of these fails, in whichever tier the test runs. A test that takes the fixture
`ros_domain`, or that needs a GPU, is slow by itself.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NoReturn
from unittest import mock

import pytest

# Words of a command line that only a slow test may give.
SLOW_COMMANDS = {
    'benchmark',
    'build',
    'export',
    'ros2',
    'train',
    'torchrun',
    'ros2_llava_phi.demo',
}


def mark(items: list[pytest.Item]) -> None:
    """Mark what is slow by itself, and put the quick tests first.

    A fixture of a module that exports would otherwise, in a whole run, be made for a slow test,
    and a quick one that takes it would go unnoticed.
    """
    for item in items:
        if 'ros_domain' in getattr(item, 'fixturenames', ()) or item.get_closest_marker('gpu'):
            item.add_marker('slow')
    items.sort(key=is_slow)


def is_slow(item: pytest.Item) -> bool:
    """Return whether a test is marked `slow`."""
    return item.get_closest_marker('slow') is not None


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Have what only a slow test may do fail."""
    start = subprocess.Popen.__init__

    def checked(self: Any, args: Any, *others: Any, **options: Any) -> None:
        words = [str(word) for word in (args.split() if isinstance(args, str) else args)]
        if SLOW_COMMANDS & set(words) or '--ros-args' in words or words[0].endswith('vqa_node'):
            _refuse(f'start {" ".join(words)}')
        start(self, args, *others, **options)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(subprocess.Popen, '__init__', checked))
        # Where it was not imported yet, the test either lacks it or imports it by itself.
        if torch := sys.modules.get('torch'):
            export = mock.patch.object(torch.onnx, 'export', lambda *_, **__: _refuse('export'))
            backward = mock.patch.object(
                torch.Tensor, 'backward', lambda *_, **__: _refuse('train')
            )
            stack.enter_context(export)
            stack.enter_context(backward)
        yield


def _refuse(deed: str) -> NoReturn:
    pytest.fail(f'a quick test must not {deed}; mark it with pytest.mark.slow')
