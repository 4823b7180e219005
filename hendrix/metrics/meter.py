"""What is counted of each request when its answer is complete: in this process, by thread, summed when somebody asks.

The hot path takes no lock: each thread has numbers of its own, which it alone writes and which only grow. So a sum that is read
meanwhile may lack the last request, and never has half of one that matters.
"""

from __future__ import annotations

from threading import get_ident
from typing import Any, Final

from hendrix.buckets import BOUNDS, Histogram, bisect_left, empty
from hendrix.metrics.routes import route_of

# A family of metrics and the values of its labels; what has been counted, or a histogram of it. See `hendrix.metrics.families`.
Key = tuple[str, ...]
Samples = dict[Key, float | Histogram]

METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", ""))
"""Methods that are told apart. "" is that of a request that could not be read."""

ROUTES: Final = 200
"""Routes that are told apart: nobody can fill the memory by asking for what is not there."""

OTHER: Final = "(other)"

RECEIVED, SENT, SECONDS = range(3)
"""Where the sums stand among the numbers of a series; the counts of its histogram follow."""


class Tally:
    """What one thread has counted.

    :ivar series: by method, status and route.
    :ivar refused: answers to what never reached the application, by method and status.
    :ivar waits: for a thread.
    """

    __slots__ = ("refused", "series", "waits")

    def __init__(self) -> None:
        self.series: dict[Key, list[float]] = {}
        self.refused: dict[Key, int] = {}
        self.waits = empty()


class Meter:
    """Counts requests. A `hendrix.channel.site.Measure`."""

    def __init__(self) -> None:
        self._tallies: dict[int, Tally] = {}
        self._routes: set[str] = set()

    # Any thread.

    def served(self, environ: dict[str, Any], method: str, code: str, received: int, sent: int, waited: float, seconds: float) -> None:
        """The application has answered.

        :param received: bytes of content; ``sent`` is the same for the answer.
        :param waited: seconds for a thread.
        :param seconds: from there to the end of the answer.
        """
        tally = self._tallies.get(get_ident()) or self._new()
        series = tally.series.get((method, code, route_of(environ)))
        if series is None:
            series = self._series(tally, method, code, route_of(environ))
        total = waited + seconds
        series[RECEIVED] += received
        series[SENT] += sent
        series[SECONDS] += total
        series[bisect_left(BOUNDS, total) + 3] += 1
        waits = tally.waits
        waits[0] += waited
        waits[bisect_left(BOUNDS, waited) + 1] += 1

    def refused(self, method: str, code: str) -> None:
        """A request was answered without the application."""
        refused = (self._tallies.get(get_ident()) or self._new()).refused
        key = (method if method in METHODS else OTHER, code)
        refused[key] = refused.get(key, 0) + 1

    def _new(self) -> Tally:
        return self._tallies.setdefault(get_ident(), Tally())

    def _series(self, tally: Tally, method: str, code: str, route: str) -> list[float]:
        """That of a request whose like this thread has not had yet."""
        if route not in self._routes:
            if len(self._routes) < ROUTES:
                self._routes.add(route)
            else:
                route = OTHER
        key = (method if method in METHODS else OTHER, code, route)
        return tally.series.setdefault(key, [0.0] * (len(BOUNDS) + 4))

    # Who asks.

    def samples(self) -> Samples:
        """The sums over all threads."""
        found: Samples = {("request_content_bytes",): 0.0, ("response_content_bytes",): 0.0, ("request_wait_seconds",): empty()}
        for tally in list(self._tallies.values()):
            add(found, {("request_wait_seconds",): tally.waits[:]})
            for (method, code, route), series in tally.series.copy().items():
                one = series[:]
                add(
                    found,
                    {
                        ("requests", method, code, route): sum(one[3:]),
                        ("request_seconds", route): one[SECONDS:],
                        ("request_content_bytes",): one[RECEIVED],
                        ("response_content_bytes",): one[SENT],
                    },
                )
            add(found, {("requests", *key, ""): float(count) for key, count in tally.refused.copy().items()})
        return found


def add(sums: Samples, more: Samples) -> None:
    """Add what others have counted."""
    for key, value in more.items():
        known = sums.get(key)
        if isinstance(value, list):
            sums[key] = [one + other for one, other in zip(known, value)] if isinstance(known, list) else value[:]
        else:
            sums[key] = value + (known if isinstance(known, (int, float)) else 0)
