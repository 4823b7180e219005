"""The listening sockets: bound before privileges are shed, served when the application is there.

A client that connects in between waits in the kernel's queue, not before a closed port.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from twisted.application.service import Service
from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    UNIXServerEndpoint,
    serverFromString,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolNegotiationFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from hendrix.channel.fast import AVAILABLE
from hendrix.channel.handed_over import handed_over
from hendrix.channel.private import PrivateEndpoint
from hendrix.channel.tls import Certificates, check_directory, ssl_endpoint
from hendrix.errors import ConfigurationError
from hendrix.root import check_root

log = Logger(namespace="hendrix.sockets")

PLAIN = (TCP4ServerEndpoint, TCP6ServerEndpoint, UNIXServerEndpoint, AdoptedStreamServerEndpoint, PrivateEndpoint)
AS_IT_IS, AGAIN = "as it is", "again"
# Connections that the kernel completes for us while we are busy. Twisted's 50 is soon full, and then clients wait a second to try again.
KERNEL_BACKLOG = 1024


class Reception(Factory):
    """The factory of a port. It is given to the endpoint before the application is there, and learns then what makes its protocols."""

    noisy = False
    build: Callable[[Any], Protocol | None] = staticmethod(lambda address: None)

    def buildProtocol(self, addr: Any) -> Protocol | None:
        return self.build(addr)


@implementer(IProtocolNegotiationFactory)
class HttpReception(Reception):
    """The same for HTTP."""

    def acceptableProtocols(self) -> list[bytes]:
        """For ALPN (RFC 7301). Without an answer Twisted ends the handshake of every client that asks, as browsers and curl do."""
        return [b"http/1.1"]


@dataclass
class Listener:
    """One bound endpoint.

    :ivar description: as the user wrote it.
    :ivar plain: its connections are plain sockets: the fast lane can have them.
    :ivar portable: what another process that inherits the socket can do: listen on it as it is (`AS_IT_IS`), make its endpoint again
        (`AGAIN`), or nothing ("").
    :ivar private: the way in for an onion service, or None.
    :ivar onion_port: the port of that; 0 if there is none. Its clients have no address, and no proxy is believed.
    """

    description: str
    port: IListeningPort
    reception: Reception
    plain: bool
    certificates: Certificates | None = None
    portable: str = ""
    private: PrivateEndpoint | None = None
    onion_port: int = 0

    @property
    def address(self) -> str:
        """Where clients find it, as ``--port-file`` shows it: ``tcp:127.0.0.1:8000``, ``ssl:...``, ``unix:/path``, ``onion:...``."""
        return (self.private.address if self.private is not None else "") or self._bound

    @cached_property
    def _bound(self) -> str:
        """Where it listens, or has listened."""
        host: Any = self.port.getHost()
        name = getattr(host, "name", None)
        if name is not None:
            return f"unix:{os.path.abspath(os.fsdecode(name))}"
        place = getattr(host, "host", None)
        if place is None:
            return str(host)
        kind = "ssl" if self.secure else "tcp"
        return f"{kind}:[{place}]:{host.port}" if ":" in place else f"{kind}:{place}:{host.port}"

    @property
    def secure(self) -> bool:
        return self.description.removeprefix("haproxy:").partition(":")[0] in ("ssl", "tls", "txsni")

    @property
    def url(self) -> str:
        kind, _, place = self.address.partition(":")
        return self.address if kind == "unix" else f"{'https' if kind == 'ssl' else 'http'}://{place}/"

    def detached_socket(self) -> socket.socket:
        """A socket of our own on the same listening port, non-blocking. The reactor no longer accepts on it."""
        listening = socket.socket(fileno=os.dup(self.port.fileno()))  # type: ignore[attr-defined]
        listening.setblocking(False)
        if listening.family in (socket.AF_INET, socket.AF_INET6):
            # Inherited by what is accepted: answers are sent whole, and must not wait for an acknowledgement.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if "backlog=" not in self.description:
            listening.listen(KERNEL_BACKLOG)
        return listening


class Sockets(Service):
    """Binds the endpoints.

    :param listen: descriptions, or endpoints.
    :param blame: what the user wrote, to begin an error with, but for the endpoint.
    :ivar on_renew: called when keys and certificates are read again: others have some, too.
    """

    name = "sockets"

    def __init__(
        self,
        reactor: Any,
        listen: Sequence[str | IStreamServerEndpoint],
        *,
        reception: Callable[[], Reception] = HttpReception,
        blame: str = "--listen={}",
    ) -> None:
        self._reactor, self._listen = reactor, list(listen)
        self._reception, self._blame = reception, blame
        self.on_renew: list[Callable[[], object]] = []
        self.listeners: list[Listener] = []
        self._waiting: list[tuple[list[object], Deferred[None]]] = []

    def describe(self) -> str:
        return ", ".join(listener.address for listener in self.listeners) or ", ".join(map(_name, self._listen))

    def private(self, name: str, description: str) -> PrivateEndpoint:
        """The way in for the onion service of this name, made when it is asked for the first time; before the start."""
        for one in self._listen:
            if isinstance(one, PrivateEndpoint) and one.name == name:
                return one
        made = PrivateEndpoint(self._reactor, name, description)
        self._listen.append(made)
        return made

    def check(self) -> None:
        """Make the endpoints and bind nothing. Raises `ConfigurationError` for one that cannot be made."""
        for one in self._listen:
            if not isinstance(one, str) or handed_over(self._reactor, one) is None:
                self._endpoint(one, _name(one))

    def privilegedStartService(self) -> None:
        """Bind. Raises `ConfigurationError` for what fails at once."""
        check_root()
        for one in self._listen:
            if isinstance(one, str) and (endpoints := handed_over(self._reactor, one)) is not None:
                for endpoint in endpoints:
                    self._bind(endpoint, one)
            else:
                self._bind(one)

    def startService(self) -> Deferred[None]:
        """Fires when the endpoints that take time (onion:) listen too."""
        super().startService()
        return Deferred.fromCoroutine(self._all_bound())

    async def _all_bound(self) -> None:
        for results, done in self._waiting:
            await done
            _raise_failure(results)
        self._waiting = []

    def _bind(self, one: str | IStreamServerEndpoint, name: str = "") -> None:
        name = name or _name(one)
        endpoint = self._endpoint(one, name)
        reception = self._reception()

        def bound(port: IListeningPort) -> None:
            if hasattr(port, "stopReading"):
                port.stopReading()
            if type(endpoint) is AdoptedStreamServerEndpoint and isinstance(port, unix.Port):
                # A unix socket that is somebody else's: when it stops, Twisted would unlink this path, and shut the socket down.
                port._bindPath, port._shouldShutdown = b"\0", False
            plain = type(endpoint) in PLAIN
            portable = AS_IT_IS if plain else AGAIN if isinstance(port, tcp.Port) and isinstance(one, str) else ""
            certificates = getattr(endpoint, "certificates", None)
            private = endpoint if isinstance(endpoint, PrivateEndpoint) else None
            onion_port = private.onion_port if private is not None else 0
            self.listeners.append(Listener(name, port, reception, AVAILABLE and plain, certificates, portable, private, onion_port))

        def failed(reason: Failure) -> None:
            raise _explain(self._blame.format(name), reason.value) from None

        self.wait_for(maybeDeferred(endpoint.listen, reception).addCallbacks(bound, failed))

    def wait_for(self, listening: Deferred[Any]) -> None:
        """Raise what has failed already; what takes time is waited for in `startService`."""
        results: list[object] = []
        done: Deferred[None] = listening.addBoth(results.append)
        if results:
            _raise_failure(results)
        else:
            self._waiting.append((results, done))

    def _endpoint(self, one: str | IStreamServerEndpoint, name: str) -> Any:
        if not isinstance(one, str):
            return one
        try:
            if one.startswith("tls:"):
                check_directory(one)
            return (one.startswith("ssl:") and ssl_endpoint(self._reactor, one)) or serverFromString(self._reactor, one)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(f"{self._blame.format(name)}: {error}; see the endpoint strings in Twisted's documentation") from None

    def renew_certificates(self) -> None:
        """Read keys and certificates again. Those that cannot be read now, since the process is no longer root perhaps, stay in use."""
        for listener in self.listeners:
            if listener.certificates is not None:
                try:
                    listener.certificates.renew()
                except ConfigurationError as error:
                    log.error("{error}; the certificate that was read before stays in use", error=error)
        for renew in self.on_renew:
            renew()

    def write_port_file(self, name: str) -> None:
        """The addresses, a line for each; written in one go."""
        text = "".join(f"{listener.address}\n" for listener in self.listeners)
        try:
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(name) or ".", prefix=".hendrix-")
            with open(handle, "w") as file:
                file.write(text)
            os.chmod(temporary, 0o644)
            os.replace(temporary, name)
        except OSError as error:
            advice = "give a file in a directory that this user may write to"
            raise ConfigurationError(f"--port-file={name}: {error.strerror}; {advice}") from None

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for _, done in self._waiting:
            done.cancel()
        await self.close()

    async def close(self) -> None:
        """Close the ports. Does no harm when repeated."""
        listeners, self.listeners = self.listeners, []
        for listener in listeners:
            await maybeDeferred(listener.port.stopListening)


def _raise_failure(results: list[object]) -> None:
    if isinstance(results[0], Failure):
        results[0].raiseException()


def _name(one: str | IStreamServerEndpoint) -> str:
    """What the user wrote; an endpoint may have a ``description``, as the one of `HendrixDeployTLS` has."""
    return one if isinstance(one, str) else getattr(one, "description", type(one).__name__)


def _explain(blame: str, error: BaseException | None) -> ConfigurationError:
    cause = error.socketError if isinstance(error, CannotListenError) else error
    if isinstance(cause, OSError):
        hint = {
            errno.EACCES: "use a port above 1023 or a directory of your own, or start as root with --uid",
            errno.EADDRINUSE: "stop what listens there, or choose another port",
        }
        return ConfigurationError(f"{blame}: {cause.strerror or cause}; {hint.get(cause.errno or 0, 'choose another address')}")
    return ConfigurationError(f"{blame}: {error}")
