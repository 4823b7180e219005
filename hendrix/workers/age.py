"""When is a worker old enough to be replaced? What leaks, leaks slowly, and ends with its process."""

from __future__ import annotations

import random
from collections.abc import Callable

from hendrix.metrics.process import rss
from hendrix.values import bytes_text

# Looks between two wishes to be replaced: the new process may not have been able to start.
PATIENCE = 30


class Age:
    """Looks at the requests served and the memory used, once a second.

    :param max_requests: up to a tenth more, at random, so that workers of the same age do not go all at once; 0 is no limit.
    :param max_rss: bytes; 0 is no limit.
    :param wish: called with the reason.
    """

    def __init__(self, max_requests: int, max_rss: int, wish: Callable[[str], object]) -> None:
        self._max_requests = max_requests + random.randint(0, max_requests // 10)
        self._max_rss, self._wish = max_rss, wish
        self._wait = 0

    def look(self, requests: int) -> None:
        """Once. Wishes again after a while, if it has not been heard."""
        if self._wait:
            self._wait -= 1
            return
        reason = self._reason(requests)
        if reason:
            self._wait = PATIENCE
            self._wish(reason)

    def _reason(self, requests: int) -> str:
        if self._max_requests and requests >= self._max_requests:
            return f"it has had {requests} requests"
        if self._max_rss and (used := rss()) > self._max_rss:
            return f"it uses {bytes_text(used >> 20 << 20)} of memory"
        return ""
