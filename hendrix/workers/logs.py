"""The log of a worker goes to its parent, through the pipe that is its standard error, and becomes part of the parent's log.

A line that the worker logs is JSON. What else is written there, by the interpreter when it crashes, by a library in C or by the dump of
a worker that is stuck, comes as it is.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

from twisted.logger import ILogObserver, Logger, LogLevel, globalLogBeginner
from zope.interface import implementer

from hendrix.status.log_lines import SAID, Said

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
        line = json.dumps(Said.of(event).keys()).encode() + b"\n"
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
            said = self._said(line)
            if said is None:
                raw.append(line.decode(errors="backslashreplace"))
                continue
            self._log_raw(raw)
            raw = []
            self._log(said)
        self._log_raw(raw)

    def end(self) -> None:
        """Nothing more will come."""
        self.feed(b"\n" if self._rest else b"")

    def _log_raw(self, lines: list[str]) -> None:
        text = "\n".join(lines).strip("\n")
        if text:
            self._log(Said("warn", "stderr", text, worker=self._source))

    def _log(self, said: Said) -> None:
        """With all that it said for our own lines, and with the text for other observers."""
        text = f"{said.text}\n{said.traceback}".strip()
        more: dict[str, Any] = {SAID: said}
        Logger(namespace=f"{self._source}, {said.namespace}").emit(LogLevel.lookupByName(said.level), "{text}", text=text, **more)

    def _said(self, line: bytes) -> Said | None:
        if not line.startswith(b'{"level"'):
            return None
        try:
            said = json.loads(line)
            LogLevel.lookupByName(said["level"])
            return Said(**{key: str(value) for key, value in said.items()} | {"worker": self._source})
        except Exception:
            return None
