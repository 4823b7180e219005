"""One client that a view has let in, whatever way it came: what its handlers get as ``ws``.

It has three sides. An application calls it from any thread. The reactor thread owns its wire, and the hub delivers to it there. The crew
calls its handlers: what happened waits in a queue, and a connection with something in it stands in line once, as a job, so its handlers
run one at a time and in order, and no connection waits for another's.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from twisted.logger import Logger

from hendrix.crosstown.around import around
from hendrix.errors import PeerError
from hendrix.hey_joe.hendrix5 import Participant, followups
from hendrix.hey_joe.message import Gap, Message
from hendrix.hey_joe.topics import check_pattern
from hendrix.threads.worker import Worker
from hendrix.wire.response import Fields, Stamp, refusal

if TYPE_CHECKING:
    from hendrix.hey_joe.connections import Connections

log = Logger(namespace="hendrix.hey_joe")

# Bytes that wait for a client: above, it is not read, and nothing more is taken from the hub for it.
HIGH_WATER = 65536
# The same for what an application sends: above, a handler of the connection waits, and anybody else has it cut.
MOST_UNSENT = 1 << 20
# Seconds that a handler waits for a client that takes nothing.
PATIENCE = 10.0
# Messages that wait for the handler: above, the client is not read.
MOST_WAITING = 16
# Seconds of one turn of a connection before others have theirs.
TURN = 0.005

TOO_SLOW = 4008
GONE = 1006

# What waits for the handlers.
OPEN, MESSAGE, CLOSE, FOLLOWUP, END = range(5)


class Wire(Protocol):
    """The connection to the client. Reactor thread."""

    pending: int
    since: float

    def write(self, data: bytes, /) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def lose(self) -> None: ...
    def abort(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a client was let in; see `hendrix.hey_joe.accept` for each."""

    topics: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    since: str | None = None
    who: str | None = None
    on_open: Callable[[Any], object] | None = None
    on_message: Callable[[Any, Any], object] | None = None
    on_close: Callable[[Any, int], object] | None = None
    keep_on_error: bool = False
    max_message: int = 1 << 20
    heartbeat: float = 25.0
    idle_timeout: float = 0.0


class Connection:
    """A client that was let in. Its methods may be called from any thread, unless they say otherwise.

    :ivar id: no other connection has it, in no process.
    :ivar user: as given to `accept`.
    :ivar state: as given to `accept`: what the handlers want to remember.
    :ivar path: the path of its request.
    """

    kind: ClassVar[str] = "connection"
    inline: ClassVar[bool] = False  # for what is around its handlers, as around a task
    thread_lives_on: ClassVar[bool] = True
    __slots__ = (
        "_early", "_handled", "_handling", "_heard", "_house", "_member", "_outbox", "_parting", "_posted", "_queued", "_room", "_stopped",
        "_wire", "_worker", "closed", "code", "id", "in_line", "path", "queue", "refusal", "state", "terms", "user", "user_key",
    )  # fmt: skip

    def __init__(
        self, house: Connections, terms: Terms, path: str, user: Any, user_key: str | None, state: Any, error: PeerError | None = None
    ) -> None:
        self.refusal = error
        self._house, self.terms, self.path = house, terms, path
        self.user, self.user_key, self.state = user, user_key, state
        self.id = token_urlsafe(12).replace("-", "_")  # with a leading - it would look like an option of a command
        self.code = "200"
        self._wire: Wire | None = None
        self._member: Any = None
        self._early: list[bytes] | None = None  # sent before it was open
        self.closed: int | None = None  # the code it was closed with
        self._outbox: list[bytes] | None = None  # on its way to the reactor
        self._posted = 0  # bytes of it
        self._parting = False  # the application has closed it
        self._room: threading.Event | None = None
        self._heard = 0.0
        # Of the handlers' side.
        self.queue: deque[tuple[int, Any]] | None = None
        self._queued = self._handled = 0  # bytes of messages that have come, and of those that a handler has had
        self.in_line = False
        self._stopped = False  # the client is not read
        self._handling = 0  # the thread
        self._worker: Worker | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.id} {self.path}>"

    @property
    def origin(self) -> str:
        """What log lines say of it."""
        return repr(self)

    # What an application calls.

    def send(self, data: Any) -> bool:
        """Send text as text, bytes as bytes, and anything else as JSON.

        In a handler of this connection it waits while the client is too slow, but not for ever. Anywhere else it returns at once, and a
        client that is too slow is disconnected with the code 4008.

        :returns: False if the connection is closed, or about to be.
        :raises TypeError: for what is neither, and not JSON.
        """
        if self.closed is not None or self._parting:
            return False
        frame = self._encode(data if isinstance(data, (str, bytes)) else as_json(data))
        if self._posted + (self._wire.pending if self._wire is not None else 0) > MOST_UNSENT and not self._wait_for_room():
            self.close(TOO_SLOW, "too slow")
            return False
        with self._house.lock:
            self._posted += len(frame)
            posted = self._outbox
            if posted is None:
                self._outbox = [frame]
            else:
                posted.append(frame)
        if posted is None:
            worker = self._worker
            if worker is not None and self._handling == threading.get_ident():
                worker.hold(Flush(self._house, self))  # with what other handlers send, for one wake-up of the reactor
            else:
                self._house.post(self._flush)
        return True

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection.

        :raises ValueError: for a code that may not be sent.
        """
        code, self._parting = self._checked(code), True
        self._post(self.shut, code, reason)

    def subscribe(self, topic: str, since: str | None = None) -> None:
        """Have the client get the messages of a topic, or of those that a pattern matches.

        :param since: the id of a message: those after it come first.
        :raises BadTopic: it is neither.
        """
        self._post(self._subscribe, {check_pattern(topic): since})

    def unsubscribe(self, topic: str) -> None:
        self._post(self._unsubscribe, topic)

    def _post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have the reactor call this, behind what was sent."""
        if self._outbox is not None:
            self._house.post(self._flush)
        self._house.post(function, *arguments)

    # What its kind says.

    def _encode(self, data: str | bytes) -> bytes:
        """What goes out for it. Any thread."""
        raise NotImplementedError

    def _encode_item(self, item: Message | Gap) -> bytes:
        """What goes out for a message of the hub, or word of a gap. Reactor thread."""
        raise NotImplementedError

    def _form(self) -> Hashable:
        """Connections with the same one have the same `_encode_item`."""
        return self.kind

    def _checked(self, code: int) -> int:
        return code

    def opening(self, fields: Fields, stamp: Stamp) -> tuple[bytes, bool]:
        """See `hendrix.wsgi.call.Successor`. Worker thread."""
        error, self.refusal = self.refusal, None
        if error is None:
            return self._opening(fields, stamp), True
        self.code = str(error.status)
        return self._refuse(error, stamp), False

    def _opening(self, fields: Fields, stamp: Stamp) -> bytes:
        """What the client hears first."""
        raise NotImplementedError

    def _refuse(self, error: PeerError, stamp: Stamp) -> bytes:
        return refusal(error, stamp)

    def received(self, data: bytes) -> None:
        """The client has sent this. Reactor thread."""

    def shut(self, code: int, reason: str = "") -> None:
        """Close it. Reactor thread."""
        raise NotImplementedError

    def look(self, now: float) -> None:
        """Called each second or so: what is due? Reactor thread."""
        wire = self._wire
        if wire is not None and wire.pending and now - wire.since > self._house.write_timeout:
            self._abort(TOO_SLOW)

    # The reactor thread: its wire.

    def opened(self, wire: Wire) -> None:
        self._wire, self._heard = wire, time.monotonic()
        self._house.add(self)
        if self.terms.on_open is not None:
            self._happened(OPEN, None)
        early, self._early = self._early, None
        for frame in early or ():
            self._transmit(frame)
        self._subscribe(dict.fromkeys(self.terms.topics, self.terms.since))
        if self._house.draining:
            self.leave()

    def room(self) -> None:
        """All that was written is out."""
        self._make_room()
        if self._member is not None:
            self.ready()

    def lost(self) -> None:
        """The client has gone."""
        self._ended(GONE)

    def leave(self) -> None:
        """The process is about to end."""
        self.shut(1012, "the server restarts")

    def _flush(self) -> None:
        """Send what was posted."""
        with self._house.lock:
            frames, self._outbox, self._posted = self._outbox, None, 0
        if frames is not None:
            self._transmit_all(frames)
            self._make_room()

    def _transmit_all(self, frames: list[bytes]) -> None:
        self._transmit(frames[0] if len(frames) == 1 else b"".join(frames))

    def _transmit(self, frame: bytes) -> None:
        if self._wire is not None:
            self._wire.write(frame)
        elif self.closed is None:
            self._early = [*(self._early or ()), frame]

    def _ended(self, code: int) -> None:
        """It is over; called again it does nothing."""
        if self.closed is not None:
            return
        self.closed = code
        if self._member is not None:
            self._member.leave()
            self._member = None
        self._house.discard(self)
        self._make_room()
        if self.terms.on_close is not None:
            self._happened(CLOSE, code)

    def cut_off(self) -> None:
        """At once: the process ends."""
        self._abort(GONE)

    def _abort(self, code: int) -> None:
        self._ended(code)
        if self._wire is not None:
            self._wire.abort()

    # The reactor thread: the hub's `Subscriber`.

    def ready(self) -> None:
        """There is something to take."""
        wire = self._wire
        while (member := self._member) is not None and wire is not None and wire.pending < HIGH_WATER:
            item = member.take()
            if item is None:
                return
            self._deliver(item)

    def cut(self, code: int, reason: str) -> None:
        """The hub has given up on it."""
        self.shut(code, reason)

    def _deliver(self, item: Any) -> None:
        """A message of the hub, or word of a gap. What is made of a message is made once for all who get the same."""
        frames: dict[Hashable, bytes] | None = getattr(item, "frames", None)
        if frames is None:
            self._transmit(self._encode_item(item))
            return
        form = self._form()
        frame = frames.get(form)
        if frame is None:
            frame = frames[form] = self._encode_item(item)
        self._transmit(frame)

    def _subscribe(self, patterns: Mapping[str, str | None]) -> None:
        """Raises what the hub raises for what is no pattern."""
        if self.closed is not None or not patterns:
            return
        if self._member is None:
            self._member = self._house.hub.join(self, self.terms.who)
        again = [pattern for pattern in patterns if pattern in self._member.patterns]
        if again:
            self._member.unsubscribe(*again)
        self._member.subscribe(patterns).addCallback(self._stands_at, tuple(patterns))

    def _stands_at(self, id: str, patterns: tuple[str, ...]) -> None:
        """From now on it gets what matches, and so far nothing that came after this id."""

    def _unsubscribe(self, pattern: str) -> None:
        if self._member is not None and pattern in self._member.patterns:
            self._member.unsubscribe(pattern)

    # The handlers.

    def _happened(self, what: int, value: Any) -> None:
        """Have a handler called (reactor thread)."""
        queue = self.queue
        if queue is None:
            queue = self.queue = deque()
        queue.append((what, value))
        if what == MESSAGE:
            self._queued += len(value)
        self._house.start(self)

    def full(self) -> bool:
        """Whether enough waits for the handlers. Any thread."""
        queue = self.queue
        return queue is not None and (len(queue) >= MOST_WAITING or self._queued - self._handled > self.terms.max_message)

    def run(self, worker: Worker) -> None:
        """A turn with a worker."""
        if worker.held:
            worker.dispatch()
        clock, queue, house = time.monotonic, self.queue, self._house
        assert queue is not None
        self._worker, self._handling = worker, threading.get_ident()
        began = clock()
        while True:
            try:
                what, value = queue.popleft()
            except IndexError:
                self._handling = 0
                if house.finish(self):
                    return
                self._handling = threading.get_ident()
                continue
            if what == END:
                self._post(self.end, value)
            else:
                self._handle(what, value)
            if what == MESSAGE:
                self._handled += len(value)
            if self._stopped and not self.full():
                house.post(self.go_on)
            if clock() - began > TURN:
                self._handling = 0
                house.again(self)
                return

    def end(self, said: Any) -> None:
        """What the client sent before it closed has been handled (reactor thread)."""

    def go_on(self) -> None:
        """The handler has caught up: read on (reactor thread)."""

    def _handle(self, what: int, value: Any) -> None:
        terms = self.terms
        handler = followups.get(value) if what == FOLLOWUP else (terms.on_open, terms.on_message, terms.on_close)[what]
        if handler is None or (what == MESSAGE and self._parting):
            return  # what a client has sent before it went is handled, what comes after our own last word is not
        arguments = (self,) if what == OPEN else (Participant(self),) if what == FOLLOWUP else (self, value)
        try:
            if around:
                with ExitStack() as stack:
                    for manager in around:
                        stack.enter_context(manager(self))
                    handler(*arguments)
            else:
                handler(*arguments)
        except BaseException as error:  # SystemExit too: the connection must not stay in line
            name = ("on_open", "on_message", "on_close", "a follow-up")[what]
            log.failure("{name} of {connection} raised {error}", name=name, connection=self, error=type(error).__name__)
            if not terms.keep_on_error:
                self._parting = True
                self._post(self.shut, 1011, "the server failed")

    def _wait_for_room(self) -> bool:
        """In a handler: whether the client has made room. Elsewhere there is no waiting."""
        if self._handling != threading.get_ident():
            return False
        wire = self._wire
        self._house.post(self._flush)
        while self.closed is None and wire is not None and self._posted + wire.pending > MOST_UNSENT:
            event = self._room = threading.Event()
            if self._posted + wire.pending <= MOST_UNSENT:
                break
            if not event.wait(PATIENCE) and time.monotonic() - wire.since > PATIENCE:
                return False
        return True

    def _make_room(self) -> None:
        wire = self._wire
        if self._room is not None and (wire is None or self.closed is not None or self._posted + wire.pending <= MOST_UNSENT):
            self._room.set()


class Flush:
    """A `Parcel` of a worker: what a handler has sent goes to the reactor."""

    __slots__ = ("_connection", "_house")

    def __init__(self, house: Connections, connection: Connection) -> None:
        self._house, self._connection = house, connection

    def send(self) -> None:
        self._house.post(self._connection._flush)

    def sent(self) -> None:
        """Nothing more."""


def as_json(data: Any) -> str:
    """What is neither text nor bytes, as JSON.

    :raises TypeError: it cannot be.
    """
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise TypeError(f"a connection sends text, bytes or what can be made into JSON: {error}") from None


def tuple_of(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
