"""What several test modules need."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar('Result')


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
