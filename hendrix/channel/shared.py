"""A listening socket that several processes have: each accepts on it, and none may end it for the others.

Twisted's own ports will not do. They call shutdown(2) when they stop, which ends the socket for every process; adopting one calls
listen(2), and chmod(2) for a unix socket, with defaults in place of what the user chose; and the path of a unix socket is removed at the
end. All of that is up to the process that bound it.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from zope.interface import implementer

log = Logger(namespace="hendrix.channel")

# Connections taken in one turn of the reactor, so that the other processes get theirs.
AT_ONCE = 8
# Seconds to leave new connections alone when there are no file descriptors left.
PAUSE = 1.0


@implementer(IListeningPort)
class SharedPort(FileDescriptor):
    """A port on a listening socket of which other processes have copies too. It accepts after `startReading`.

    :param listening: bound, and listening; it is taken over.
    """

    def __init__(self, reactor: Any, listening: socket.socket, factory: IProtocolFactory) -> None:
        super().__init__(reactor)
        listening.setblocking(False)
        self._socket, self._factory, self._clock = listening, factory, reactor
        self._host = _address(listening)
        self.connected = 1
        factory.doStart()

    def fileno(self) -> int:
        return self._socket.fileno()

    def getHost(self) -> Any:
        """Where it listens, or did."""
        return self._host

    def startListening(self) -> None:
        """It does, since before it came here."""

    def doRead(self) -> None:
        try:
            for _ in range(AT_ONCE):
                connection, _address = self._socket.accept()
                with connection:
                    self._adopt(connection)
        except (BlockingIOError, ConnectionAbortedError):
            pass  # another process was faster, or the client has gone
        except OSError as error:
            log.error("cannot accept a connection: {error}", error=error)
            self.stopReading()
            self._clock.callLater(PAUSE, self._go_on)

    def _adopt(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clock.adoptStreamConnection(connection.fileno(), connection.family, self._factory)
        except OSError:
            pass  # the client has gone

    def _go_on(self) -> None:
        if self.connected:
            self.startReading()

    def stopListening(self) -> None:
        """Let go of this copy of the socket; the others go on."""
        if self.connected:
            self.connected = 0
            self.stopReading()
            self._socket.close()
            self._factory.doStop()


def _address(listening: socket.socket) -> Any:
    name: Any = listening.getsockname()
    if listening.family == socket.AF_INET:
        return IPv4Address("TCP", *name)
    return IPv6Address("TCP", *name) if listening.family == socket.AF_INET6 else UNIXAddress(name or None)


def over_tls(context_factory: Any, factory: IProtocolFactory) -> IProtocolFactory:
    """A factory whose connections speak TLS with the client."""
    from twisted.protocols.tls import TLSMemoryBIOFactory  # there is no pyOpenSSL where there is no TLS

    wrapped: IProtocolFactory = TLSMemoryBIOFactory(context_factory, False, factory)
    return wrapped


class OnSharedSocket:
    """A reactor for one endpoint, which listens on the socket that is there instead of one of its own; all else is the true reactor's.

    So an endpoint made of what the user wrote wraps its connections here as it does in the process that bound the socket.
    """

    def __init__(self, reactor: Any, listening: socket.socket) -> None:
        self._reactor, self._listening = reactor, listening

    def listenTCP(self, port: int, factory: Any, *args: object, **keywords: object) -> SharedPort:
        return SharedPort(self._reactor, self._listening, factory)

    def listenUNIX(self, address: object, factory: Any, *args: object, **keywords: object) -> SharedPort:
        return SharedPort(self._reactor, self._listening, factory)

    def listenSSL(self, port: int, factory: Any, contextFactory: Any, *args: object, **keywords: object) -> SharedPort:
        return SharedPort(self._reactor, self._listening, over_tls(contextFactory, factory))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
