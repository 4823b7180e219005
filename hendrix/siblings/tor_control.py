"""A connection to the control port of a tor that runs: who we are, an onion service that lives as long as it, and what tor tells of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory

from hendrix.errors import ConfigurationError

# Where tor listens for its controllers: on Debian, and by the name of the port that its manual recommends.
SOCKET, PORT = "/run/tor/control", 9051
# Seconds in which tor must answer.
PATIENCE = 30.0

NEW = "NEW:ED25519-V3"


class NoTor(ConfigurationError):
    """There is no tor at that place now. It may come."""


class Place:
    """Where a tor listens for controllers.

    :param text: the path of a socket, a port, or HOST:PORT; "" is wherever there is one.
    :param password: "" if there is none: then tor's cookie must be readable.
    :raises ConfigurationError: it is none of these.
    """

    def __init__(self, reactor: Any, text: str, password: str) -> None:
        self._reactor, self._password = reactor, password
        self._text = text or (SOCKET if os.path.exists(SOCKET) else f"127.0.0.1:{PORT}")
        host, _, port = self._text.removeprefix("tcp:").rpartition(":")
        if "/" in self._text:
            self._endpoint: Any = UNIXClientEndpoint(reactor, os.path.abspath(self._text.removeprefix("unix:")))
        elif port.isdecimal() and 0 < int(port) < 65536:
            self._endpoint = _tcp(reactor, (host or "127.0.0.1").strip("[]"), int(port))
        else:
            raise self._wrong("that is no place", f"give the path of a socket, such as {SOCKET}, or HOST:PORT")

    async def connect(self) -> Control:
        """:raises NoTor: nobody answers. :raises ConfigurationError: tor does not let us in."""
        try:
            password = (lambda: self._password) if self._password else None
            connecting: Deferred[Any] = self._endpoint.connect(_Factory(password))
            protocol = await connecting.addTimeout(PATIENCE, self._reactor)
        except (ConnectError, TimeoutError, OSError) as error:
            number = getattr(error, "osError", None) or getattr(error, "errno", None)
            words = os.strerror(number) if isinstance(number, int) else str(error)
            raise NoTor(f"control={self._text}: no tor there ({words}); start it, with ControlPort or ControlSocket") from None
        try:
            await protocol.post_bootstrap.addTimeout(PATIENCE, self._reactor)
        except CancelledError:
            protocol.transport.abortConnection()
            raise
        except Exception as error:
            protocol.transport.abortConnection()
            raise self._shut(error) from None
        return Control(protocol, self._reactor)

    def _shut(self, error: Exception) -> ConfigurationError:
        """Why we are not let in, as txtorcon tells it."""
        words = str(error).strip()
        cookie = re.search(r"COOKIEFILE '(.*?)': (?:\[Errno \d+\] )?([^:]*)", words)
        if cookie:
            advice = "let this user be in the group of tor (on Debian debian-tor), or give password_file"
            return self._wrong(f"the cookie {cookie[1]} cannot be read ({cookie[2].strip()})", advice)
        if isinstance(error, library().TorProtocolError):
            what = "password" if self._password else "cookie"
            advice = "give the password of its HashedControlPassword in password_file"
            return self._wrong(f"tor refuses the {what} ({_line(words)})", advice)
        if "password_function" in words or "No password" in words:
            return self._wrong("tor wants a password", "give password_file, or CookieAuthentication 1 in its torrc")
        why = "does not answer" if isinstance(error, TimeoutError) else _line(words)
        return NoTor(f"control={self._text}: what listens there is no tor, or has just gone ({why}); give its ControlPort")

    def _wrong(self, what: str, advice: str) -> ConfigurationError:
        return ConfigurationError(f"control={self._text}: {what}; {advice}")


class Control:
    """Tor, as long as it is there.

    :ivar lost: fires when the connection has ended, whoever did that.
    """

    def __init__(self, protocol: Any, reactor: Any) -> None:
        self._protocol, self._reactor = protocol, reactor
        self.lost: Deferred[None] = protocol.when_disconnected().addErrback(lambda _: None)

    async def ask(self, command: str) -> str:
        """The answer. Raises `NoTor` where it has gone, what txtorcon does, and TimeoutError."""
        answer: Deferred[str] = self._protocol.queue_command(command)
        try:
            return await answer.addTimeout(PATIENCE, self._reactor)
        except RuntimeError as error:
            if isinstance(error, library().TorProtocolError):
                raise
            raise NoTor("tor has just gone") from None  # txtorcon's own words repeat the command, and with it the key

    async def publish(self, key: str, port: int, target: str) -> tuple[str, str]:
        """Make the onion service. Gives its name without ``.onion``, and its key. It is tor's for as long as this connection lives.

        :param key: "" for a new one.
        """
        try:
            answer = await self.ask(f"ADD_ONION {key or NEW} Port={port},{target}")
        except library().TorProtocolError as error:
            raise ConfigurationError(f"tor does not publish the site: {_line(str(error))}") from None
        said = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
        return said["ServiceID"], said.get("PrivateKey", key)

    async def hear(self, event: str, function: Callable[[str], object]) -> None:
        """Have a function called with the text of each event of a kind."""
        await self._protocol.add_event_listener(event, function)

    async def close(self) -> None:
        """Fires when the connection has ended; tor has forgotten what was made over it."""
        self._protocol.transport.loseConnection()
        await self.lost


def library() -> Any:
    """txtorcon. Not imported with this module: it installs a reactor. Raises `ConfigurationError` if it is missing."""
    try:
        import txtorcon
    except ImportError as error:
        raise ConfigurationError(f"{error.name} is missing; install it with pip install 'hendrix[tor]'") from None
    return txtorcon


class _Factory(Factory):
    noisy = False

    def __init__(self, password: Callable[[], str] | None) -> None:
        self._password = password

    def buildProtocol(self, addr: Any) -> Any:
        class Protocol(library().TorControlProtocol):  # type: ignore[misc]
            """It bears a server that speaks something else."""

            is_tor = False

            def lineReceived(self, line: bytes) -> None:
                self.is_tor = self.is_tor or re.match(rb"[2-6]\d\d[ +-]", line) is not None
                if self.is_tor:
                    super().lineReceived(line)
                else:
                    self.transport.abortConnection()

        return Protocol(self._password)


def _tcp(reactor: Any, host: str, port: int) -> Any:
    """What is an address already needs no resolver."""
    kind = TCP4ClientEndpoint if isIPAddress(host) else TCP6ClientEndpoint if isIPv6Address(host) else HostnameEndpoint
    return kind(reactor, host, port)


def _line(text: str) -> str:
    return text.splitlines()[0] if text else "no reason given"
