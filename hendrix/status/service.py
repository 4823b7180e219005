"""The access log as a node of the tree: opened when the process has its final user, written twice a second, or at once for a terminal."""

from __future__ import annotations

import time
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from hendrix.status.access_log import AccessLog, Format, Record
from hendrix.wire.http1 import Request

log = Logger(namespace="hendrix.access")

# Seconds that a line may wait to be written.
INTERVAL = 0.5
# The same where somebody looks on.
AT_ONCE = 0.05


class AccessLogService(Service):
    """Writes a line for each response.

    :param path: a file, or "-" for the standard output.
    """

    name = "access log"

    def __init__(self, reactor: Any, path: str, form: str) -> None:
        self._path, self._form = path, form
        self._log: AccessLog | None = None
        self._lost = 0
        self._writing = LoopingCall(self._write)
        self._writing.clock = reactor

    def describe(self) -> str:
        return f"{self._form} to {'standard output' if self._path == '-' else self._path}"

    def numbers(self) -> dict[str, int]:
        return {"lost": self._lost}

    def startService(self) -> None:
        super().startService()
        self._log = AccessLog(self._path, cast(Format, self._form))
        self._writing.start(AT_ONCE if self._form == "terminal" else INTERVAL, now=False)

    def stopService(self) -> None:
        super().stopService()
        if self._writing.running:
            self._writing.stop()
        if self._log is not None:
            self._log.close()

    def reopen(self) -> None:
        """The file was rotated away: open it anew.

        :raises ConfigurationError: that fails; the old one stays in use.
        """
        if self._log is not None:
            self._log.reopen()

    def append(self, request: Request, remote_addr: str, code: str, sent: int, seconds: float) -> None:
        """A response is complete (any thread)."""
        if self._log is not None:
            fields = request.fields
            protocol = "HTTP/1.0" if request.http10 else "HTTP/1.1"
            self._log.append(
                Record(
                    time=time.time() - seconds,
                    remote_addr=_text(remote_addr),
                    method=request.method,
                    target=request.target,
                    protocol=protocol if request.method else "",
                    status=int(code or 0),
                    sent=sent,
                    referer=_text(fields.get("HTTP_REFERER")),
                    user_agent=_text(fields.get("HTTP_USER_AGENT")),
                    duration=seconds,
                )
            )

    def _write(self) -> None:
        assert self._log is not None
        self._log.flush()
        lost, self._lost = self._log.dropped - self._lost, self._log.dropped
        if lost:
            log.warn("{count} lines of the access log were lost: the disk is too slow or full", count=lost)


def _text(value: Any) -> str:
    """The fields of a request are the environ, and the application may have put anything there."""
    return value if isinstance(value, str) else ""
