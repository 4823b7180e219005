"""The crew as a node of the tree, with the source that it polls."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from hendrix.channel.fast import AVAILABLE, FastLane
from hendrix.threads.bell import Bell
from hendrix.threads.crew import Crew

log = Logger(namespace="hendrix.crew")

# Seconds that a thread is waited for when the drain is over already; the process ends without it.
PATIENCE = 1.0


class CrewService(Service):
    """Starts the threads, and ends them.

    :ivar crew: None unless it runs.
    :ivar lane: the fast lane, None where there is no one-shot epoll.
    """

    name = "crew"

    def __init__(self, reactor: Any, threads: int) -> None:
        self._reactor, self._threads = reactor, threads
        self.lane: FastLane | None = None
        self.crew: Crew | None = None

    def describe(self) -> str:
        busy, backlog = (self.crew.busy, self.crew.backlog) if self.crew else (0, 0)
        return f"{self._threads} threads ({busy} busy, backlog {backlog})"

    def numbers(self) -> dict[str, int | float]:
        """``oldest`` is how many seconds the first request in line has waited, ``in_application`` how many requests have a thread."""
        if self.crew is None:
            return {"threads": self._threads, "busy": 0, "backlog": 0, "oldest": 0.0, "in_application": 0}
        first = next((job.since for job in self.crew.ready.copy() if hasattr(job, "since")), None)
        oldest = max(0.0, time.monotonic() - first) if first is not None else 0.0
        inside = sum(getattr(worker.job, "response", None) is not None for worker in self.crew.workers)
        busy, backlog = self.crew.busy, self.crew.backlog
        return {"threads": self._threads, "busy": busy, "backlog": backlog, "oldest": round(oldest, 6), "in_application": inside}

    def startService(self) -> None:
        super().startService()
        self.lane = FastLane() if AVAILABLE else None
        self.crew = Crew(self._threads, self.lane or Bell(), self._reactor.callFromThread, running=_at_once())
        if self.lane is not None:
            self.lane.crew = self.crew
        self.crew.start()

    def stopService(self) -> Deferred[None]:
        """Fires when the threads have ended."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        crew, lane = self.crew, self.lane
        if crew is None:
            return
        gone = crew.quit().addTimeout(PATIENCE, self._reactor)
        try:
            await gone
        except Exception:
            log.warn("{busy} threads are still in a job: leaving without them", busy=crew.busy)
        else:
            if lane is not None:
                lane.close()
        self.crew = self.lane = None


def _at_once() -> int:
    """How many Python threads can run at the same time."""
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    return 1 if locked else os.cpu_count() or 1
