"""The last minutes, second by second: what all processes together have answered, and how long they took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hendrix.status.meter import quantiles

# Seconds that are kept.
KEPT = 600
# Seconds after its end in which a second may still change: a process that is busy reports late.
LATE = 5


class Second:
    """One of them, over all processes.

    :ivar levels: what was at its end, by name.
    """

    __slots__ = ("buckets", "codes", "levels")

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()
        self.codes: Counter[str] = Counter()
        self.levels: dict[str, float] = {}

    def row(self, when: int) -> dict[str, Any]:
        """As JSON can say it. ``requests`` and ``errors`` are counts, ``p50`` and so on seconds."""
        p50, p95, p99 = quantiles(self.buckets, 0.5, 0.95, 0.99)
        codes = self.codes
        counts = {"requests": codes.total(), "refused": codes["4"], "errors": codes["5"]}
        return {"t": when, **counts, "p50": p50, "p95": p95, "p99": p99, **self.levels}


class Series:
    """All of them, the oldest first. Those in which nothing was are there too."""

    def __init__(self) -> None:
        self._seconds: dict[int, Second] = {}
        self.requests = self.errors = 0

    def at(self, when: int) -> Second:
        """That second, made with those before it that are missing."""
        if when not in self._seconds:
            last = max(self._seconds, default=when - 1)
            for missing in range(max(last + 1, when - KEPT), when):
                self._seconds[missing] = Second()
            self._seconds[when] = Second()
            for old in [one for one in self._seconds if one <= max(when, last) - KEPT]:
                del self._seconds[old]
            self._seconds = dict(sorted(self._seconds.items()))
        return self._seconds[when]

    def add(self, report: Mapping[str, Any], now: int) -> None:
        """What a process reports of a second. One that is too old for it counts for the last one that is still shown anew."""
        second = self.at(min(max(int(report["second"]), now - LATE), now))
        second.buckets.update({int(index): count for index, count in report["buckets"].items()})
        second.codes.update(report["codes"])
        self.requests += sum(report["codes"].values())
        self.errors += report["codes"].get("5", 0)

    def rows(self, last: int = KEPT) -> list[dict[str, Any]]:
        """The last so many seconds, less the one of which not all is known yet."""
        seconds = list(self._seconds.items())
        if seconds and not seconds[-1][1].levels:
            seconds.pop()
        return [second.row(when) for when, second in seconds[-last:]]

    def minute(self) -> dict[str, Any]:
        """The last sixty seconds as one."""
        whole = Second()
        for second in list(self._seconds.values())[-60:]:
            whole.buckets.update(second.buckets)
            whole.codes.update(second.codes)
        return whole.row(0)
