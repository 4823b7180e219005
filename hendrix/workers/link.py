"""The link between a worker and its parent: one socket pair, JSON lines, on the reactor at both ends.

Each line belongs to a channel, which a part of hendrix has to itself at both ends::

    {"channel": "life", "message": {...}}
    {"ask": 7, "command": "threads", "arguments": {...}}        answered by the commands of the other end
    {"answer": 7, "result": ...}  or  {"answer": 7, "error": "one line"}

The end of the link is the end of the process at its other end, or means that it must end: what is in flight then is lost.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from hendrix.control.commands import Commands
from hendrix.errors import LocalError, PeerError
from hendrix.wire.lines import LineReader, encode

log = Logger(namespace="hendrix.workers")

# Bytes of one line: a message to a topic may be large.
LIMIT = 64 << 20


class LinkLost(LocalError):
    """The process at the other end has gone."""


class Channel:
    """One part's share of the link. Reactor thread.

    :ivar received: called with each message, in order; set it before the reactor next turns, or what comes is dropped.
    :ivar lost: called once, when the link has ended.
    :ivar room: called when the other end reads again after `congested` was true.
    """

    def __init__(self, link: Link, name: str) -> None:
        self._link, self.name = link, name
        self.received: Callable[[dict[str, Any]], object] = _ignore
        self.lost: Callable[[], object] = _nothing
        self.room: Callable[[], object] = _nothing

    def send(self, message: Mapping[str, Any]) -> None:
        """Without effect once the link has ended. Never waits: look at `congested` before sending what can be left out."""
        self._link.write({"channel": self.name, "message": message})

    @property
    def congested(self) -> bool:
        """Whether the other end is behind with reading."""
        return self._link.congested


@implementer(IPushProducer)
class Link(Protocol):
    """One end of a link.

    :param commands: what the other end may `ask` for.
    :ivar congested: the other end is behind with reading.
    :ivar alive: it has not ended.
    """

    transport: Any

    def __init__(self, commands: Commands | None = None) -> None:
        self._commands = commands or Commands()
        self._channels: dict[str, Channel] = {}
        self._asked: dict[int, Deferred[Any]] = {}
        self._numbers = itertools.count(1)
        self._reader = LineReader(LIMIT)
        self.congested = False
        self.alive = True

    @classmethod
    def on(cls, reactor: Any, end: socket.socket, commands: Commands | None = None) -> Link:
        """A link on one end of a socket pair, which it takes over."""
        link = cls(commands)
        end.setblocking(False)
        reactor.adoptStreamConnection(end.fileno(), end.family, Factory.forProtocol(lambda: link))
        end.close()  # the reactor has a copy of its own
        return link

    def channel(self, name: str) -> Channel:
        """The channel of this name, the same for each call."""
        return self._channels.setdefault(name, Channel(self, name))

    def ask(self, command: str, arguments: Mapping[str, Any] | None = None) -> Deferred[Any]:
        """Have the other end run one of its commands.

        :returns: its answer. Fails with `PeerError` when it was refused, with `LinkLost` when the link ends before.
        """
        number, answer = next(self._numbers), Deferred[Any]()
        if not self.alive:
            answer.errback(LinkLost("the process has gone"))
            return answer
        self._asked[number] = answer
        self.write({"ask": number, "command": command, "arguments": arguments or {}})
        return answer

    def write(self, message: Mapping[str, Any]) -> None:
        if self.alive and self.transport is not None:
            self.transport.write(encode(message))

    def close(self) -> None:
        """End the link when all that was sent has left."""
        if self.alive and self.transport is not None:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    # IProtocol.

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                self._take(message)
        except PeerError as error:
            log.error("a link between processes is broken: {error}", error=error)
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.alive = False
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            answer.errback(LinkLost("the process has gone"))
        for channel in list(self._channels.values()):
            _guarded(channel.lost)

    # IPushProducer: whether the other end reads.

    def pauseProducing(self) -> None:
        self.congested = True

    def resumeProducing(self) -> None:
        self.congested = False
        for channel in list(self._channels.values()):
            _guarded(channel.room)

    def stopProducing(self) -> None:
        """`connectionLost` follows."""

    # Lines.

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"channel": str(name), "message": dict(content)}:
                _guarded(self.channel(name).received, content)
            case {"ask": int(number), "command": command, "arguments": dict(arguments)}:
                self._commands.run(command, arguments).addCallbacks(
                    lambda result: self.write({"answer": number, "result": result}),
                    lambda failure: self.write({"answer": number, "error": _one_line(failure)}),
                ).addErrback(lambda failure: log.failure("an answer cannot be sent", failure))
            case {"answer": int(number)} if number in self._asked:
                answer = self._asked.pop(number)
                if "error" in message:
                    answer.errback(PeerError(400, str(message["error"])))
                else:
                    answer.callback(message.get("result"))
            case _:
                log.error("a line of no known form came over a link: {message}", message=message)


def _one_line(failure: Failure) -> str:
    if failure.check(PeerError, LocalError) is None:
        log.failure("a command failed", failure)
    return " ".join(failure.getErrorMessage().split())


def _guarded(call: Callable[..., object], *args: object) -> None:
    """What goes wrong with one channel is no matter of the others'."""
    try:
        call(*args)
    except Exception:
        log.failure("a message between processes could not be handled: this is a bug in hendrix")


def _ignore(message: dict[str, Any]) -> None:
    pass


def _nothing() -> None:
    pass
