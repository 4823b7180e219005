"""The log of a worker goes to its parent, through the pipe that is its standard error, and becomes part of the parent's log.

A line that the worker logs is JSON. What else is written there, by the interpreter when it crashes, by a library in C or by the dump of
a worker that is stuck, comes as it is.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

from twisted.logger import ILogObserver, Logger, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

STDERR = 2
# Bytes of a line that is not finished yet, after which it is logged as it is.
LONGEST = 1 << 20


@implementer(ILogObserver)
class ToParent:
    """Writes each event to the standard error (any thread). A parent that has gone hears nothing, and nobody minds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @classmethod
    def begin(cls) -> None:
        """Log there from now on, also what is printed."""
        globalLogBeginner.beginLoggingTo([cls()])

    def __call__(self, event: dict[str, Any]) -> None:
        text = formatEvent(event)
        if "log_failure" in event:
            text = f"{text}\n{event['log_failure'].getTraceback()}".strip()
        level = getattr(event.get("log_level"), "name", "info")
        line = json.dumps({"level": level, "namespace": event.get("log_namespace") or "-", "text": text}).encode() + b"\n"
        with self._lock:
            try:
                while line:
                    line = line[os.write(STDERR, line) :]
            except OSError:
                pass


class FromWorker:
    """Logs what a worker writes.

    :param source: says which worker it is, in front of each namespace.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        raw: list[str] = []
        for line in lines:
            event = _event(line)
            if event is None:
                raw.append(line.decode(errors="backslashreplace"))
                continue
            self._log_raw(raw)
            raw = []
            self._log(event["namespace"], event["level"], event["text"])
        self._log_raw(raw)

    def end(self) -> None:
        """Nothing more will come."""
        self.feed(b"\n" if self._rest else b"")

    def _log_raw(self, lines: list[str]) -> None:
        text = "\n".join(lines).strip("\n")
        if text:
            self._log("stderr", "warn", text)

    def _log(self, namespace: str, level: str, text: str) -> None:
        Logger(namespace=f"{self._source}, {namespace}").emit(LogLevel.lookupByName(level), "{text}", text=text)


def _event(line: bytes) -> dict[str, str] | None:
    if not line.startswith(b'{"level"'):
        return None
    try:
        event = json.loads(line)
        LogLevel.lookupByName(event["level"])
        return {key: str(event[key]) for key in ("level", "namespace", "text")}
    except Exception:
        return None
