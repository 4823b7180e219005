"""What has happened lately, taken from the log: the last lines, and what failed with its traceback. Bounded; any thread logs."""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from hendrix.status.meter import brief

# Lines that are kept, and characters of each.
LINES, LONGEST = 300, 4000
# Failures that wait to be reported, and characters of a traceback.
FAILURES, TRACEBACK = 20, 6000
# Where this package is, and with it most others.
PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
# The namespaces in which failures of the application are logged, and what they are called.
KINDS = {"hendrix.crosstown": "task", "hendrix.wsgi": "request"}


@implementer(ILogObserver)
class Observer:
    """Of the log of this process, from `begin` to `end`."""

    def begin(self) -> None:
        globalLogPublisher.addObserver(self)

    def end(self) -> None:
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        raise NotImplementedError


class Lines(Observer):
    """The last lines.

    :ivar number: of the last one; they grow by one from each to the next.
    """

    def __init__(self) -> None:
        self._lines: deque[dict[str, Any]] = deque(maxlen=LINES)
        self.number = 0

    def __call__(self, event: LogEvent) -> None:
        text = formatEvent(event)
        failure = event.get("log_failure")
        if failure is not None:
            text = f"{text}\n{failure.getTraceback()}".strip()
        if not text:
            return
        text = shortened(text, LONGEST)
        level = getattr(event.get("log_level"), "name", "critical" if event.get("isError") else "info")
        source = str(event.get("log_namespace") or "-")
        self.number += 1
        line = {"number": self.number, "time": round(event.get("log_time", 0.0), 3), "level": level, "source": source, "text": text}
        self._lines.append(line)

    def after(self, number: int) -> list[dict[str, Any]]:
        """Those with a higher number that are still there."""
        return [line for line in list(self._lines) if line["number"] > number]


class Failures(Observer):
    """Tasks and requests of this process that have failed since the last `take`."""

    def __init__(self) -> None:
        self._failures: deque[dict[str, Any]] = deque(maxlen=FAILURES)

    def __call__(self, event: LogEvent) -> None:
        failure, kind = event.get("log_failure"), KINDS.get(str(event.get("log_namespace")))
        if failure is None or kind is None:
            return
        name, origin = (event.get("name"), event.get("origin")) if kind == "task" else (event.get("request"), "")
        if not isinstance(name, str):
            return
        traceback = f"{failure.getTraceback()}{event.get('there', '')}".strip()
        self._failures.append(
            {
                "time": round(event.get("log_time", 0.0), 3),
                "kind": kind,
                "name": brief(name),
                "origin": brief(str(origin)),
                "error": f"{failure.type.__name__}: {failure.getErrorMessage()}"[:300],
                "traceback": shortened(traceback, TRACEBACK),
            }
        )

    def take(self) -> list[dict[str, Any]]:
        taken = []
        while self._failures:
            taken.append(self._failures.popleft())
        return taken


def shortened(text: str, most: int) -> str:
    """Its beginning and its end. Files of tracebacks go by the end of their path: those of the application, and packages."""
    for directory in (_here(), PACKAGES):
        if len(directory) > 1:
            text = text.replace(f'  File "{directory}', '  File "')
    return text if len(text) <= most else f"{text[: most // 2]}\n[...]\n{text[-(most // 2 - 7) :]}"


def _here() -> str:
    try:
        return os.path.join(os.getcwd(), "")
    except OSError:  # it was removed
        return ""
