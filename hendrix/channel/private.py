"""A port of the loopback interface for the clients of one onion service: tor connects to it, and nobody else is told of it.

It is a listener of its own because of whom it believes: nobody. Tor connects from this machine, and what its clients write into
``X-Forwarded-For`` must not count as the word of a proxy there, which ``--trusted-proxy=127.0.0.1`` would make of it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint

LOOPBACK = "127.0.0.1"


class PrivateEndpoint(TCP4ServerEndpoint):
    """Where the connections of an onion service come in.

    :param name: of the service in the tree.
    :param description: what the user wrote.
    :ivar onion_port: the port that clients see.
    :ivar target: where it listens, as tor is told; "" before it does.
    :ivar address: as ``--port-file`` shows it: ``onion:....onion:80``; "" before it has one.
    :ivar kept: what outlives whoever publishes it: later only root might read that again.
    """

    def __init__(self, reactor: Any, name: str, description: str) -> None:
        super().__init__(reactor, 0, interface=LOOPBACK)
        self.name, self.description = name, description
        self.onion_port = 80
        self.target = self.address = ""
        self.kept: dict[str, Any] = {}

    def listen(self, protocolFactory: Any) -> Deferred[Any]:
        def bound(port: Any) -> Any:
            self.target = f"{LOOPBACK}:{port.getHost().port}"
            return port

        listening: Deferred[Any] = super().listen(protocolFactory)
        return listening.addCallback(bound)
