"""A place among the workers: "worker 1" is one process after another, and for a moment two."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from hendrix.errors import ChildError
from hendrix.tree import Branch
from hendrix.workers.process import Process, WorkerDied

log = Logger(namespace="hendrix.workers")


class Slot(Service):
    """Keeps one worker process.

    :param spawn: starts a process of this name.
    :param retire: called with a process that has been replaced: it is to drain.
    :param clock: the reactor.
    :ivar current: the process that serves; None while there is none.
    """

    on_failure: Callable[[BaseException], None] | None = None

    def __init__(self, name: str, spawn: Callable[[str], Process], retire: Callable[[Process], object], clock: Any) -> None:
        self.name: str = name
        self._clock = clock
        self._down_before, self._down_since = 0.0, clock.seconds()
        self._spawn, self._retire = spawn, retire
        self.current: Process | None = None
        self._coming: Process | None = None
        self._lock: DeferredLock = DeferredLock()

    def describe(self) -> str:
        return f"pid {self.current.pid}" if self.current else "down"

    def branches(self) -> list[Branch]:
        """The tree of the process, as it told it last, less its root, which this is."""
        tree: Branch | None = self.current.report.get("tree") if self.current else None
        return tree["children"] if tree else []

    @property
    def down(self) -> float:
        """Seconds in all in which nobody has served here."""
        return self._down_before + (0.0 if self.current else self._clock.seconds() - self._down_since)

    @property
    def processes(self) -> list[Process]:
        """That which serves, and that which is to take its place."""
        return [process for process in (self.current, self._coming) if process is not None]

    def startService(self) -> Deferred[None]:
        """Fires when there is a process that serves. Fails with `ChildError`."""
        super().startService()
        return Deferred.fromCoroutine(self._locked(replace=False))

    def stopService(self) -> None:
        """What it has ends; see that it is told how."""
        super().stopService()

    def renew(self, why: str) -> Deferred[None]:
        """Put a new process in the place of the one that serves, which drains when the new one is ready.

        Fails with `ChildError`, and the old one goes on.
        """
        log.info("{name} is replaced: {why}", name=self.name, why=why)
        return Deferred.fromCoroutine(self._locked(replace=True))

    def give(self) -> Process | None:
        """Part with the process: it is no longer watched over here."""
        process, self.current = self.current, None
        self._down_since = self._clock.seconds()
        return process

    async def _locked(self, replace: bool) -> None:
        await self._lock.acquire()
        try:
            if self.running and (replace or self.current is None):
                await self._take_in()
        finally:
            self._lock.release()

    async def _take_in(self) -> None:
        process = self._coming = self._spawn(self.name)
        process.on_wish = partial(self._wished, process)
        process.ended.addCallback(self._ended, process)
        try:
            await process.ready
        finally:
            self._coming = None
        down = self.down
        old, self.current = self.current, process
        self._down_before = down
        if old is not None:
            self._retire(old)
        if not self.running:  # nobody wants it any longer
            self._retire(process)
            self.give()

    def _wished(self, process: Process, reason: str) -> None:
        if process is self.current and not self._lock.locked:
            self.renew(reason).addErrback(self._not_renewed)

    def _not_renewed(self, failure: Any) -> None:
        failure.trap(ChildError)
        log.error("{name} could not be replaced and goes on:\n{words}", name=self.name, words=failure.getErrorMessage())

    def _ended(self, how: str, process: Process) -> str:
        if process is self.current:
            self.give()
            if self.running and self.on_failure is not None:
                self.on_failure(WorkerDied(f"pid {process.pid} {how}"))
        return how
