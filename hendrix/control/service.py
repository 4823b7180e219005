"""The node "control": a unix socket on which a running hendrix answers commands."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.application.service import Service
from twisted.internet.abstract import FileDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger

from hendrix.control.address import Address, Unavailable, bound, removed
from hendrix.control.commands import Commands
from hendrix.control.conversation import Conversation, Refusal
from hendrix.errors import ConfigurationError

log = Logger(namespace="hendrix.control")

# Clients at a time.
CLIENTS = 64
# Seconds to leave new ones alone when there are no file descriptors left.
PAUSE = 1.0


class ControlService(Service):
    """Answers `Commands` on a socket of its own. Among the children of the root it is the first, so that it stops last.

    :ivar path: where it listens; None while it does not.
    """

    name = "control"

    def __init__(self, reactor: Any, commands: Commands, address: Address) -> None:
        self._reactor, self._commands, self._address = reactor, commands, address
        self.path: str | None = None
        self._identity: tuple[int, int] | None = None
        self._listening: Listening | None = None
        self._conversations: set[Conversation] = set()

    def describe(self) -> str:
        return self.path or self._address.path or "a socket of its own"

    def numbers(self) -> dict[str, int]:
        return {"clients": len(self._conversations)}

    def privilegedStartService(self) -> None:
        """Bind it as root for the user that the process is going to be. In all other cases that can wait."""
        if self._address.owner is not None and self._address.path is not None:
            self._listen()

    def startService(self) -> None:
        super().startService()
        if self._listening is None:
            self._listen()
        if self._listening is not None:
            self._listening.startReading()

    def stopService(self) -> None:
        super().stopService()
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for conversation in list(self._conversations):
            conversation.transport.loseConnection()
        if self.path is not None and self._identity == _identity(self.path):
            removed(self.path)
        self.path = None

    def _listen(self) -> None:
        try:
            listening = bound(self._address)
        except Unavailable as error:
            if self._address.chosen:
                raise ConfigurationError(f"--control={error}; give a path in a directory that this user may write to, or off") from None
            log.warn("there is no control socket: {error}", error=error)
            return
        self.path = os.path.abspath(listening.getsockname())
        self._identity = _identity(self.path)
        self._listening = Listening(self._reactor, listening, Clients(self._commands, self._conversations))


class Clients(Factory[Protocol]):
    """Makes a conversation of each client, and refuses those above the limit."""

    noisy = False

    def __init__(self, commands: Commands, conversations: set[Conversation]) -> None:
        self._commands, self._conversations = commands, conversations

    def buildProtocol(self, addr: object) -> Protocol:
        if len(self._conversations) >= CLIENTS:
            return Refusal(CLIENTS)
        return Conversation(self._commands, self._conversations)


class Listening(FileDescriptor):
    """A listening unix socket. Twisted's own port unlinks its path when it stops, whoever's it is by then, and fails when it may not."""

    reactor: Any

    def __init__(self, reactor: Any, listening: socket.socket, factory: Clients) -> None:
        super().__init__(reactor)
        self._socket, self._factory = listening, factory
        self.fileno = listening.fileno  # type: ignore[method-assign]

    def doRead(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the client has left again
        except OSError as error:
            log.error("cannot accept a connection: {error}", error=error)  # no descriptors are left
            self.stopReading()
            self.reactor.callLater(PAUSE, self._go_on)
            return
        with connection:
            connection.setblocking(False)
            self.reactor.adoptStreamConnection(connection.fileno(), socket.AF_UNIX, self._factory)

    def logPrefix(self) -> str:
        return "control"

    def close(self) -> None:
        self.stopReading()
        self._socket.close()

    def _go_on(self) -> None:
        if self._socket.fileno() >= 0:
            self.startReading()


def _identity(path: str) -> tuple[int, int] | None:
    """Which file it is."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
