"""A queue that is bounded, and that gives what is in it at a pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

# Seconds between two looks at a queue, at least: a timer for each item would cost more than the item.
TICK = 0.005

# Seconds of items that may go at once when we come late: they are not all made up for, so that nobody is overrun.
BURST = 0.05


class PacedQueue:
    """
    :param rate: items a second; 0 for no limit.
    :param most: bytes that may wait.
    :param seconds: the time.
    """

    def __init__(self, rate: float, most: int, seconds: Callable[[], float]) -> None:
        self._rate, self._most, self._seconds = rate, most, seconds
        self._items: deque[bytes] = deque()
        self._size = 0
        self._burst = max(1.0, rate * BURST)
        self._allowed, self._at = self._burst, seconds()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: bytes) -> bool:
        """Add one at the end; False if there is no room."""
        if self._size + len(item) > self._most:
            return False
        self._items.append(item)
        self._size += len(item)
        return True

    def next(self) -> bytes | None:
        """The first one, if it may go now. It stays until `take`."""
        if not self._items:
            return None
        if self._rate:
            now = self._seconds()
            self._allowed = min(self._allowed + (now - self._at) * self._rate, self._burst)
            self._at = now
            if self._allowed < 1.0:
                return None
        return self._items[0]

    def take(self) -> None:
        """The first one has gone."""
        self._size -= len(self._items.popleft())
        self._allowed -= 1.0

    def pause(self) -> float:
        """Seconds until it is worth looking again."""
        return max(TICK, (1.0 - self._allowed) / self._rate) if self._rate else TICK

    def clear(self) -> int:
        """Leave out all that waits. How many that was."""
        count = len(self._items)
        self._items.clear()
        self._size = 0
        return count
