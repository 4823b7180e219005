"""The listening sockets of a worker, which its parent has bound."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort

from hendrix.channel.fast import AVAILABLE
from hendrix.channel.shared import OnSharedSocket, SharedPort, over_tls
from hendrix.channel.sockets import AS_IT_IS, HttpReception, Listener, Sockets
from hendrix.channel.tls import Pem
from hendrix.workers.process import FIRST_SOCKET

# What a worker makes of the unix socket to which its parent forwards.
FORWARDED = "haproxy:unix:forwarded"


def legacy(listener: Listener) -> dict[str, Any]:
    """What a worker must know of a listener of its parent besides the socket."""
    certificates = listener.certificates
    return {
        "description": listener.description,
        "onion_port": listener.onion_port,
        "as_it_is": listener.portable == AS_IT_IS,
        "pem": None if certificates is None else vars(certificates.pem),
        "endpoint": listener.description if listener.portable else FORWARDED,
    }


class InheritedSockets(Sockets):
    """Listens on the descriptors from `FIRST_SOCKET` on.

    :param legacies: the `legacy` of each.
    """

    def __init__(self, reactor: Any, legacies: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(reactor, [legacy["description"] for legacy in legacies])
        self._legacies = legacies

    def privilegedStartService(self) -> None:
        """All that needed privileges has been done."""

    def startService(self) -> Deferred[None]:
        """Fires when endpoints that take time listen too."""
        for descriptor, legacy in enumerate(self._legacies, FIRST_SOCKET):
            os.set_inheritable(descriptor, False)
            self._inherit(socket.socket(fileno=descriptor), legacy)
        return super().startService()

    def _inherit(self, listening: socket.socket, legacy: Mapping[str, Any]) -> None:
        reactor, reception, description = self._reactor, HttpReception(), legacy["description"]

        def add(port: IListeningPort) -> None:
            plain = AVAILABLE and legacy["as_it_is"]
            self.listeners.append(Listener(description, port, reception, plain, onion_port=legacy["onion_port"]))

        if legacy["as_it_is"]:
            add(SharedPort(reactor, listening, reception))
        elif legacy["pem"] is not None:
            add(SharedPort(reactor, listening, over_tls(Pem(**legacy["pem"]).context_factory(), reception)))
        else:
            endpoint = serverFromString(OnSharedSocket(reactor, listening), legacy["endpoint"])
            self.wait_for(endpoint.listen(reception).addCallback(add))
