"""The listening sockets of a worker, which its parent has bound."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.protocols.tls import TLSMemoryBIOFactory

from hendrix.channel.fast import AVAILABLE
from hendrix.channel.shared import OnSharedSocket, SharedPort
from hendrix.channel.sockets import Listener, Reception, Sockets
from hendrix.channel.tls import Pem
from hendrix.workers.process import FIRST_SOCKET


def legacy(listener: Listener) -> dict[str, Any]:
    """What a worker must know of a listener of its parent besides the socket."""
    certificates = listener.certificates
    return {
        "description": listener.description,
        "plain": listener.plain,
        "pem": None if certificates is None else vars(certificates.pem),
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
        reactor, reception, description = self._reactor, Reception(), legacy["description"]

        def add(port: IListeningPort) -> None:
            self.listeners.append(Listener(description, port, reception, AVAILABLE and legacy["plain"]))

        if legacy["plain"]:
            add(SharedPort(reactor, listening, reception))
        elif legacy["pem"] is not None:
            context = Pem(**legacy["pem"]).context_factory()
            add(SharedPort(reactor, listening, TLSMemoryBIOFactory(context, False, reception)))
        else:
            self.wait_for(serverFromString(OnSharedSocket(reactor, listening), description).listen(reception).addCallback(add))
