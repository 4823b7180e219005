"""The crosstown node of the tree: one dispatcher for the process, and at its end a drain of its own."""

from __future__ import annotations

import copyreg
import sys
import traceback
from collections.abc import Callable
from types import MethodType
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from hendrix.crosstown import traffic
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.jobs import Crew
from hendrix.crosstown.processes import Processes
from hendrix.crosstown.tallies import Tallies
from hendrix.crosstown.traffic import report

log = Logger(namespace="hendrix.crosstown")

# Seconds between two looks for tasks that run longer than they should.
SWEEP = 1.0
# Seconds between two looks whether the tasks have ended, when the process is about to.
DRAIN_STEP = 0.02
# Seconds that a worker process without a task has to end by itself.
PATIENCE = 2.0


class CrosstownService(Service):
    """Runs the tasks of all responses of this process.

    :param crew: gives the crew, once this has started.
    :param threads: tasks that run on it at a time.
    :param grace: seconds that tasks have to end when it is stopped; those not begun by then are logged by name.
    :param processes: worker processes for tasks that ask for one, at most.
    :param tallies: counts the tasks by their names.
    """

    name = "crosstown"

    def __init__(
        self,
        reactor: Any,
        crew: Callable[[], Crew | None],
        threads: int,
        grace: float,
        processes: int = 0,
        tallies: Tallies | None = None,
    ) -> None:
        self._tallies = tallies
        self._reactor, self._crew, self._threads, self._grace = reactor, crew, threads, grace
        self._pool = Processes(processes) if processes else None
        self.dispatcher: Dispatcher | None = None
        self._sweep = LoopingCall(self._warn_of_slow_tasks)
        self._sweep.clock = reactor

    def describe(self) -> str:
        """Its counts; those that are seldom there only when they are. Delays are those from the last byte of a response to the start."""
        pool = f", {self._pool.describe()}" if self._pool else ""
        if self.dispatcher is None:
            return f"at most {self._threads} tasks at a time{pool}"
        now = self.numbers()
        queued = f", {now['queued']} queued" if now["queued"] else ""
        cancelled = f", {now['cancelled']} cancelled" if now["cancelled"] else ""
        delay = f", start after {now['start_delay_p50'] * 1000:.1f} ms" if "start_delay_p50" in now else ""
        delay += f" (p99 {now['start_delay_p99'] * 1000:.1f})" if delay else ""
        return f"{now['running']} running{queued}, {now['done']} done, {now['failed']} failed, {now['gated']} no-go{cancelled}{delay}{pool}"

    def numbers(self) -> dict[str, int | float]:
        """What the tasks of this process do and have done; see `Dispatcher.numbers`."""
        return self.dispatcher.numbers() if self.dispatcher is not None else {}

    def startService(self) -> None:
        super().startService()
        crew = self._crew()
        assert crew is not None
        self.dispatcher = Dispatcher(crew, self._threads, pool=self._pool, patience=min(self._threads, crew.size - 1))
        self.dispatcher.counts.tallies = self._tallies
        self.dispatcher.on_error = report
        # twistd has Twisted's own way of pickling methods, from before Python had one, and that breaks class methods: those of a task for
        # a worker process, and the one in each result of Django's tasks.
        copyreg.dispatch_table.pop(MethodType, None)
        traffic.serving = self.dispatcher
        self._sweep.start(SWEEP, now=False)

    def stopService(self) -> Deferred[None]:
        """Fires when all tasks have ended, after ``grace`` seconds at the latest."""
        super().stopService()
        return Deferred.fromCoroutine(self._drain())

    def hurry(self) -> None:
        """Wait for tasks no longer."""
        self._grace = 0.0

    async def _drain(self) -> None:
        dispatcher = self.dispatcher
        if traffic.serving is dispatcher:
            traffic.serving = None
        if dispatcher is not None:
            began = self._reactor.seconds()
            if not dispatcher.idle:
                log.info("waiting for crosstown tasks: {state}", state=self.describe())
            while not dispatcher.idle and self._reactor.seconds() < began + self._grace:
                await deferLater(self._reactor, DRAIN_STEP)
            for task in dispatcher.abandon():
                log.error("the task {name} of {origin} was not run: the process ends", name=task.name, origin=task.origin)
            for task in list(dispatcher.running):
                log.error("the task {name} of {origin} was cut: the process ends", name=task.name, origin=task.origin)
        for tell in traffic.ending:
            tell()
        if self._pool is not None:
            await self._dismiss(self._pool)
        if self._sweep.running:
            self._sweep.stop()

    async def _dismiss(self, pool: Processes) -> None:
        pool.dismiss()
        deadline = self._reactor.seconds() + PATIENCE
        while not pool.gone and self._reactor.seconds() < deadline:
            await deferLater(self._reactor, DRAIN_STEP)
        pool.kill()

    def _warn_of_slow_tasks(self) -> None:
        assert self.dispatcher is not None
        for task in self.dispatcher.overdue():
            frame = sys._current_frames().get(task.thread)
            stack = "".join(traceback.format_stack(frame)) if frame else ""
            log.warn("the task {name} of {origin} is slow; it is here:\n{stack}", name=task.name, origin=task.origin, stack=stack)
