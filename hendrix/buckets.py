"""Histograms of seconds, as small as a thread can keep them: a list with the sum, and a count for each range.

One thread writes a list, any thread may read it: each of its numbers only grows.
"""

from __future__ import annotations

from bisect import bisect_left as bisect_left
from typing import Final

BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds, each the upper end of a range; there is one more above the last. From a fast view to `--request-timeout`."""

Histogram = list[float]


def empty() -> Histogram:
    """The sum, then the counts."""
    return [0.0] * (len(BOUNDS) + 2)


def observe(histogram: Histogram, seconds: float) -> None:
    """One more (the thread that owns it)."""
    histogram[0] += seconds
    histogram[bisect_left(BOUNDS, seconds) + 1] += 1
