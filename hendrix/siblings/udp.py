"""The sibling udp: datagrams in and out, also those of multicast groups."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import DatagramProtocol

from hendrix.errors import ConfigurationError
from hendrix.hey_joe.declared import Event
from hendrix.hey_joe.topics import check_topic
from hendrix.siblings.calls import tell, told
from hendrix.siblings.context import Context

# Bytes of the largest datagram: RFC 768, over IPv4.
LARGEST = 65507


def make_service(
    context: Context, port: int, interface: str = "", topic: str = "", groups: tuple[str, ...] = (), ttl: int = 1
) -> Service:  # fmt: skip
    """Datagrams in become events of the hub; hendrix.siblings.udp.send() sends from any process of the site.

    :param port: where to listen.
    :param interface: the address to listen on; all if there is none.
    :param topic: on which datagrams are published; udp.PORT if there is none.
    :param groups: multicast groups to join.
    :param ttl: how many networks what is sent to a group may cross.
    """
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"port={port}: give a port from 0 to 65535")
    return Udp(context, port, interface, check_topic(topic or f"udp.{port}"), groups, ttl)


def send(host: str, port: int, data: bytes | str, sibling: str = "udp") -> None:
    """Send a datagram from the port of the sibling. Any thread of any process of the site; returns at once.

    :param host: an IP address.
    :param sibling: its name in the tree.
    :raises NoHub: this is no process of the site.
    :raises ValueError: it is too long for a datagram.
    """
    content = data.encode() if isinstance(data, str) else bytes(data)
    if len(content) > LARGEST:
        raise ValueError(f"a datagram has at most {LARGEST} bytes, and this has {len(content)}")
    tell(sibling, {"host": host, "port": port, "base64": b64encode(content).decode()})


class Udp(Service):
    """The port, while it runs."""

    def __init__(self, context: Context, port: int, interface: str, topic: str, groups: tuple[str, ...], ttl: int) -> None:
        self._context, self._topic, self._groups, self._ttl = context, topic, groups, ttl
        self._at = port, interface
        self._port: Any = None
        self._received = self._sent = self._failed = 0
        told(context, self._send)

    def describe(self) -> str:
        if self._port is None:
            return "closed"
        host = self._port.getHost()
        return f"udp:{host.host}:{host.port} to {self._topic}" + "".join(f", in {group}" for group in self._groups)

    def numbers(self) -> dict[str, int | float]:
        return {"received": self._received, "sent": self._sent, "failed": self._failed}

    def privilegedStartService(self) -> None:
        port, interface = self._at
        protocol = Datagrams(self)
        self._port = self._context.reactor.listenMulticast(port, protocol, interface, listenMultiple=bool(self._groups))

    def startService(self) -> Deferred[Any] | None:
        super().startService()
        if not self._groups:
            return None
        self._port.setTTL(self._ttl)
        return Deferred.fromCoroutine(self._join())

    def stopService(self) -> Deferred[Any] | None:
        super().stopService()
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening) if port is not None else None

    async def _join(self) -> None:
        for group in self._groups:
            await self._port.protocol.transport.joinGroup(group, self._at[1])

    def received(self, data: bytes, address: tuple[str, int]) -> None:
        self._received += 1
        try:
            content = {"text": data.decode()}
        except UnicodeDecodeError:
            content = {"base64": b64encode(data).decode()}
        self._context.publish(self._topic, {"host": address[0], "port": address[1], **content})

    def _send(self, event: Event) -> None:
        what = event.payload
        try:
            self._port.write(b64decode(what["base64"]), (what["host"], what["port"]))
            self._sent += 1
        except Exception as error:  # no such network, no address, too long
            self._failed += 1
            self._context.log.warn("cannot send to {host}: {error}", host=what["host"], error=error)


class Datagrams(DatagramProtocol):
    """What the reactor calls."""

    noisy = False

    def __init__(self, udp: Udp) -> None:
        self._udp = udp

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self._udp.received(datagram, addr)
