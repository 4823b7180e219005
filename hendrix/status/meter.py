"""What a process counts of its answers between two reports, and quantiles of it: fixed bounds, so that the counts of processes and of
seconds add up.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import Any

# Seconds: an eighth more each time, from a tenth of a millisecond to about two minutes; what takes longer is in the last bucket.
STEP = 1.125
BOUNDS: tuple[float, ...] = tuple(0.0001 * STEP**power for power in range(120))

# The paths with the slowest answers in a report.
SLOWEST = 8
# Seconds from which an answer may be called slow.
SLOW = 0.1
# Characters of a path.
LONGEST = 120


class Meter:
    """Counts (any thread).

    :param stack: gives where the thread that asks was seen, in the application, while it was at this answer; [] if it was not.
    """

    def __init__(self, stack: Callable[[], list[str]] = list) -> None:
        self._stack = stack
        self._lock = threading.Lock()
        self._buckets, self._codes = [0] * (len(BOUNDS) + 1), [0] * 6
        self._slow: dict[str, dict[str, Any]] = {}

    def served(self, environ: dict[str, Any], method: str, code: str, received: int, sent: int, waited: float, seconds: float) -> None:
        """The application has answered: a `hendrix.channel.site.Measure`.

        :param waited: seconds for a thread.
        :param seconds: from there to the end of the answer.
        """
        seconds += waited
        bucket = bisect_left(BOUNDS, seconds)
        with self._lock:
            self._codes[_kind(code)] += 1
            self._buckets[bucket] += 1
        if seconds >= SLOW:
            path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
            self._note(f"{method} {path.encode('latin-1', 'replace').decode('utf-8', 'replace')}", code, seconds)

    def refused(self, method: str, code: str) -> None:
        """A request was answered without the application, which took no time that says anything."""
        with self._lock:
            self._codes[_kind(code)] += 1

    def _note(self, title: str, code: str, seconds: float) -> None:
        slow = {"title": brief(title), "code": code, "seconds": round(seconds, 3), "stack": self._stack(), "many": 1}
        slow["time"] = round(time.time())
        with self._lock:
            worst(self._slow, slow)
            if len(self._slow) > 10 * SLOWEST:
                self._slow = {kept["title"]: kept for kept in slowest(self._slow.values())}

    def take(self) -> dict[str, Any]:
        """What was counted since the last time, as JSON can say it: how many of each bucket, of each class of status, and the slowest."""
        with self._lock:
            buckets, self._buckets = self._buckets, [0] * (len(BOUNDS) + 1)
            codes, self._codes = self._codes, [0] * 6
            slow, self._slow = self._slow, {}
        return {
            "buckets": {str(index): count for index, count in enumerate(buckets) if count},
            "codes": {str(kind): count for kind, count in enumerate(codes) if count},
            "slow": slowest(slow.values()),
        }


def _kind(code: str) -> int:
    """The class of a status, 0 for none."""
    return int(code[0]) if code[:1] in ("1", "2", "3", "4", "5") else 0


def slowest(answers: Iterable[dict[str, Any]], most: int = SLOWEST) -> list[dict[str, Any]]:
    """The slowest of them, slowest first."""
    return sorted(answers, key=lambda answer: -answer["seconds"])[:most]


def worst(by_title: dict[str, dict[str, Any]], slow: dict[str, Any]) -> None:
    """Keep the slower of two with the same title, and how many there were of both; where the one was, the other was too."""
    other = by_title.get(slow["title"])
    if other is None:
        by_title[slow["title"]] = slow
    else:
        worse = max(other, slow, key=lambda answer: float(answer["seconds"]))
        stack = worse["stack"] or other["stack"] or slow["stack"]
        by_title[slow["title"]] = {**worse, "stack": stack, "many": other["many"] + slow["many"], "time": max(other["time"], slow["time"])}


def brief(title: str) -> str:
    """Without its query, in which there may be what nobody else should see."""
    path = title.partition("?")[0]
    return path if len(path) <= LONGEST else path[: LONGEST - 1] + "…"


def quantiles(buckets: Mapping[int, int] | Counter[int], *which: float) -> list[float | None]:
    """Seconds below which so much of what was counted lies; None if nothing was.

    Within a bucket it is spread evenly, so that the error is less than an eighth.
    """
    indexes = sorted(buckets)
    sums = list(accumulate(buckets[index] for index in indexes))
    if not sums or not sums[-1]:
        return [None] * len(which)
    found: list[float | None] = []
    for part in which:
        rank = part * sums[-1]
        place = min(bisect_left(sums, rank), len(sums) - 1)
        index, below = indexes[place], sums[place - 1] if place else 0
        low = BOUNDS[index - 1] if index else 0.0
        high = BOUNDS[min(index, len(BOUNDS) - 1)]
        inside = (rank - below) / buckets[index] if buckets[index] else 1.0
        found.append(round(low + (high - low) * inside, 6))
    return found
