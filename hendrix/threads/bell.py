"""A `Source` with no input of its own: for a crew whose jobs all come through `submit`."""

from __future__ import annotations

import threading


class Bell:
    """Sleep until somebody rings."""

    def __init__(self) -> None:
        self._rung = threading.Semaphore(0)

    def poll(self, seconds: float, most: int) -> None:
        """Wait for `wake`, for so many seconds at most, for ever if negative."""
        self._rung.acquire(timeout=None if seconds < 0 else seconds)

    def wake(self) -> None:
        """Make one `poll` return, now or when it comes (any thread)."""
        self._rung.release()
