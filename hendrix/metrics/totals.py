"""The sums over all processes. What a process has counted stays when it is replaced or dies, so no sum ever goes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from hendrix.crosstown.tallies import Tallies
from hendrix.metrics.meter import Meter, Samples, add
from hendrix.metrics.process import cpu_seconds


class Channel(Protocol):
    """A way between two processes: `hendrix.workers.link.Channel`."""

    received: Callable[[dict[str, Any]], object]
    lost: Callable[[], object]

    def send(self, message: dict[str, Any], /) -> None: ...


class Counting:
    """What this process counts. Nothing where it does not serve.

    :ivar meter: its requests.
    :ivar tallies: its tasks.
    """

    def __init__(self) -> None:
        self.meter, self.tallies = Meter(), Tallies()

    def samples(self) -> Samples:
        """All of it so far."""
        found = self.meter.samples()
        found["cpu_seconds",] = cpu_seconds()
        tallies = self.tallies
        found |= {("crosstown_tasks", *key): float(count) for key, count in tallies.ended.copy().items()}
        found |= {("crosstown_start_seconds", name): histogram[:] for name, histogram in tallies.delays.copy().items()}
        found |= {("crosstown_run_seconds", name): histogram[:] for name, histogram in tallies.runs.copy().items()}
        return found


class Report:
    """Tells another process what this one has counted: each time what is new."""

    def __init__(self, counting: Counting, channel: Channel) -> None:
        self._counting, self._channel = counting, channel
        self._told: Samples = {}

    def send(self) -> None:
        now = self._counting.samples()
        news = [[list(key), value] for key, value in now.items() if self._told.get(key) != value]
        self._told = now
        if news:
            self._channel.send({"counted": news})


class Totals:
    """Reactor thread.

    :param counting: of this process.
    :param name: of this process.
    """

    def __init__(self, counting: Counting, name: str = "main") -> None:
        self._counting, self._name = counting, name
        self._gone: dict[str, Samples] = {}
        self._there: list[tuple[str, Samples]] = []

    def attach(self, name: str, channel: Channel) -> None:
        """A process has come that will take this place, and that is the way from it."""
        counted: Samples = {}
        entry = (name, counted)
        self._there.append(entry)

        def heard(message: dict[str, Any]) -> None:
            for key, value in message["counted"]:
                counted[tuple(key)] = value

        def lost() -> None:
            self._there = [other for other in self._there if other is not entry]
            add(self._gone.setdefault(name, {}), counted)

        channel.received, channel.lost = heard, lost

    def by_process(self) -> dict[str, Samples]:
        """By the name of a place, all that the processes there have counted, one after another."""
        sums: dict[str, Samples] = {}
        parts: Iterable[tuple[str, Samples]] = (*self._gone.items(), *self._there, (self._name, self._counting.samples()))
        for name, samples in parts:
            add(sums.setdefault(name, {}), samples)
        return sums


def summed(processes: dict[str, Samples]) -> Samples:
    """Over all of them."""
    total: Samples = {}
    for samples in processes.values():
        add(total, samples)
    return total
