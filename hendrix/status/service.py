"""The access log as a node of the tree: opened when the process has its final user, written twice a second, or at once for a terminal."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from hendrix.access.formats import NAMES
from hendrix.status.access_log import AccessLog
from hendrix.wire.http1 import Request

log = Logger(namespace="hendrix.access")

# Seconds that a line may wait to be written.
INTERVAL = 0.5
# The same where somebody looks on.
AT_ONCE = 0.05


class Answered(Protocol):
    """What there is a line for: a response, a refusal, the end of a connection that was let in. See `hendrix.access.record`."""

    @property
    def request(self) -> Request: ...
    @property
    def event(self) -> str: ...
    @property
    def remote_addr(self) -> Any: ...
    @property
    def code(self) -> str: ...
    @property
    def sent(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[str, str]]: ...
    @property
    def began(self) -> float: ...
    @property
    def first(self) -> float: ...
    @property
    def finished(self) -> float: ...
    @property
    def left(self) -> float: ...
    @property
    def client(self) -> str: ...
    @property
    def close_code(self) -> int: ...
    @property
    def request_id(self) -> str: ...


class AccessLogService(Service):
    """Writes a line for each response.

    :param path: a file, or "-" for the standard output.
    :param form: a format, see `hendrix.access.formats.Format`.
    :param worker: the name of the process.
    """

    name = "access log"

    def __init__(self, reactor: Any, path: str, form: str, worker: str = "hendrix") -> None:
        self._path, self._form, self._worker = path, form, worker
        self._log: AccessLog | None = None
        self._lost = 0
        self._writing = LoopingCall(self._write)
        self._writing.clock = reactor

    def describe(self) -> str:
        return f"{self._form if self._form in NAMES else 'a format of its own'} to {'standard output' if self._path == '-' else self._path}"

    def numbers(self) -> dict[str, int]:
        return {"lost": self._lost}

    def startService(self) -> None:
        super().startService()
        self._log = AccessLog(self._path, self._form, worker=self._worker)
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

    def append(self, answered: Answered) -> None:
        """Something is complete (any thread)."""
        log = self._log
        if log is None:
            return
        request = answered.request
        get, form = request.fields.get, log.format
        agent, referer, address = get("HTTP_USER_AGENT", ""), get("HTTP_REFERER", ""), answered.remote_addr
        began, left = answered.began, answered.left
        method = request.method
        log.append(
            (
                answered.event,
                request.arrived or began,
                began,
                answered.first or left,
                answered.finished,
                left,
                answered.request_id if form.wants_id else "",
                address if type(address) is str else "",
                _user(get) if "HTTP_AUTHORIZATION" in request.fields or "REMOTE_USER" in request.fields else "",
                method,
                request.target,
                ("HTTP/1.0" if request.http10 else "HTTP/1.1") if method else "",
                request.tls,
                answered.code or "0",
                request.received,
                answered.sent,
                referer if type(referer) is str else "",
                agent if type(agent) is str else "",
                answered.client,
                answered.close_code,
                tuple([_extra(answered, kind, name) for kind, name in form.extras]) if form.extras else (),
            )  # type: ignore[arg-type]  # a plain tuple, which the garbage collector need not look at again
        )

    def _write(self) -> None:
        assert self._log is not None
        self._log.flush()
        lost, self._lost = self._log.dropped - self._lost, self._log.dropped
        if lost:
            log.warn("{count} lines of the access log were lost: the disk is too slow or full", count=lost)


def _user(get: Callable[..., Any]) -> str:
    """Who the application, or the client by HTTP Basic (RFC 7617), says that it is."""
    user = get("REMOTE_USER")
    if type(user) is str and user:
        return user
    given = get("HTTP_AUTHORIZATION")
    if type(given) is not str or given[:6].lower() != "basic ":
        return ""
    try:
        return b64decode(given[6:].strip(), validate=True).decode(errors="backslashreplace").partition(":")[0]
    except ValueError:
        return ""


def _extra(answered: Answered, kind: str, name: str) -> str:
    """What a format string asks for. The fields of a request are the environ, and the application may have put anything there."""
    if kind == "o":
        return ", ".join([str(value) for header, value in answered.headers if str(header).lower() == name])
    value = answered.request.fields.get(name, "")
    if type(value) is str:
        return value
    return repr(value) if isinstance(value, (int, float, tuple, bytes)) else ""
