"""A connection to PostgreSQL that the reactor itself reads and writes: psycopg's libpq, without a thread and without asyncio.

libpq does not block, but for looking up the names of hosts; this is done before, in the reactor's pool of threads.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from psycopg import Error, conninfo, pq
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from zope.interface import implementer

from hendrix.hey_joe.brokers.engine import EngineError

Rows = list[tuple[str, ...]]

_GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY)


class _Question(NamedTuple):
    query: bytes
    arguments: list[bytes] | None
    answer: Deferred[Rows]


@implementer(IReadWriteDescriptor)
class Connection:
    """One question at a time; those that come meanwhile wait in their order. Reactor thread.

    :param notified: called with channel and text of each notification.
    :param read: called when there are no more of them for now.
    :param lost: called once with one line, when the connection has gone after it was `open`.
    """

    def __init__(
        self, reactor: Any, notified: Callable[[str, str], object], read: Callable[[], object], lost: Callable[[str], object]
    ) -> None:
        self._reactor, self._notified, self._read, self._lost = reactor, notified, read, lost
        self._libpq: pq.abc.PGconn | None = None
        self._descriptor = -1
        self._connecting: Deferred[None] | None = None
        self._waiting: deque[_Question] = deque()
        self._asked: _Question | None = None
        self._rows: Rows = []
        self._refused = ""
        self._over = False

    async def open(self, parameters: dict[str, Any]) -> None:
        """Connect.

        :param parameters: of libpq.
        :raises EngineError: one line.
        """
        hosts = str(parameters.get("host") or "").split(",")
        if "hostaddr" not in parameters and any(host and host[0] not in "/@" for host in hosts):
            parameters = await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), _looked_up, parameters, hosts)
        if self._over:
            raise EngineError("it was left")
        try:
            self._libpq = pq.PGconn.connect_start(conninfo.make_conninfo("", **parameters).encode())
        except Error as error:
            raise EngineError(_line(str(error))) from None
        if self._libpq.status == pq.ConnStatus.BAD:
            why = _line(self._libpq.get_error_message())
            self.close()
            raise EngineError(why)
        self._connecting = Deferred()
        self._watch(pq.PollingStatus.WRITING)
        await self._connecting

    def ask(self, query: str, *arguments: str) -> Deferred[Rows]:
        """The rows of the last answer. With no arguments there may be several commands."""
        answer: Deferred[Rows] = Deferred()
        if self._over or self._libpq is None:
            answer.errback(EngineError("the connection has gone"))
        else:
            given = [argument.encode() for argument in arguments] if arguments else None
            self._waiting.append(_Question(query.encode(), given, answer))
            if self._asked is None:
                self._ask_next()
        return answer

    def close(self) -> None:
        """Let go of it; `lost` is not called."""
        self._lost = lambda why: None
        self._fail("it was left")

    # The reactor.

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "PostgreSQL"

    def doRead(self) -> None:
        self._guarded(self._poll if self._connecting is not None else self._receive)

    def doWrite(self) -> None:
        self._guarded(self._poll if self._connecting is not None else self._flush)

    def connectionLost(self, reason: Failure) -> None:
        if self._connecting is not None:
            self._guarded(self._poll)  # this address refuses: libpq says why, or has another one
        else:
            self._fail(_line(reason.getErrorMessage()))

    def _guarded(self, step: Callable[[pq.abc.PGconn], None]) -> None:
        if self._libpq is None:
            return
        try:
            step(self._libpq)
        except Error as error:
            self._fail(_line(str(error)))

    def _poll(self, libpq: pq.abc.PGconn) -> None:
        """A step of connecting, after which libpq may have another socket."""
        self._unwatch()
        status = pq.PollingStatus(libpq.connect_poll())
        if status == pq.PollingStatus.FAILED:
            self._fail(_line(libpq.get_error_message()))
        elif status == pq.PollingStatus.OK:
            libpq.nonblocking = 1
            self._watch(pq.PollingStatus.READING)
            connected, self._connecting = self._connecting, None
            assert connected is not None
            if not connected.called:
                connected.callback(None)
        else:
            self._watch(status)

    def _receive(self, libpq: pq.abc.PGconn) -> None:
        libpq.consume_input()
        self._hear(libpq)
        while self._asked is not None and not libpq.is_busy():
            result = libpq.get_result()
            if result is None:
                self._answered()
            elif result.status in _GOOD:
                self._rows = [_row(result, number) for number in range(result.ntuples)]
            else:
                self._refused = _line((result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message).decode())
        if self._libpq is not None:
            self._flush(libpq)
            self._hear(libpq)
        self._read()

    def _hear(self, libpq: pq.abc.PGconn) -> None:
        while self._libpq is not None and (notification := libpq.notifies()) is not None:
            self._notified(notification.relname.decode(), notification.extra.decode())

    def _answered(self) -> None:
        asked, rows, refused = self._asked, self._rows, self._refused
        self._asked, self._rows, self._refused = None, [], ""
        assert asked is not None
        if self._waiting:
            self._ask_next()
        if not asked.answer.called:
            if refused:
                asked.answer.errback(EngineError(refused))
            else:
                asked.answer.callback(rows)

    def _ask_next(self) -> None:
        asked = self._asked = self._waiting.popleft()

        def send(libpq: pq.abc.PGconn) -> None:
            if asked.arguments is None:
                libpq.send_query(asked.query)
            else:
                libpq.send_query_params(asked.query, asked.arguments)
            self._flush(libpq)

        self._guarded(send)

    def _flush(self, libpq: pq.abc.PGconn) -> None:
        if libpq.flush():
            self._reactor.addWriter(self)  # it reads too meanwhile: a server that cannot write does not read
        else:
            self._reactor.removeWriter(self)

    def _watch(self, status: pq.PollingStatus) -> None:
        """The reactor watches a descriptor of our own: libpq closes its one at any time, and the number may be another's then."""
        assert self._libpq is not None
        self._descriptor = os.dup(self._libpq.socket)
        if status == pq.PollingStatus.WRITING:
            self._reactor.addWriter(self)
        else:
            self._reactor.addReader(self)

    def _unwatch(self) -> None:
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            os.close(self._descriptor)
            self._descriptor = -1

    def _fail(self, why: str) -> None:
        if self._over:
            return
        self._over = True
        self._unwatch()
        libpq, self._libpq = self._libpq, None
        if libpq is not None:
            libpq.finish()
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            if not connecting.called:
                connecting.errback(EngineError(why))
        else:
            self._lost(why)
        unanswered = [*([self._asked] if self._asked is not None else []), *self._waiting]
        self._asked = None
        self._waiting.clear()
        for question in unanswered:
            if not question.answer.called:
                question.answer.errback(EngineError(why))


def _looked_up(parameters: dict[str, Any], hosts: Sequence[str]) -> dict[str, Any]:
    """With the addresses of the hosts, each with its port. Any thread."""
    ports = str(parameters.get("port") or os.environ.get("PGPORT") or 5432).split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    found: list[tuple[str, str, str]] = []
    failed = ""
    for host, port in zip(hosts, ports):
        if not host or host[0] in "/@":
            found.append((host, "", port))
            continue
        try:
            addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            failed = f"{host}: {error.strerror or error}"
            continue
        found += [(host, str(address[4][0]), port) for address in addresses]
    if not found:
        raise EngineError(failed)
    names, numbers, theirs = zip(*found)
    return {**parameters, "host": ",".join(names), "hostaddr": ",".join(numbers), "port": ",".join(theirs)}


def _row(result: pq.abc.PGresult, number: int) -> tuple[str, ...]:
    return tuple((result.get_value(number, column) or b"").decode() for column in range(result.nfields))


def _line(text: str) -> str:
    return " ".join(text.split())[:300] or "the connection has gone"
