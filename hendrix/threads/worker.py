"""One worker of the crew: what it is doing, and what it has finished and not yet sent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

log = Logger(namespace="hendrix.threads")


class Job(Protocol):
    """A piece of work. What it raises is logged."""

    def run(self, worker: Worker, /) -> None: ...


class Parcel(Protocol):
    """Something finished that may wait for company before it is sent."""

    def send(self) -> None:
        """Send it. All of a batch are sent before anything else is done: a client woken by the first must not sleep before the last."""

    def sent(self) -> None:
        """All of its batch have been sent."""


class Worker:
    """One thread of the crew.

    :ivar job: what it is doing, None between jobs.
    :ivar jobs: how many it has done.
    :ivar requests: how many requests these were; a job may be several or none.
    :ivar noticed: the number of the job in which the monitor has seen it, and when it saw it there first.
    :ivar ident: of its thread; 0 before that has begun.
    :ivar held: what is finished and waits to be sent.
    :ivar since: when the first of these was.
    """

    __slots__ = ("_clock", "held", "ident", "job", "jobs", "name", "noticed", "requests", "sending", "since")

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.job: Job | None = None
        self.jobs = self.requests = self.ident = 0
        self.noticed = (-1, 0.0)
        self.sending = threading.Lock()
        self._clock = clock
        self.held: deque[Parcel] = deque()
        self.since = 0.0

    def hold(self, parcel: Parcel) -> None:
        """Send this soon: within `HOLD`, or when there is nothing else to do (its own thread)."""
        if not self.held:
            self.since = self._clock()
        self.held.append(parcel)

    def dispatch(self) -> None:
        """Send all that is held, in order (its own thread, or the monitor)."""
        if self.held or self.sending.locked():
            with self.sending:
                self._dispatch()

    def dispatch_for_it(self) -> None:
        """The same, unless its own thread is at it (the monitor)."""
        if self.held and self.sending.acquire(blocking=False):
            try:
                self._dispatch()
            finally:
                self.sending.release()

    def _dispatch(self) -> None:
        held, batch = self.held, []
        while held:
            parcel = held.popleft()
            batch.append(parcel)
            try:
                parcel.send()
            except Exception:
                log.failure("sending failed: this is a bug in hendrix")
        for parcel in batch:
            try:
                parcel.sent()
            except Exception:
                log.failure("a connection could not go on: this is a bug in hendrix")
