"""One client of the control socket: its lines in, the answers out, one command after another (reactor thread)."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from hendrix.control.commands import Commands
from hendrix.errors import LocalError, PeerError
from hendrix.wire.lines import LineReader, encode

log = Logger(namespace="hendrix.control")


@implementer(IHalfCloseableProtocol, IPushProducer)
class Conversation(Protocol):
    """It is read no further while a command runs, or while the client does not read its answers: so what it holds is bounded.

    :param others: all conversations; this one is among them while it is connected.
    :ivar room: false while the client is behind with reading.
    """

    transport: Any

    def __init__(self, commands: Commands, others: set[Conversation]) -> None:
        self._commands, self._others = commands, others
        self._reader = LineReader()
        self._messages: Iterator[dict[str, Any]] = iter(())
        self._reading = self.room = True
        self._going = self._busy = self._finished = self._ended = False
        self.callers: set[Asked] = set()

    # IProtocol, IHalfCloseableProtocol.

    def connectionMade(self) -> None:
        self._others.add(self)
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        self._messages = self._reader.feed(data)
        self._go_on()

    def readConnectionLost(self) -> None:
        """The client has asked all that it wanted, as ``echo ... | nc -NU`` does: it still has its answers. Unless it has gone."""
        self._finished = True
        if self.callers and _has_gone(self.transport.fileno()):
            self.transport.loseConnection()
        self._go_on()

    def writeConnectionLost(self) -> None:
        """`connectionLost` follows."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._others.discard(self)
        self._ended = True
        while self.callers:
            self.callers.pop().left()

    # IPushProducer: whether the client reads.

    def pauseProducing(self) -> None:
        self.room = False
        self._read_or_not()

    def resumeProducing(self) -> None:
        self.room = True
        for caller in list(self.callers):
            caller.tell_room()
        self._go_on()

    def stopProducing(self) -> None:
        """`connectionLost` follows."""

    # Commands, one after another.

    def say(self, id: object, **message: Any) -> None:
        """Send a line; its id only if the command had one."""
        if not self._ended:
            self.transport.write(encode(message if id is None else {"id": id, **message}))

    def _go_on(self) -> None:
        """Run what has come, until one command has to be waited for."""
        if self._going:
            return
        self._going = True
        while self.room and not (self._busy or self._ended) and (message := self._next()) is not None:
            self._run(message)
        self._going = False
        self._read_or_not()
        if self._finished and not (self._busy or self._ended or self.callers) and self.room:
            self._close()

    def _next(self) -> dict[str, Any] | None:
        while True:
            try:
                return next(self._messages, None)
            except PeerError as error:
                self.say(None, error=str(error))
                if error.status == 413:
                    self._close()
                    return None
                self._messages = self._reader.feed(b"")

    def _run(self, message: dict[str, Any]) -> None:
        command = message.pop("command", None)
        asked = Asked(self, message.pop("id", None))
        self._busy = True
        done = self._commands.run(command, message, asked)
        done.addCallback(asked.answer).addErrback(asked.refuse).addBoth(self._done)

    def _done(self, _: object) -> None:
        self._busy = False
        self._go_on()

    def _read_or_not(self) -> None:
        wanted = self.room and not self._busy
        if wanted != self._reading and not self._ended:
            self._reading = wanted
            (self.transport.resumeProducing if wanted else self.transport.pauseProducing)()

    def _close(self) -> None:
        self._ended = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()


class Asked:
    """One command of a conversation: the `Caller` that the command sees."""

    def __init__(self, conversation: Conversation, id: object) -> None:
        self._conversation, self._id = conversation, id
        self._early: list[Any] | None = []
        self._gone: Callable[[], object] | None = None
        self._room: Callable[[], object] | None = None

    @property
    def room(self) -> bool:
        return self._conversation.room

    def event(self, event: Any) -> None:
        """What happens before the command has its answer is told after it."""
        if self._early is not None:
            self._early.append(event)
        else:
            self._conversation.say(self._id, event=event)

    def watch(self, gone: Callable[[], object], room: Callable[[], object] | None = None) -> None:
        self._gone, self._room = gone, room
        self._conversation.callers.add(self)

    # The conversation's side.

    def answer(self, result: Any) -> None:
        self._conversation.say(self._id, result=result)
        early, self._early = self._early or [], None
        for event in early:
            self.event(event)

    def refuse(self, failure: Failure) -> None:
        error: Any = failure.value
        if not isinstance(error, (LocalError, PeerError)):
            log.failure("a command failed: this is a bug in hendrix", failure)
        words = str(error) if isinstance(error, (LocalError, PeerError)) else f"{type(error).__name__}: {error}"
        self._conversation.say(self._id, error=" ".join(words.split()))

    def tell_room(self) -> None:
        if self._room is not None:
            self._room()

    def left(self) -> None:
        if self._gone is not None:
            self._gone()


class Refusal(Protocol):
    """For a client too many."""

    transport: Any

    def __init__(self, most: int) -> None:
        self._most = most

    def connectionMade(self) -> None:
        self.transport.write(encode({"error": f"{self._most} clients are connected already"}))
        self.transport.loseConnection()


def _has_gone(descriptor: int) -> bool:
    """Whether the other end of a unix socket is closed in both directions. Its end of input alone does not tell."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
