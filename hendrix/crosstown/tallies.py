"""What became of tasks, by their name, for the metrics. The dispatcher's lock guards it."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from hendrix.buckets import Histogram, empty, observe

NAMES: Final = 200
"""Names that are told apart: an application may make them up as it goes."""

OTHERS: Final = "(other)"
"""Those that came after them."""


class Tallies:
    """:ivar ended: how many tasks of a name have come to an end of a kind: "done", "failed", "no-go", "cancelled".
    :ivar delays: from the moment at which they could start to their start.
    :ivar runs: from there to their end.
    """

    def __init__(self) -> None:
        self.ended: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.delays: defaultdict[str, Histogram] = defaultdict(empty)
        self.runs: defaultdict[str, Histogram] = defaultdict(empty)
        self._names: set[str] = set()

    def started(self, name: str, delay: float) -> None:
        observe(self.delays[self._known(name)], delay)

    def ran(self, name: str, seconds: float) -> None:
        observe(self.runs[self._known(name)], seconds)

    def end(self, name: str, how: str) -> None:
        self.ended[self._known(name), how] += 1

    def _known(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= NAMES:
                return OTHERS
            self._names.add(name)
        return name
