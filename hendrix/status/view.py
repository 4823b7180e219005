"""What the live page shows, in the process at the top of the tree: all that processes report, together once a second. Reactor thread."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from twisted.application.service import Service

from hendrix import __version__
from hendrix.status.health import Health, sums
from hendrix.status.lately import Lines
from hendrix.status.meter import slowest, worst
from hendrix.status.series import KEPT, Series
from hendrix.status.witness import Report, resident

# Seconds after a full one at which it is looked: by then the processes have reported it.
AFTER = 0.4
# Rows that are sent each second: those that may have changed.
AGAIN = 6
# Paths with slow answers that are kept of each minute, and shown; failures that are kept; topics that are shown.
SLOW, FAILURES, TOPICS = 12, 30, 30
# Tasks that are shown.
MOST = 20
# Seconds for which a process is remembered that reports no more.
SILENT = 3.0


class Streams(Protocol):
    """Those who look."""

    def __len__(self) -> int: ...
    def publish(self, number: int, news: str) -> None: ...


class Here(NamedTuple):
    """Hears what the process itself reports."""

    view: View
    congested: bool = False

    def send(self, report: Report) -> None:
        self.view.take("hendrix", os.getpid(), report)


class View(Service):
    """:param tree: gives the tree as data.
    :param topics: gives topics with the number of their subscribers, so many at most.
    :param about: what does not change: said once to each who looks.
    :ivar streams: those who look.
    :ivar here: hears what this process itself reports.
    :ivar processes: gives name, process id and state of each other process of the tree.
    """

    name = "view"
    streams: Streams

    def __init__(
        self,
        reactor: Any,
        tree: Callable[[], Any],
        topics: Callable[[int], list[tuple[str, int]]],
        about: dict[str, Any],
    ) -> None:
        self._reactor, self._tree, self._topics = reactor, tree, topics
        self.processes: Callable[[], Iterable[tuple[str, int, str]]] = tuple
        self.here = Here(self)
        self._about = {"version": __version__, "began": time.time(), **about}
        self._series, self._health, self._lines = Series(), Health(), Lines()
        self._reports: dict[int, tuple[float, str, Report]] = {}
        self._slow: dict[int, dict[str, dict[str, Any]]] = {}
        self._failures: deque[dict[str, Any]] = deque(maxlen=FAILURES)
        self._failed = self._failure = self._line = self._number = 0
        self._state: dict[str, Any] = {}
        self._next: Any = None

    def startService(self) -> None:
        super().startService()
        self._about |= {"pid": os.getpid(), "began": time.time()}
        self._lines.begin()
        self._wait()

    def stopService(self) -> None:
        super().stopService()
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._lines.end()

    # Reports.

    def take(self, name: str, pid: int, report: Report) -> None:
        """A process has reported."""
        now = time.time()
        self._reports[pid] = (now, name, report)
        self._series.add(report, int(now + 0.5))
        minute = self._slow.setdefault(int(now // 60), {})
        for slow in report["slow"]:
            worst(minute, {**slow, "process": name})
        if len(minute) > 2 * SLOW:
            self._slow[int(now // 60)] = {slow["title"]: slow for slow in slowest(minute.values(), SLOW)}
        for failure in report["failures"]:
            self._failed += 1
            self._failures.append({**failure, "number": self._failed, "process": name})

    # Once a second.

    def _wait(self) -> None:
        now = time.time()
        self._next = self._reactor.callLater(math.floor(now - AFTER) + 1.0 + AFTER - now, self._second)

    def _second(self) -> None:
        self._wait()
        now = time.time()
        self._forget(now)
        tree = self._tree()
        self._series.at(int(now)).levels = _levels(sums(tree))
        self._state = {"tree": tree, "health": self._health.look(tree, now)}
        if len(self.streams):
            self._number += 1
            self.streams.publish(self._number, json.dumps(self._picture(AGAIN, self._line, self._failure)))
            self._line, self._failure = self._lines.number, self._failed

    def _forget(self, now: float) -> None:
        """What is too old."""
        for minute in [minute for minute in self._slow if minute < now // 60 - KEPT // 60]:
            del self._slow[minute]
        for pid in [pid for pid, (when, _, _) in self._reports.items() if when < now - SILENT]:
            del self._reports[pid]

    def whole(self) -> str:
        """All that can be shown, as JSON."""
        return json.dumps({"about": self._about, **self._picture(KEPT, 0, 0)})

    def _picture(self, seconds: int, line: int, failure: int) -> dict[str, Any]:
        """What is now, and of the past so many seconds, the lines after one and the failures after one."""
        under_way = [{**one, "process": name} for _, name, report in self._reports.values() for one in report["under_way"]]
        return {
            **self._state,
            "now": time.time(),
            "requests": self._series.requests,
            "errors": self._series.errors,
            "minute": self._series.minute(),
            "rows": self._series.rows(seconds),
            "processes": [_process("hendrix", os.getpid(), ""), *(_process(*process) for process in sorted(self.processes()))],
            "under_way": slowest(under_way, SLOW),
            "slow": self._slowest(),
            "tasks": self._tasks(),
            "failures": [one for one in self._failures if one["number"] > failure],
            "topics": self._topics(TOPICS),
            "lines": self._lines.after(line),
        }

    def _slowest(self) -> list[dict[str, Any]]:
        """Of each path the slowest answer, and how many were slow."""
        found: dict[str, dict[str, Any]] = {}
        for minute in self._slow.values():
            for slow in minute.values():
                worst(found, slow)
        return slowest(found.values(), SLOW)

    def _tasks(self) -> dict[str, Any]:
        waiting: Counter[str] = Counter()
        for _, _, report in self._reports.values():
            waiting.update(dict(report["tasks"]["waiting"]))
        running = [{**one, "process": name} for _, name, report in self._reports.values() for one in report["tasks"]["running"]]
        return {"running": slowest(running, MOST), "waiting": waiting.most_common(MOST)}


def _process(name: str, pid: int, state: str) -> dict[str, Any]:
    return {"name": name, "pid": pid, "state": state, "rss": resident(pid)}


def _levels(total: dict[str, dict[str, Any]]) -> dict[str, float]:
    """What there is in all processes together."""
    crew, crosstown = total.get("crew", {}), total.get("crosstown", {})
    levels = {name: crew.get(name, 0) for name in ("threads", "busy", "backlog")}
    return {**levels, "queued": crosstown.get("queued", 0), "running": crosstown.get("running", 0)}
