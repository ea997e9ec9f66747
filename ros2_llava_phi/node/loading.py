"""A model that is being loaded: whoever waits for it can be let go at any time."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError

from ros2_llava_phi.assistant.assistant import Assistant


class Loading:
    """
    A load in a thread of its own.

    Aborted, it is waited for no longer, and its result is dropped. The thread itself ends where
    the load calls `check`, or else when the load is done: an exception raised in it from outside
    could leave a library half imported.
    """

    def __init__(self, load: 'Callable[[Loading], Assistant]', after: 'Loading | None') -> None:
        """Load once started, `after` another one has ended: there may be no memory for both."""
        # In a list, to be taken out: a model that is kept here is not freed with the node's.
        self._assistant: Future[list[Assistant]] = Future()
        self._after = after
        self._thread = threading.Thread(
            target=self._run, args=(load,), name='vqa_load', daemon=True
        )

    @property
    def aborted(self) -> bool:
        """Return whether the load was aborted."""
        return self._assistant.cancelled()

    def start(self) -> None:
        """Start to load; what is aborted already does not."""
        self._thread.start()

    def result(self) -> Assistant:
        """Wait for the model; raises what the load raised, or CancelledError once aborted."""
        return self._assistant.result().pop()

    def abort(self) -> bool:
        """Let whoever waits go; return False if there is a result already."""
        return self._assistant.cancel()

    def check(self) -> None:
        """Raise CancelledError if the load was aborted; for the load to call between its steps."""
        if self.aborted:
            raise CancelledError

    def ended(self, patience: float | None = None) -> bool:
        """Wait for all loads so far, at most so many seconds; return whether they have ended."""
        if self._thread.ident is None:  # never started
            return self._after is None or self._after.ended(patience)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self, load: 'Callable[[Loading], Assistant]') -> None:
        try:
            if self._after is not None:
                self._after.ended()
                self._after = None
            self.check()
            assistant = load(self)
        except BaseException as error:
            self._settle(self._assistant.set_exception, error)
        else:
            self._settle(self._assistant.set_result, [assistant])

    def _settle(self, settle: Callable[..., None], outcome: object) -> None:
        try:
            settle(outcome)
        except InvalidStateError:
            assert self.aborted
