"""From any thread to the reactor, with one wake-up for all that is posted before the reactor gets to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

log = Logger(namespace="hendrix.threads")


class Mailbox:
    """Calls to be made in the reactor thread, in the order in which they were posted.

    :param call_from_thread: the reactor's ``callFromThread``.
    """

    def __init__(self, call_from_thread: Callable[..., Any]) -> None:
        self._call_from_thread = call_from_thread
        self._posted: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._woken = False

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have the reactor call ``function(*args)`` soon. Any thread."""
        self._posted.append((function, args))
        # Post first, look second; `_deliver` lowers the flag first and looks second. So nothing posted is ever overlooked.
        if not self._woken:
            self._woken = True
            self._call_from_thread(self._deliver)

    def _deliver(self) -> None:
        """Make the calls (reactor thread). Bounded by what is there now, so that posting from a call does not hold the reactor."""
        self._woken = False
        for _ in range(len(self._posted)):
            function, args = self._posted.popleft()
            try:
                function(*args)
            except Exception:
                log.failure("a call posted to the reactor raised")
        if self._posted and not self._woken:
            self._woken = True
            self._call_from_thread(self._deliver)
