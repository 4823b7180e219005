"""The sibling cron: publishes, or calls a function, on a schedule."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from hendrix.errors import ConfigurationError
from hendrix.hey_joe.topics import check_topic
from hendrix.siblings.context import Context
from hendrix.wsgi.loading import Name

# Seconds between two looks at the clock of the wall: it may be set, and the machine may have slept.
LOOK = 30.0


def make_service(
    context: Context, schedule: str, topic: str = "", call: str = "", jitter: float = 0.0, timezone: str = ""
) -> Service:  # fmt: skip
    """Publishes on a topic, or calls a function, on a schedule. What is still running when it is due again is not begun twice.

    :param schedule: five fields as in a crontab, such as 30 4 * * mon; six begin with seconds.
    :param topic: on which to publish.
    :param call: the function to call, package.module.function, without arguments, on a thread.
    :param jitter: seconds of delay at most, chosen anew each time.
    :param timezone: such as Europe/Berlin; that of the machine if there is none.
    """
    if bool(topic) == bool(call):
        raise ConfigurationError("give either topic or call")
    if not jitter >= 0:
        raise ConfigurationError(f"jitter={jitter}: give a number of seconds")
    due = Due(schedule, _zone(timezone))
    if topic:
        check_topic(topic)
        return Cron(context, due, topic, lambda at: context.publish(topic, {"time": at.isoformat()}), jitter)
    function = Name.parse(f"call={call}", call).found()
    if not callable(function):
        raise ConfigurationError(f"call={call}: it is no function")
    return Cron(context, due, call, lambda at: context.call(function, call), jitter)


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(f"timezone={name}: there is no such time zone; give one such as Europe/Berlin") from None


class Due:
    """When something is due. Raises ConfigurationError for what is no schedule."""

    def __init__(self, schedule: str, zone: tzinfo | None) -> None:
        self.schedule, self._zone = schedule, zone
        try:
            self.after(0.0)
        except CronSimError as error:
            raise ConfigurationError(f"schedule={schedule}: {error}; give five fields as in a crontab, such as 30 4 * * mon") from None
        except StopIteration:
            raise ConfigurationError(f"schedule={schedule}: there is no such day") from None

    def after(self, now: float) -> datetime:
        """The first time after this one, which is in seconds since 1970."""
        if self._zone is not None:
            return next(CronSim(self.schedule, datetime.fromtimestamp(now, self._zone)))
        return next(CronSim(self.schedule, datetime.fromtimestamp(now))).astimezone()


class Cron(Service):
    """
    :param what: it does, for people.
    :param run: does it; gives a Deferred if it takes time.
    :param clock: seconds since 1970.
    """

    def __init__(
        self, context: Context, due: Due, what: str, run: Callable[[datetime], Any], jitter: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._context, self._due, self._what, self._run, self._jitter, self._clock = context, due, what, run, jitter, clock
        self._looking: Any = None
        self._running: Deferred[Any] | None = None
        self._done = self._failed = self._skipped = 0

    def describe(self) -> str:
        return f"{self._what} at {self._due.schedule}" + (f", next {self._at:%Y-%m-%d %H:%M:%S}" if self.running else "")

    def numbers(self) -> dict[str, int | float]:
        return {"done": self._done, "failed": self._failed, "skipped": self._skipped}

    def startService(self) -> None:
        super().startService()
        self._plan()

    def stopService(self) -> Deferred[Any] | None:
        """Fires when what runs has ended."""
        super().stopService()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._running is None:
            return None
        ended: Deferred[Any] = Deferred()
        self._running.addBoth(ended.callback)
        return ended

    def _plan(self) -> None:
        self._at = self._due.after(self._clock())
        self._when = self._at.astimezone(timezone.utc).timestamp() + random.uniform(0, self._jitter)
        self._wait()

    def _wait(self) -> None:
        self._looking = self._context.reactor.callLater(min(max(self._when - self._clock(), 0.0), LOOK), self._look)

    def _look(self) -> None:
        if self._clock() < self._when:
            self._wait()
            return
        at = self._at
        self._plan()
        if self._running is not None:
            self._skipped += 1
            self._context.log.warn("{what} is due again and still runs: this time is left out", what=self._what)
            return
        running = self._running = maybeDeferred(self._run, at)
        running.addCallbacks(self._succeeded, self._raised).addBoth(self._ended)

    def _succeeded(self, _: object) -> None:
        self._done += 1

    def _raised(self, failure: Failure) -> None:
        self._failed += 1
        self._context.log.failure("{what} failed", failure, what=self._what)

    def _ended(self, _: object) -> None:
        self._running = None
