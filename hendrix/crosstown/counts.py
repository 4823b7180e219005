"""What a dispatcher counts, for the tree and the metrics."""

from __future__ import annotations

import time
from collections import deque

from hendrix.crosstown.tallies import Tallies
from hendrix.crosstown.task import FAILED, NO_GO, Task

# Starts that the quantiles are made of: the last ones.
RECENT = 1000


class Counts:
    """The dispatcher's lock guards it.

    :ivar done: tasks that have returned.
    :ivar failed: tasks that have raised.
    :ivar gated: tasks that the gate has stopped.
    :ivar cancelled: tasks that were cancelled before they started, by their author, by a client that left, or by the end of the process.
    :ivar overflowed: tasks that found the queue full, and ran on the thread that brought them.
    :ivar tallies: the same by the names of the tasks, where somebody asks for that.
    :ivar delays: seconds from the moment at which a task could start, mostly the last byte of its response, to its start.
    """

    def __init__(self) -> None:
        self.done = self.failed = self.gated = self.cancelled = self.overflowed = 0
        self.tallies: Tallies | None = None
        self.delays: deque[float] = deque(maxlen=RECENT)
        self._started, self._waited, self._longest = 0, 0.0, 0.0

    def started(self, task: Task, since: float) -> None:
        """A task has started, which could have since then."""
        delay = task.started - since
        self.delays.append(delay)
        self._started += 1
        self._waited += delay
        if delay > self._longest:
            self._longest = delay
        if self.tallies is not None:
            self.tallies.started(task.name, delay)

    def ended(self, task: Task) -> None:
        """A task that had started has ended."""
        failed = task.state == FAILED
        if failed:
            self.failed += 1
        else:
            self.done += 1
        if self.tallies is not None:
            self.tallies.ran(task.name, time.monotonic() - task.started)
            self.tallies.end(task.name, task.state)

    def dropped(self, task: Task) -> None:
        """A task will never start: the gate has stopped it, or it was cancelled."""
        if task.state == NO_GO:
            self.gated += 1
        else:
            self.cancelled += 1
        if self.tallies is not None:
            self.tallies.end(task.name, task.state)

    def numbers(self) -> dict[str, int | float]:
        """All of them; delays in seconds, the quantiles those of the last `RECENT` starts."""
        delays = sorted(self.delays)
        numbers: dict[str, int | float] = {name: getattr(self, name) for name in ("done", "failed", "gated", "cancelled", "overflowed")}
        numbers |= {"started": self._started, "start_delay_sum": self._waited, "start_delay_max": self._longest}
        if delays:
            numbers |= {"start_delay_p50": delays[len(delays) // 2], "start_delay_p99": delays[int(len(delays) * 0.99)]}
        return numbers
