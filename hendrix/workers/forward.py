"""Endpoints that no other process can have, such as ``onion:``: they live in the parent, which passes their bytes to the workers.

The workers share a unix socket for each of them, and accept there as they do everywhere. What stands in front of the bytes is the header
of the PROXY protocol, version 1, so that they know who the client is.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from typing import Any

from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.protocols.portforward import Proxy

from hendrix.channel.sockets import KERNEL_BACKLOG, Listener

log = Logger(namespace="hendrix.workers")


class Forwarder:
    """Between the parent's ports and the workers' unix sockets. Nobody else may enter the directory in which these are."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._directory: str | None = None
        self._inner: dict[int, socket.socket] = {}

    def inner(self, listener: Listener) -> socket.socket:
        """The listening socket to which the bytes of this listener go. From the first call on they do."""
        if id(listener) not in self._inner:
            self._inner[id(listener)] = inner = self._listen()
            path = inner.getsockname()
            listener.reception.build = lambda address: Outer(self._reactor, path)
            if hasattr(listener.port, "startReading"):
                listener.port.startReading()
        return self._inner[id(listener)]

    def _listen(self) -> socket.socket:
        if self._directory is None:
            self._directory = tempfile.mkdtemp(prefix="hendrix-")
        inner = socket.socket(socket.AF_UNIX)
        inner.bind(os.path.join(self._directory, str(len(self._inner))))
        inner.listen(KERNEL_BACKLOG)
        return inner

    def close(self) -> None:
        """The workers have gone."""
        inner, self._inner = self._inner, {}
        for one in inner.values():
            one.close()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None


class Outer(Proxy):
    """A client's connection in the parent."""

    transport: Any
    peer: Any

    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor, self._path = reactor, path

    def connectionMade(self) -> None:
        self.transport.pauseProducing()
        self._reactor.connectUNIX(self._path, _Inwards(self))

    def header(self) -> bytes:
        """Of the PROXY protocol."""
        place = [_place(address()) for address in (self.transport.getPeer, self.transport.getHost)]
        kind = "TCP6" if ":" in place[0][0] else "TCP4"
        return f"PROXY {kind} {place[0][0]} {place[1][0]} {place[0][1]} {place[1][1]}\r\n".encode()


def _place(address: Any) -> tuple[str, int]:
    """A client that has no address counts as one of this machine."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    return (host, port) if isinstance(host, str) and isinstance(port, int) else ("127.0.0.1", 0)


class Inner(Proxy):
    """The connection to the worker that it has become."""

    transport: Any
    peer: Outer

    def connectionMade(self) -> None:
        outer = self.peer
        outer.setPeer(self)
        self.transport.write(outer.header())
        self.transport.registerProducer(outer.transport, True)
        outer.transport.registerProducer(self.transport, True)
        outer.transport.resumeProducing()


class _Inwards(ClientFactory):
    noisy = False

    def __init__(self, outer: Outer) -> None:
        self._outer = outer

    def buildProtocol(self, addr: Any) -> Any:
        inner = Inner()
        inner.setPeer(self._outer)
        return inner

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        log.warn("no worker takes a connection: {reason}", reason=reason.getErrorMessage())
        self._outer.transport.loseConnection()
