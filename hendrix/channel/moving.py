"""From the fast lane to the reactor lane: a connection that asks for what a worker does not answer.

Until the reactor has it, it counts as one of the fast lane that a worker has: the drain waits for it, and the sweep lets it alone.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory
from twisted.logger import Logger

from hendrix.channel.fast_connection import FastConnection
from hendrix.channel.reactor_lane import ReactorConnection
from hendrix.channel.sent import watch

log = Logger(namespace="hendrix.channel")


class For(Factory):
    """The factory of one protocol, which is there already."""

    noisy = False

    def __init__(self, connection: ReactorConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: object) -> ReactorConnection:
        return self._connection


def move(fast: FastConnection, connection: ReactorConnection, reactor: Any) -> None:
    """Go on as this connection (reactor thread)."""
    sock = fast.sock
    sock.setblocking(False)
    connection.move_in(fast)
    try:
        reactor.adoptStreamConnection(sock.fileno(), sock.family, For(connection))
    except OSError:  # the client has gone meanwhile
        connection.connectionLost()
    else:
        connection.go_on()
    if not watch.watches(fast):  # which asks the kernel what of the answers before it is out; then the socket ends with its last user
        sock.close()
