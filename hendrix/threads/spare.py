"""Spare threads: they come when there is something to do, and leave when there has been nothing for a while.

For what blocks and must never wait for a thread: there is no limit and no queue, so nobody here can wait for one another.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from twisted.logger import Logger

log = Logger(namespace="hendrix.threads")

# Seconds that a thread without work waits for some.
IDLE = 10.0


class Spare(threading.Thread):
    """One of them. A daemon: the end of the process does not wait for it."""

    def __init__(self) -> None:
        super().__init__(name="hendrix-spare", daemon=True)
        self.given: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def run(self) -> None:
        while self._do_what_is_given():
            pass

    def _do_what_is_given(self) -> bool:
        try:
            work = self.given.get(timeout=IDLE)
        except Empty:
            return not self._leave()
        try:
            work()
        except BaseException:
            log.failure("a spare thread's work raised: this is a bug in hendrix")
        del work  # what it closes over is no longer needed
        _idle.append(self)
        return True

    def _leave(self) -> bool:
        """False if somebody has taken it off the list meanwhile, and gives it work."""
        try:
            _idle.remove(self)
        except ValueError:
            return False
        return True


def spare(work: Callable[[], object]) -> None:
    """Do it on a thread of its own, now (any thread)."""
    try:
        thread = _idle.pop()  # atomic: whoever pops it gives it work
    except IndexError:
        thread = Spare()
        thread.start()
    thread.given.put(work)


_idle: list[Spare] = []
os.register_at_fork(after_in_child=_idle.clear)  # threads do not live on in a child
