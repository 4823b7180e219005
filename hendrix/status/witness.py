"""What a process that serves says about itself once a second, for the live page: only where there is one."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.application.service import Service

from hendrix.status.lately import Failures
from hendrix.status.meter import Meter, brief, slowest
from hendrix.threads.activity import Activity, activities

# Answers under way, running tasks and names of waiting tasks, at most.
UNDER_WAY, RUNNING, NAMES = 8, 20, 10
# Seconds in the application from which an answer under way is shown.
LONG = 0.1
# Lines of a stack, the innermost.
DEPTH = 30
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

Report = dict[str, Any]


class Dispatcher(Protocol):
    """Of crosstown tasks."""

    def tasks(self) -> tuple[list[Any], list[Any]]:
        """Those that run, and those that have not begun."""


class Hearer(Protocol):
    """Who hears the reports."""

    @property
    def congested(self) -> bool:
        """Whether it had better be told later: the next report has what this one would have had."""

    def send(self, report: Report, /) -> None: ...


class Witness(Service):
    """The node "reports". They come at the full seconds of the clock, so that those of all processes can be added up.

    :param workers: gives the threads of the crew.
    :param dispatcher: gives that of the crosstown tasks, None while there is none.
    :param hearer: hears the reports.
    :ivar meter: hears of each answer.
    """

    name = "reports"

    def __init__(
        self, reactor: Any, workers: Callable[[], Iterable[Any]], dispatcher: Callable[[], Dispatcher | None], hearer: Hearer
    ) -> None:
        self._reactor, self._workers, self._dispatcher, self._hearer = reactor, workers, dispatcher, hearer
        self.meter, self._failures = Meter(self._stack), Failures()
        self._stacks: dict[int, tuple[str, float, list[str]]] = {}
        self._next: Any = None

    def describe(self) -> str:
        return "to the live page, once a second"

    def startService(self) -> None:
        super().startService()
        self._failures.begin()
        self._wait()

    def stopService(self) -> None:
        super().stopService()
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._failures.end()
        self.report()

    def _wait(self) -> None:
        self._next = self._reactor.callLater(1.0 - time.time() % 1.0, self._second)

    def _second(self) -> None:
        self._wait()
        self.report()

    def report(self) -> None:
        """Once, now."""
        if not self._hearer.congested:
            self._hearer.send(
                {
                    "second": round(time.time()),
                    "rss": resident(os.getpid()),
                    **self.meter.take(),
                    "under_way": self._under_way(),
                    "tasks": self._tasks(),
                    "failures": self._failures.take(),
                }
            )

    # What threads do.

    def _under_way(self) -> list[dict[str, Any]]:
        """The answers and tasks that have been in the application for longest."""
        workers, clock = [worker for worker in self._workers() if worker.job is not None], time.monotonic
        found = [one for one in activities(workers, clock) if one.doing and one.seconds >= LONG]
        idents = {worker.name: worker.ident for worker in workers}
        self._stacks = {idents[one.thread]: (one.doing, clock() - one.seconds, one.stack[-DEPTH:]) for one in found}
        return slowest(map(_shown, found), UNDER_WAY)

    def _stack(self) -> list[str]:
        """Where the thread that asks was seen last (that thread)."""
        return self._stacks.pop(threading.get_ident(), ("", 0.0, []))[2]

    def _tasks(self) -> dict[str, Any]:
        dispatcher = self._dispatcher()
        if dispatcher is None:
            return {"running": [], "waiting": []}
        running, waiting = dispatcher.tasks()
        now = time.monotonic()
        oldest = sorted(running, key=lambda task: task.started)[:RUNNING]
        return {
            "running": [{"name": task.name, "origin": brief(task.origin), "seconds": round(now - task.started, 1)} for task in oldest],
            "waiting": Counter(task.name for task in waiting).most_common(NAMES),
        }


def _shown(one: Activity) -> dict[str, Any]:
    return {"thread": one.thread, "title": brief(one.doing), "seconds": round(one.seconds, 1), "stack": one.stack[-DEPTH:]}


def resident(pid: int) -> int:
    """Bytes of memory that a process has now; 0 where that cannot be known."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return _most_resident() if pid == os.getpid() else 0


def _most_resident() -> int:
    """The most that this process has had: all that there is without /proc."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
