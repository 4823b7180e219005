"""A service that brings its children up in order and takes them down in reverse, waiting for each.

Twisted's `MultiService` calls all children at once in both directions. Here the order is a promise, so that drain is a position in
the tree: what stands below stops first and has stopped before its elder is asked to. The rules:

1. ``privilegedStartService`` goes through the children before any is started, also under ``twist``, which never calls it.
2. A child whose ``startService`` returns a Deferred is up when it fires; the next child is started then.
3. When a child cannot start, the ones before it are stopped and the error goes up: raised if it is known at once, otherwise through
   the Deferred that ``startService`` returned. At the root, where nobody waits, `Outcome` hears of it.
4. A child that fails to stop is logged, and its elders are stopped all the same.

It is a `MultiService`: it hosts any Twisted service and lives under any. All of it runs on the reactor thread.
"""

from __future__ import annotations

from typing import Protocol

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger


class Outcome(Protocol):
    """Who wants to know whether the root came up."""

    def started(self) -> None:
        """``startService`` has returned; children may still be on their way up."""

    def failed(self, error: BaseException) -> BaseException:
        """A child could not start, and the others have been told to stop. Gives the exception to raise, if it can be raised."""


class Supervisor(MultiService):
    """Children started in order, stopped in reverse, each awaited.

    :param name: the name in the tree and for ``getServiceNamed``.
    :param strategy: what happens when a child dies, as the tree shows it.
    :param outcome: of the root only.
    """

    _log = Logger()

    def __init__(self, name: str | None = None, strategy: str = "one_for_one", *, outcome: Outcome | None = None) -> None:
        super().__init__()
        if name is not None:
            self.setName(name)
        self.strategy = strategy
        self.outcome = outcome
        self._prepared = False
        self._starting: Deferred[None] | None = None

    def describe(self) -> str:
        return self.strategy

    def privilegedStartService(self) -> None:
        """Each child's, in order. Raises what the first child that fails raises."""
        self._prepared = True
        try:
            for child in list(self):
                child.privilegedStartService()
        except BaseException as error:
            raise self._undone(error)

    def startService(self) -> Deferred[None] | None:
        """Each child's, in order. Raises what a child raises before anything had to be waited for.

        :returns: fires when all children are up, or with the error of the first that is not; None if all are up already.
        """
        if not self._prepared:
            self.privilegedStartService()
        Service.startService(self)
        results: list[BaseException | None] = []
        starting = Deferred.fromCoroutine(self._start_each(list(self))).addCallback(results.append)
        if results and results[0]:
            raise self._undone(results[0])
        if self.outcome:
            self.outcome.started()
        if results:
            return None
        self._starting = starting
        return starting.addCallback(lambda _: self._came_up(results[0]))

    def stopService(self) -> Deferred[None]:
        """Each child's, in reverse order, each when the one before has stopped. Fires when all have."""
        Service.stopService(self)
        self._prepared = False
        if self._starting:
            self._starting.cancel()
        return Deferred.fromCoroutine(self._stop_each())

    async def _start_each(self, children: list[IService]) -> BaseException | None:
        try:
            for child in children:
                await maybeDeferred(child.startService)
        except BaseException as error:  # SystemExit too: an application may say so as it is imported
            return error
        return None

    async def _stop_each(self) -> None:
        for child in reversed(list(self)):
            try:
                await maybeDeferred(child.stopService)
            except Exception:
                self._log.failure("Stopping {name} failed", name=name_of(child))

    def _came_up(self, error: BaseException | None) -> Deferred[None] | None:
        """The end of a start that took its time. Whoever stopped us meanwhile has no use for an error."""
        self._starting = None
        if error is None or not self.running:
            return None
        return self.stopService().addCallback(lambda _: self._report(error))

    def _report(self, error: BaseException) -> None:
        if self.outcome is None:
            raise error
        self.outcome.failed(error)

    def _undone(self, error: BaseException) -> BaseException:
        """Stops all children without waiting, since the reactor may never run, and gives the exception to raise.

        Some were never started: what they say to being stopped is not the news.
        """
        self.running = 0
        self._prepared = False
        for child in reversed(list(self)):
            maybeDeferred(child.stopService).addErrback(lambda _: None)
        return self.outcome.failed(error) if self.outcome else error


def hurry(root: object) -> None:
    """Have every service of a tree that can do so cut short what its stop waits for: the method ``hurry`` of those that have one."""
    for child in list(root) if isinstance(root, MultiService) else ():
        hurry(child)
    method = getattr(root, "hurry", None)
    if callable(method):
        method()


def name_of(service: object) -> str:
    """The name of a service in the tree: its own, or that of its class."""
    name = getattr(service, "name", None)
    return name if isinstance(name, str) and name else type(service).__name__
