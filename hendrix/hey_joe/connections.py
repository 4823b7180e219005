"""The node "connections": all that are open in this process, what they share, and their drain."""

from __future__ import annotations

import random
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from hendrix.hey_joe.connection import Connection
from hendrix.hey_joe.message import Message
from hendrix.threads.mailbox import Mailbox

if TYPE_CHECKING:
    from hendrix.wire.websocket import Decoder, Encoder

log = Logger(namespace="hendrix.hey_joe")

# Seconds between two looks at what is due.
SWEEP = 1.0
# Seconds between two looks when the process is about to end.
DRAIN_STEP = 0.02
# Connections that are closed in a second when the process is about to end, unless that takes too long.
PACE = 200
# The topic on which processes tell each other what is to be done with connections.
ORDERS = "$connections"
# Decoders that are kept for the next who needs one.
SPARE = 16


class Crew(Protocol):
    """Where handlers run."""

    def submit(self, job: Any, /) -> None: ...
    def enqueue(self, job: Any, /) -> None: ...


class Hub(Protocol):
    """Where messages come from: `hendrix.hey_joe.branch.Branch`. Reactor thread."""

    def join(self, subscriber: Any, who: str | None = None) -> Any: ...
    def publish(self, topic: str, payload: Any, *, own: bool = False) -> None: ...


class _Encoders(threading.local):
    """One for each thread: they have a state while they work."""

    def __init__(self) -> None:
        from hendrix.wire.websocket import Encoder

        self.encoder = Encoder()


class Connections(Service):
    """
    :param crew: gives the crew, once it has started.
    :param hub: gives the hub, once it has started.
    :param spread: seconds over which connections are closed when the process ends, at most.
    :param grace: seconds that handlers have to end then.
    :param write_timeout: seconds for a client to take the next byte.
    :param max_message: bytes of a message, unless a view says otherwise.

    :ivar draining: the process is about to end.
    """

    name = "connections"

    def __init__(
        self,
        reactor: Any,
        crew: Callable[[], Crew | None],
        hub: Callable[[], Hub | None],
        *,
        spread: float = 5.0,
        grace: float = 30.0,
        write_timeout: float = 60.0,
        max_message: int = 1 << 20,
        heartbeat: float = 25.0,
    ) -> None:
        self._reactor, self._crew, self._hub = reactor, crew, hub
        self._spread, self._grace, self.write_timeout = spread, grace, write_timeout
        self.max_message, self.heartbeat = max_message, heartbeat
        self.lock = threading.Lock()
        self.draining = False
        self.open: dict[str, Connection] = {}
        self._of_user: dict[str, set[Connection]] = {}
        self._member: Any = None
        self._at_work = 0
        self._decoders: dict[tuple[bool, int], list[Decoder]] = {}
        self._encoders: _Encoders | None = None
        self.post = Mailbox(reactor.callFromThread).post
        self._sweep = LoopingCall(self._look)
        self._sweep.clock = reactor

    def describe(self) -> str:
        kinds = Counter(connection.kind for connection in self.open.values())
        return ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in sorted(kinds.items())) or "none"

    def numbers(self) -> dict[str, int | float]:
        """How many there are of each kind."""
        kinds = Counter(connection.kind for connection in self.open.values())
        return {"connections": len(self.open), **dict(sorted(kinds.items()))}

    # Start and stop.

    def startService(self) -> None:
        global current
        super().startService()
        self.draining = False
        self._sweep.start(SWEEP, now=False)
        current = self

    def stopService(self) -> Deferred[None]:
        """Close them, one after another, and let their handlers end. Fires after the grace at the latest."""
        super().stopService()
        return Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        global current
        self.draining = True
        deadline = self._reactor.seconds() + self._grace
        waiting = list(self.open.values())
        random.shuffle(waiting)
        each_time = max(PACE * DRAIN_STEP, len(waiting) * DRAIN_STEP / max(self._spread, DRAIN_STEP))
        due = 0.0
        while (self.open or self._at_work) and self._reactor.seconds() < deadline:
            due += each_time
            while waiting and due >= 1:
                due -= 1
                waiting.pop().leave()
            await deferLater(self._reactor, DRAIN_STEP)
        if self._at_work:
            log.warn("{count} connections have handlers that do not end: leaving without them", count=self._at_work)
        for connection in list(self.open.values()):
            connection.cut_off()
        if self._sweep.running:
            self._sweep.stop()
        if current is self:
            current = None

    def _look(self) -> None:
        now = time.monotonic()
        for connection in list(self.open.values()):
            try:
                connection.look(now)
            except Exception:
                log.failure("looking after {connection} failed: this is a bug in hendrix", connection=connection)

    # Connections. Reactor thread.

    def add(self, connection: Connection) -> None:
        hub = self._hub()
        if self._member is None and hub is not None:
            self._member = hub.join(self)
            self._member.subscribe({ORDERS: None})
        self.open[connection.id] = connection
        if connection.user_key is not None:
            self._of_user.setdefault(connection.user_key, set()).add(connection)

    def discard(self, connection: Connection) -> None:
        self.open.pop(connection.id, None)
        key = connection.user_key
        if key is not None and key in self._of_user:
            self._of_user[key].discard(connection)
            if not self._of_user[key]:
                del self._of_user[key]

    @property
    def hub(self) -> Hub:
        hub = self._hub()
        assert hub is not None
        return hub

    # Codecs.

    @property
    def encoder(self) -> Encoder:
        """That of this thread."""
        encoders = self._encoders
        if encoders is None:
            encoders = self._encoders = _Encoders()
        return encoders.encoder

    def decoder(self, deflate: bool, max_message: int) -> Decoder:
        """One that is clean. Reactor thread."""
        spare = self._decoders.get((deflate, max_message))
        if spare:
            return spare.pop()
        from hendrix.wire.websocket import Decoder

        return Decoder(deflate, max_message)

    def take_back(self, decoder: Decoder) -> None:
        """It is clean again, and nobody's."""
        spare = self._decoders.setdefault((decoder.deflate, decoder.max_message), [])
        if len(spare) < SPARE:
            spare.append(decoder)

    # Handlers. A connection is in line, or with a worker, or has nothing to do: which is known under the lock.

    def start(self, connection: Connection) -> None:
        """There is something for its handlers. Any thread."""
        with self.lock:
            if connection.in_line:
                return
            connection.in_line = True
            self._at_work += 1
        crew = self._crew()
        if crew is not None:
            crew.submit(connection)

    def finish(self, connection: Connection) -> bool:
        """Whether there is nothing more for its handlers: then it is no longer in line. Its worker."""
        with self.lock:
            if connection.queue:
                return False
            connection.in_line = False
            self._at_work -= 1
            return True

    def again(self, connection: Connection) -> None:
        """It has had its turn, and there is more. Its worker."""
        crew = self._crew()
        if crew is not None:
            crew.enqueue(connection)

    # Orders, which may come from another process.

    def tell(self, order: dict[str, Any]) -> None:
        """Have all processes of this tree do something with the connections that they have. Any thread."""
        hub = self._hub()
        if hub is None:
            self.post(self._obey, order)
        else:
            hub.publish(ORDERS, order, own=True)

    def ready(self) -> None:
        """The hub has an order for us."""
        while self._member is not None and (item := self._member.take()) is not None:
            if isinstance(item, Message):
                self._obey(item.payload)
            else:
                log.error("orders to connections were lost: {gap}", gap=item)

    def cut(self, code: int, reason: str) -> None:
        """There is no hub any more."""
        self._member = None

    def _obey(self, order: dict[str, Any]) -> None:
        connections = list(self._of_user.get(order["user"], ())) if order.get("user") else []
        if order.get("id") in self.open:
            connections.append(self.open[order["id"]])
        for connection in connections:
            if "close" in order:
                connection.shut(order["close"], order["reason"])
            else:
                connection.send(b64decode(order["bytes"]) if "bytes" in order else order["data"])


#: Those of the server that this process is, None in any other.
current: Connections | None = None
