"""The node "process": what the operating system and the reactor say about this process."""

from __future__ import annotations

import os
import resource
import sys
import time
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall

from hendrix.values import bytes_text

# Seconds between two looks whether the reactor comes round.
LOOK = 0.25
# Looks of which the worst is told: longer than the time between two questions.
KEPT = 60


class ProcessService(Service):
    """Memory, processor time, and how late the reactor is."""

    name = "process"

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._due = 0.0
        self._lags = [0.0]
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def describe(self) -> str:
        return f"{bytes_text(rss() >> 20 << 20)} of memory, the reactor at most {self.lag * 1000:.1f} ms late"

    def numbers(self) -> dict[str, int | float]:
        return {"rss": rss(), "lag": round(self.lag, 6)}

    @property
    def lag(self) -> float:
        """Seconds by which the reactor came late to what was due; the worst of the last quarter of a minute."""
        return max(self._lags)

    def startService(self) -> None:
        super().startService()
        self._due = self._reactor.seconds() + LOOK
        self._looking.start(LOOK, now=False)

    def stopService(self) -> None:
        super().stopService()
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        now = self._reactor.seconds()
        self._lags = [*self._lags[1 - KEPT :], max(0.0, now - self._due)]
        # As LoopingCall does: at the next of its times that is to come.
        self._due += LOOK * (1 + max(0.0, now - self._due) // LOOK)


def cpu_seconds() -> float:
    """Processor time of all threads so far."""
    return time.process_time()


def rss() -> int:
    """Bytes of memory that this process has in use; where that is not told, the most that it ever had."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
