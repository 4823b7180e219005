"""The monitor of the crew: a thread that sees when the others are stuck.

It sleeps while nothing runs. While something does, it looks every two milliseconds, sends what a stuck worker has finished, lets
another worker in when all that run are stuck, and lets them go when they were not needed for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from hendrix.threads.worker import Worker

# Seconds in one job after which a worker counts as stuck.
STUCK = 0.002
# Looks after which workers that were let in, and not needed since, may go. More than a slow view takes, less than a person notices.
WINDOW = 10
# Looks without any work after which the monitor goes to sleep.
QUIET = 25


class Source(Protocol):
    """Where jobs come from besides `Crew.submit`. Any worker may poll, several at once."""

    def poll(self, seconds: float, most: int) -> None:
        """Wait for input for so many seconds at most, for ever if negative; enqueue the jobs that came of it.

        :param most: pieces of input to take.
        """

    def wake(self) -> None:
        """Make a `poll` that waits return. Any thread."""


class Watched(Protocol):
    """What the monitor needs of the crew."""

    size: int
    running: int
    quitting: bool
    began: threading.Event

    @property
    def workers(self) -> Sequence[Worker]: ...
    @property
    def busy(self) -> int: ...
    @property
    def at_work(self) -> bool: ...
    def let_in(self) -> None: ...
    def nudge(self) -> None: ...
    def let_go(self, count: int) -> None: ...


class Monitor:
    """:param clock: seconds, monotonic."""

    def __init__(self, crew: Watched, source: Source, clock: Callable[[], float]) -> None:
        self._crew, self._source, self._clock = crew, source, clock
        self._jobs = [0] * len(crew.workers)
        self._looks_in_job = [0] * len(crew.workers)
        self._stuck = 0
        self._idle = crew.size
        self._peak = self._looks = self._quiet = 0

    def watch(self) -> None:
        """The body of the thread."""
        crew = self._crew
        while not crew.quitting:
            crew.began.wait()
            before = self._clock()
            if self._stuck >= crew.size:
                # Nobody is left to read: what comes in now must still find its place in the queue, or hear that it is full.
                self._source.poll(STUCK, crew.size)
                crew.nudge()  # a worker may have come unstuck meanwhile, and fallen asleep
            else:
                time.sleep(STUCK)
            self.look(self._clock() - before)

    def look(self, elapsed: float) -> None:
        """One look, so many seconds after the one before."""
        crew = self._crew
        # When the monitor itself was late the machine was busy with others, and a worker that did not move was not stuck for that.
        enough = 1 if elapsed < 2 * STUCK else 2
        moved = False
        stuck = 0
        for index, worker in enumerate(crew.workers):
            if worker.jobs != self._jobs[index]:
                moved, self._jobs[index], self._looks_in_job[index] = True, worker.jobs, 0
            elif worker.job is not None:
                moved = True
                if not self._looks_in_job[index]:
                    worker.noticed = (worker.jobs, self._clock())
                self._looks_in_job[index] += 1
                if self._looks_in_job[index] >= enough:
                    stuck += 1
                    worker.dispatch_for_it()
        self._stuck = stuck
        if stuck >= crew.running:
            crew.let_in()
        elif stuck:
            crew.nudge()  # what was sent for them may have made a connection ready again
        self._let_go(stuck)
        self._quiet = 0 if moved else self._quiet + 1
        if self._quiet > QUIET:
            self._rest()

    def _let_go(self, stuck: int) -> None:
        """Workers that had nothing to do all through the last looks may go; all that were let in, if none was stuck in them."""
        crew = self._crew
        self._idle = min(self._idle, crew.running - crew.busy - 1)
        self._peak = max(self._peak, stuck)
        self._looks += 1
        if self._looks >= WINDOW:
            if self._peak == 0:
                crew.let_go(crew.size)
            elif self._idle > 0:
                crew.let_go(self._idle)
            self._looks, self._peak, self._idle = 0, 0, crew.size

    def _rest(self) -> None:
        crew = self._crew
        self._quiet = 0
        crew.let_go(crew.size)
        crew.began.clear()
        # A worker marks its job first and looks at the event second.
        if crew.at_work:
            crew.began.set()
