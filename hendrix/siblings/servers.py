"""The node "servers": other servers of Twisted beside the site, each a factory of protocols on an endpoint of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from hendrix.channel.sockets import Reception, Sockets
from hendrix.errors import ConfigurationError
from hendrix.options import Settings
from hendrix.supervision import Supervisor
from hendrix.wsgi.loading import Name, run, see

log = Logger(namespace="hendrix.servers")

# Seconds between two looks whether the last connection has closed.
STEP = 0.02


class Servers(Supervisor):
    """All of them, which stop side by side."""

    async def _stop_each(self) -> None:
        await DeferredList([Deferred.fromCoroutine(self._stop_one(child)) for child in list(self)])


def servers_of(reactor: Any, settings: Settings) -> Servers:
    """The node for those of the settings. Each binds its endpoint before privileges are shed, and imports its factory afterwards."""
    node = Servers("servers", clock=reactor)
    for text in settings.serve:
        server = Server(reactor, text, settings.pythonpath, settings.grace)
        if server.name in node.namedServices:  # port 0, perhaps
            server.setName(f"{server.name} ({len(list(node)) + 1})")
        node.addService(server)
    return node


class Server(Service):
    """One of them.

    :param text: ``ENDPOINT=package.module.factory``: an endpoint may have ``=`` in it, and a name has none.
    :param grace: seconds that its clients have to go when it is stopped.
    """

    def __init__(self, reactor: Any, text: str, pythonpath: Sequence[str], grace: float) -> None:
        endpoint, _, self._factory_name = text.rpartition("=")
        self.setName(endpoint)
        self._reactor, self._blame, self._pythonpath, self._grace = reactor, f"--serve={text}", pythonpath, grace
        self._sockets = Sockets(reactor, [endpoint], reception=Reception, blame=f"--serve={{}}={self._factory_name}")
        self._clients: Clients | None = None

    def describe(self) -> str:
        where = "" if not self._sockets.listeners else f" on {self._sockets.describe()}"
        return f"{self._factory_name}{where}"

    def numbers(self) -> dict[str, int]:
        return {"connections": self._connections}

    def check(self) -> None:
        """Make the endpoint and the factory, and bind nothing. Raises ConfigurationError."""
        self._sockets.check()
        self._factory()

    def privilegedStartService(self) -> None:
        self._sockets.privilegedStartService()

    def startService(self) -> Deferred[None]:
        """Fires when it listens. Who has come before waits in the kernel's queue."""
        super().startService()
        return Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        """Close the port, tell the clients' connections to close, and cut what is left after the grace. Fires when none is left."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def hurry(self) -> None:
        """Cut them now."""
        self._grace = 0.0

    @property
    def _connections(self) -> int:
        return len(self._clients.protocols) if self._clients is not None else 0

    def _factory(self) -> Any:
        see(self._pythonpath)
        found = Name.parse(self._blame, self._factory_name).found()
        if not IProtocolFactory.providedBy(found) and callable(found):
            found = run(self._blame, f"calling {self._factory_name}", found)
        if not IProtocolFactory.providedBy(found):
            advice = "name an IProtocolFactory, its class or what makes one"
            raise ConfigurationError(f"{self._blame}: that is no factory of protocols, and makes none; {advice}")
        return found

    async def _start(self) -> None:
        clients = Clients(self._factory())
        await self._sockets.startService()
        clients.doStart()
        self._clients = clients
        for listener in self._sockets.listeners:
            listener.reception.build = clients.buildProtocol
            if hasattr(listener.port, "startReading"):
                listener.port.startReading()
            log.info("serving {name} on {address}", name=self._factory_name, address=listener.address)

    async def _stop(self) -> None:
        await self._sockets.stopService()
        clients, self._clients = self._clients, None
        if clients is None:
            return
        for client in list(clients.protocols):
            client.loseConnection()
        began = self._reactor.seconds()
        while clients.protocols and self._reactor.seconds() < began + self._grace:
            await deferLater(self._reactor, STEP)
        for client in list(clients.protocols):
            log.warn("cut after {seconds:g} s: a client of {name}", seconds=self._grace, name=self._factory_name)
            client.transport.abortConnection()
        clients.doStop()


class Clients(WrappingFactory):
    """The factory, and its protocols that are connected."""

    noisy = False

    def buildProtocol(self, addr: Any) -> ProtocolWrapper | None:  # type: ignore[override] # as a factory may
        protocol = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else ProtocolWrapper(self, protocol)
