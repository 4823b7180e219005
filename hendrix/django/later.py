"""A clock for tasks with ``run_after``: one thread that sleeps until the next is due. What is not due when the process ends is logged."""

from __future__ import annotations

import atexit
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

from hendrix.crosstown import traffic

logger = logging.getLogger("hendrix.django")

# Seconds after which the clock on the wall is looked at again: somebody may have set it.
LOOK = 30.0


class Later:
    """Calls functions at a time of the clock on the wall. They must not take long: they hand on what is to be done."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, str, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def at(self, when: float, name: str, call: Callable[[], None]) -> None:
        """Call it then.

        :param when: seconds since the epoch.
        :param name: for the log.
        """
        with self._changed:
            heapq.heappush(self._due, (when, next(self._numbers), name, call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hendrix tasks that run later", daemon=True)
                self._thread.start()
                # A server that is stopped by a signal ends with that signal, and then nothing of atexit is called.
                traffic.ending.append(self._tell)
                atexit.register(self._tell)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due or self._due[0][0] > time.time():
                    self._changed.wait(min(LOOK, max(0.0, self._due[0][0] - time.time())) if self._due else None)
                _, _, name, call = heapq.heappop(self._due)
            try:
                call()
            except Exception:
                logger.exception("the task %s could not be started", name)

    def _tell(self) -> None:
        with self._changed:
            for _, _, name, _ in sorted(self._due, key=lambda entry: entry[:2]):
                logger.error("the task %s was not due yet and is not run: the process ends", name)
            self._due.clear()


later = Later()
