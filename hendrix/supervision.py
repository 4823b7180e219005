"""A service that brings its children up in order, takes them down in reverse, waiting for each, and restarts those that die.

Twisted's `MultiService` calls all children at once in both directions. Here the order is a promise, so that drain is a position in
the tree: what stands below stops first and has stopped before its elder is asked to. The rules:

1. ``privilegedStartService`` goes through the children before any is started, also under ``twist``, which never calls it.
2. A child whose ``startService`` returns a Deferred is up when it fires; the next child is started then.
3. When a child cannot start, the ones before it are stopped and the error goes up: raised if it is known at once, otherwise through
   the Deferred that ``startService`` returned. At the root, where nobody waits, `Outcome` hears of it.
4. A child that fails to stop is logged, and its elders are stopped all the same.
5. A child that dies, and says so (`Mortal`), is started again: alone (one_for_one), or with those after it, which are stopped before and
   may rely on it (rest_for_one). At once the first time, then after a pause that doubles.
6. When there have been too many deaths in a short time the failure goes up: all children are stopped, and the supervisor has died for its
   own parent, which does not try again but goes the same way. At the root, `Outcome` hears of it.

It is a `MultiService`: it hosts any Twisted service and lives under any. All of it runs on the reactor thread.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, cast, runtime_checkable

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from hendrix.errors import GivenUp

# Seconds before the second restart in a row; doubled for each that follows.
PAUSE = 0.1
LONGEST_PAUSE = 5.0

Strategy = Literal["one_for_one", "rest_for_one"]


@runtime_checkable
class Mortal(Protocol):
    """A child that may die while it runs. Other children cannot.

    :ivar on_failure: set by the supervisor that the child is added to. The child calls it with the reason when it has died by itself; it
        is not running then, and need not be stopped. None if there is no supervisor.
    """

    on_failure: Callable[[BaseException], None] | None


@dataclass(frozen=True)
class Intensity:
    """How many deaths in how many seconds a supervisor puts up with."""

    most: int = 3
    seconds: float = 10.0


@dataclass(frozen=True)
class _Death:
    at: float
    counts: bool


class Outcome(Protocol):
    """Who wants to know whether the root came up."""

    def started(self) -> None:
        """``startService`` has returned; children may still be on their way up."""

    def failed(self, error: BaseException) -> BaseException:
        """A child could not start, and the others have been told to stop. Gives the exception to raise, if it can be raised."""


class Supervisor(MultiService):
    """Children started in order, stopped in reverse, each awaited.

    :param name: the name in the tree and for ``getServiceNamed``.
    :param strategy: who is restarted when a child dies: that child, or that child and all after it.
    :param clock: the reactor. Without one no child is restarted: the first death goes up.
    :param intensity: more deaths than that go up.
    :param outcome: of the root only.
    """

    _log = Logger()
    on_failure: Callable[[BaseException], None] | None = None

    def __init__(
        self,
        name: str | None = None,
        strategy: Strategy = "one_for_one",
        *,
        clock: Any = None,
        intensity: Intensity = Intensity(),
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__()
        if name is not None:
            self.setName(name)
        self.strategy, self.clock, self.intensity = strategy, clock, intensity
        self.outcome = outcome
        self._prepared = False
        self._starting: Deferred[None] | None = None
        self._deaths: deque[_Death] = deque()
        self._again: dict[IService, tuple[int, float]] = {}  # of each child that has died: how often in a row, and when last
        self._coming_back: dict[IService, Deferred[Any]] = {}

    def describe(self) -> str:
        return self.strategy

    def addService(self, service: Any) -> None:
        super().addService(service)
        if isinstance(service, Mortal):
            service.on_failure = partial(self._died, cast(IService, service))

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
        for coming in set(self._coming_back.values()):
            coming.cancel()
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
            await self._stop_one(child)

    async def _stop_one(self, child: IService) -> None:
        try:
            await maybeDeferred(child.stopService)
        except Exception:
            self._log.failure("Stopping {name} failed", name=name_of(child))

    # Deaths.

    def _died(self, child: IService, error: BaseException) -> None:
        """A child has died. One that is being restarted anyway, or after we were told to stop, is no news."""
        if not self.running or child in self._coming_back or child not in list(self):
            return
        if self.clock is None or isinstance(error, GivenUp):
            self._give_up(error if isinstance(error, GivenUp) else GivenUp(f"{name_of(child)} died: {error}"))
            return
        now = self.time()
        while self._deaths and now - self._deaths[0].at > self.intensity.seconds:
            self._deaths.popleft()
        self._deaths.append(_Death(now, not self.tolerates(error)))
        deaths = sum(death.counts for death in self._deaths)
        if deaths > self.intensity.most:
            self._give_up(GivenUp(f"{name_of(child)} died, as {deaths} did in {self.intensity.seconds:g} s: {error}"))
            return
        self._log.error("{name} died and is started again: {error}", name=name_of(child), error=error)
        self._bring_back(child, self._pause(child))

    def time(self) -> float:
        """Seconds, for the intensity."""
        return float(self.clock.seconds())

    def tolerates(self, error: BaseException) -> bool:
        """Whether such a death is none that may go up, however often it comes."""
        return False

    def _pause(self, child: IService) -> float:
        """Seconds to wait before the child is started again."""
        again, before = self._again.get(child, (0, -math.inf))
        now = self.time()
        if now - before > max(self.intensity.seconds, 2 * LONGEST_PAUSE):
            again = 0  # it has lived
        self._again[child] = again + 1, now
        return min(PAUSE * 2 ** min(again - 1, 10), LONGEST_PAUSE) if again else 0.0

    def _bring_back(self, child: IService, pause: float) -> None:
        children: list[IService] = list(self)
        affected = children[children.index(child) :] if self.strategy == "rest_for_one" else [child]
        for one in affected[1:]:
            if one in self._coming_back:
                self._coming_back[one].cancel()
        coming = Deferred.fromCoroutine(self._restart(affected, pause))
        for one in affected:
            self._coming_back[one] = coming
        coming.addBoth(self._came_back, affected)

    async def _restart(self, affected: list[IService], pause: float) -> tuple[IService, BaseException] | None:
        """The child that cannot start, with its error, or None."""
        for one in reversed(affected[1:]):
            await self._stop_one(one)
        if pause:
            await deferLater(self.clock, pause)
        for one in affected:
            try:
                one.privilegedStartService()
                await maybeDeferred(one.startService)
            except CancelledError:
                raise
            except BaseException as error:
                return one, error
        return None

    def _came_back(self, result: Any, affected: list[IService]) -> None:
        for one in affected:
            self._coming_back.pop(one, None)
        if isinstance(result, tuple):
            self._died(*result)

    def _give_up(self, reason: GivenUp) -> None:
        self._deaths.clear()
        self._again.clear()
        if self.outcome:
            self.outcome.failed(reason)
            return
        self._log.critical("{name} gives up: {reason}", name=name_of(self), reason=reason)
        on_failure = self.on_failure
        self.stopService().addCallback(lambda _: on_failure and on_failure(reason))

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
