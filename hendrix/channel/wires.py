"""Connections that their successors have taken over: WebSockets and event streams. The reactor reads and writes them.

To its `Successor` a wire is the same whatever is below: a plain socket that has left the fast lane, or a transport of the reactor lane. All
of it runs on the reactor thread.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from typing import Any

from twisted.internet.interfaces import IPushProducer, IReadDescriptor, ISSLTransport
from twisted.logger import Logger
from zope.interface import implementer

from hendrix.channel.site import LINGER
from hendrix.wsgi.call import Successor

# Bytes of one read: what comes of them keeps others waiting.
READ = 16384
# Wires that are looked at before the reactor has its turn.
AT_ONCE = 128
# Bytes handed to a transport at once.
PIECE = 65536

log = Logger(namespace="hendrix.channel")

DONTWAIT = socket.MSG_DONTWAIT


@implementer(IReadDescriptor)
class Board:
    """All plain wires of a process: to the reactor one descriptor, an epoll with the sockets in it. For each descriptor of its own the
    reactor does more than is needed here.
    """

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self._poller: select.epoll | None = None
        self._wires: dict[int, PlainWire] = {}

    def connect(self, sock: socket.socket, unsent: list[bytes], successor: Successor) -> None:
        """A socket has left the fast lane."""
        if self._poller is None:
            self._poller = select.epoll()
            self.reactor.addReader(self)
        wire = PlainWire(self, sock, successor)
        self._wires[sock.fileno()] = wire
        self._poller.register(sock.fileno(), select.EPOLLIN)
        wire.start(unsent)

    def want(self, fd: int, events: int) -> None:
        """What a wire waits for."""
        assert self._poller is not None
        self._poller.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Before a wire closes its socket."""
        assert self._poller is not None
        del self._wires[fd]
        self._poller.unregister(fd)
        if not self._wires:
            self.reactor.removeReader(self)
            self._poller.close()
            self._poller = None

    # What the reactor calls.

    def doRead(self) -> None:
        if self._poller is None:
            return
        wires = self._wires
        for fd, events in self._poller.poll(0, AT_ONCE):
            wire = wires.get(fd)  # one before it may have closed it
            if wire is not None:
                wire.ready(events)

    def fileno(self) -> int:
        return self._poller.fileno() if self._poller is not None else -1

    def connectionLost(self, reason: object) -> None:
        """The reactor stops."""
        for wire in list(self._wires.values()):
            wire.abort()

    def logPrefix(self) -> str:
        return "hendrix"


class PlainWire:
    """A plain socket. What can be sent is sent at once, without a turn of the reactor.

    :ivar pending: bytes that the client is too slow to take.
    :ivar since: when it took some last, as `time.monotonic` says it.
    """

    __slots__ = ("_board", "_closing", "_deadline", "_events", "_fd", "_socket", "_successor", "_unsent", "pending", "since")

    def __init__(self, board: Board, sock: socket.socket, successor: Successor) -> None:
        self._board, self._socket, self._successor = board, sock, successor
        self._fd = sock.fileno()
        self._events = select.EPOLLIN
        self._unsent: deque[memoryview] | None = None
        self._deadline: Any = None
        self.pending = 0
        self.since = time.monotonic()
        self._closing = False

    def start(self, unsent: list[bytes]) -> None:
        """With what could not be sent before."""
        for data in unsent:
            self._keep(memoryview(data))
        self._successor.opened(self)

    # What the successor calls.

    def write(self, data: bytes) -> None:
        if self._closing:
            return
        if self._unsent:
            self._keep(memoryview(data))
            return
        try:
            sent = self._socket.send(data, DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # reading tells
        if sent < len(data):
            self._keep(memoryview(data)[sent:])

    def pause(self) -> None:
        """Read no more until `resume`."""
        self._want(self._events & ~select.EPOLLIN)

    def resume(self) -> None:
        self._want(self._events | select.EPOLLIN)

    def lose(self) -> None:
        """Send what is left, then close so that it arrives. The successor hears no more, but for `lost`."""
        if not self._closing:
            self._closing = True
            self._deadline = self._board.reactor.callLater(LINGER, self._close)
            self.resume()
            if not self._unsent:
                self._part()

    def abort(self) -> None:
        """Close at once."""
        self._close()

    # What the board calls.

    def ready(self, events: int) -> None:
        try:
            if events & ~select.EPOLLOUT:
                self._read()
            if events & select.EPOLLOUT and self._unsent:
                self._send()
        except Exception:
            log.failure("a connection failed: this is a bug in hendrix")
            self._close()

    # Inside.

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ, DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
        elif not self._closing:
            self._successor.received(data)

    def _send(self) -> None:
        unsent = self._unsent
        assert unsent is not None
        try:
            while unsent:
                sent = self._socket.send(unsent[0], DONTWAIT)
                self.pending -= sent
                self.since = time.monotonic()
                if sent < len(unsent[0]):
                    unsent[0] = unsent[0][sent:]
                    return
                unsent.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._close()
            return
        self._unsent = None
        self._want(self._events & ~select.EPOLLOUT)
        if self._closing:
            self._part()
        else:
            self._successor.room()

    def _keep(self, data: memoryview) -> None:
        if self._unsent is None:
            self._unsent = deque()
            self.since = time.monotonic()
            self._want(self._events | select.EPOLLOUT)
        self._unsent.append(data)
        self.pending += len(data)

    def _want(self, events: int) -> None:
        if events != self._events and self._fd >= 0:
            self._events = events
            self._board.want(self._fd, events)

    def _part(self) -> None:
        """A socket closed with input unread would take along what was sent last."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._close()

    def _close(self) -> None:
        if self._fd < 0:
            return
        self._board.forget(self._fd)
        self._fd = -1
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = self._unsent = None
        self._closing = True
        self._socket.close()
        self._successor.lost()


@implementer(IPushProducer)
class TransportWire:
    """A transport of the reactor's, such as TLS. As `PlainWire`."""

    __slots__ = ("_closing", "_deadline", "_lost", "_paused", "_reactor", "_successor", "_transport", "_unsent", "pending", "since")

    def __init__(self, reactor: Any, transport: Any, unsent: list[bytes], successor: Successor) -> None:
        self._reactor, self._transport, self._successor = reactor, transport, successor
        self._unsent: deque[bytes] = deque(unsent)
        self._closing = self._lost = self._paused = False
        self._deadline: Any = None
        self.pending = sum(map(len, unsent))
        self.since = time.monotonic()
        transport.unregisterProducer()
        transport.registerProducer(self, True)
        self._pump()
        successor.opened(self)

    # What the successor calls.

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._unsent.append(data)
            self.pending += len(data)
            self._pump()

    def pause(self) -> None:
        self._transport.pauseProducing()

    def resume(self) -> None:
        if not self._lost:
            self._transport.resumeProducing()

    def lose(self) -> None:
        if not self._closing:
            self._closing = True
            self._deadline = self._reactor.callLater(LINGER, self.abort)
            self.resume()
            if not self._unsent:
                self._part()

    def abort(self) -> None:
        if not self._lost:
            self._transport.abortConnection()

    # What the connection and its transport call.

    def received(self, data: bytes) -> None:
        if not self._closing:
            self._successor.received(data)

    def gone(self) -> None:
        """The transport is closed."""
        if not self._lost:
            self._lost = self._closing = True
            self._unsent.clear()
            if self._deadline is not None and self._deadline.active():
                self._deadline.cancel()
            self._successor.lost()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._pump()
        if not self._unsent and not self._paused and not self._closing:
            self._successor.room()

    def stopProducing(self) -> None:
        """`gone` follows."""

    # Inside.

    def _pump(self) -> None:
        unsent = self._unsent
        while unsent and not self._paused:
            data = unsent.popleft()
            if len(data) > PIECE:
                unsent.appendleft(data[PIECE:])
                data = data[:PIECE]
            self.pending -= len(data)
            self.since = time.monotonic()
            self._transport.write(data)
        if self._closing and not unsent:
            self._part()

    def _part(self) -> None:
        self._transport.unregisterProducer()
        half_close = getattr(self._transport, "loseWriteConnection", None)
        if half_close is not None and not ISSLTransport.providedBy(self._transport):
            half_close()
        else:
            self._transport.loseConnection()
