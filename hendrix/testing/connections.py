"""Test tools for connections: what `hey_joe.accept` in the code under test has let in, held for the test, with a hub of its own.

    with held_connections() as held:
        ws = held.open(self.client.get("/chat/lobby/"))
        ws.receive("hello")
        assert ws.events[0].payload == {"user": "jimi", "text": "hello"}
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from secrets import token_urlsafe
from typing import Any

from hendrix.errors import PeerError
from hendrix.hey_joe import admission, branch as branches
from hendrix.hey_joe.branch import Branch
from hendrix.hey_joe.connection import Terms, as_json
from hendrix.hey_joe.connections import ORDERS
from hendrix.hey_joe.declared import Event, Handler, declared
from hendrix.hey_joe.hub import Hub
from hendrix.hey_joe.message import Gap
from hendrix.hey_joe.rules import Rule
from hendrix.hey_joe.topics import check_pattern
from hendrix.hey_joe.uplink import direct

FAILED, TOO_BIG, LOST = 1011, 1009, 1006


class HeldConnection:
    """A connection as the application sees it, ``ws``, and as its client does. One thread.

    :ivar kind: ``"event stream"`` for a request that accepts one, else ``"WebSocket"``: a plain ``client.get()`` is taken for a handshake.
    :ivar terms: what the view gave to `hey_joe.accept`.
    :ivar topics: the topics and patterns whose messages the client gets now.
    :ivar sent: what the application has sent to this connection alone, as it was given.
    :ivar events: the messages of its topics, each an `Event`.
    :ivar refused: the status in place of the view's, if the Origin of the page may not; else None.
    :ivar closed: the code with which it was closed, None while it is open; ``reason`` is the word that goes with it.
    """

    def __init__(self, house: HeldConnections, kind: str, terms: Terms, path: str, subprotocol: str, error: PeerError | None) -> None:
        self._house, self.kind, self.terms, self.path, self.subprotocol = house, kind, terms, path, subprotocol
        self.id = token_urlsafe(12)
        self.user: Any = None
        self.user_key: str | None = None
        self.state: Any = None
        self.refused = error.status if error is not None else None
        self.sent: list[Any] = []
        self.events: list[Event] = []
        self.closed: int | None = None
        self.reason = ""
        self._is_open = self._over = False
        self._member: Any = None

    def __repr__(self) -> str:
        return f"<held {self.kind} {self.path}>"

    # What an application calls.

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(sorted(self._member.patterns)) if self._member is not None else ()

    def send(self, data: Any) -> bool:
        if self.closed is not None:
            return False
        if not isinstance(data, (str, bytes)):
            as_json(data)  # raises as it would
        self.sent.append(data)
        return True

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.closed is None:
            self.closed, self.reason = code, reason

    def subscribe(self, topic: str, since: str | None = None) -> None:
        check_pattern(topic)
        if self.closed is None and self._member is not None:
            if topic in self._member.patterns:
                self._member.unsubscribe(topic)
            self._member.subscribe({topic: since})

    def unsubscribe(self, topic: str) -> None:
        if self._member is not None and topic in self._member.patterns:
            self._member.unsubscribe(topic)

    # What its client does.

    def receive(self, message: Any) -> None:
        """The client sends a message: ``on_message`` is called, on this thread.

        :param message: text or bytes; anything else is made into JSON first.
        :raises Exception: what the handler raises; the connection is closed with 1011, unless the view says ``keep_on_error``.
        """
        self._must_be_open()
        content = message if isinstance(message, (str, bytes)) else as_json(message)
        if len(content if isinstance(content, bytes) else content.encode()) > self.terms.max_message:
            self.close(TOO_BIG, "the message is too large")
            self._settle()
        elif self.terms.on_message is not None:
            self._call(self.terms.on_message, self, content)

    def leave(self, code: int = LOST) -> None:
        """The client closes it, or goes without a word, which is 1006: ``on_close`` is called."""
        self._must_be_open()
        self.close(code)
        self._settle()

    # The house's side.

    def open(self) -> None:
        self._is_open = True
        self._member = self._house.branch.join(self, self.terms.who)
        self._member.subscribe(dict.fromkeys(self.terms.topics, self.terms.since))
        if self.terms.on_open is not None:
            self._call(self.terms.on_open, self)

    def obey(self, order: Mapping[str, Any]) -> None:
        if "close" in order:
            self.close(order["close"], order["reason"])
            self._settle()
        else:
            self.send(b64decode(order["bytes"]) if "bytes" in order else order["data"])

    def ready(self) -> None:
        while self._member is not None and (item := self._member.take()) is not None:
            if not isinstance(item, Gap):
                self.events.append(Event.of(item))

    def cut(self, code: int, reason: str) -> None:
        """The hub has gone: so has the test."""
        self._member = None

    def _must_be_open(self) -> None:
        if not self._is_open or self.closed is not None:
            raise AssertionError(f"{self!r} is {'not open' if self.closed is None else f'closed with {self.closed}'}")

    def _call(self, handler: Any, *arguments: Any) -> None:
        try:
            handler(*arguments)
        except BaseException:
            if not self.terms.keep_on_error:
                self.close(FAILED, "the server failed")
            raise
        finally:
            self._settle()

    def _settle(self) -> None:
        if self.closed is None or self._over:
            return
        self._over = True
        if self._member is not None:
            self._member.leave()
            self._member = None
        if self.terms.on_close is not None and self._is_open:
            self.terms.on_close(self, self.closed)


class HeldConnections:
    """What was let in so far: a sequence of `HeldConnection`.

    :ivar published: all that was published in the block, each an `Event`; on topics of hendrix's own, with ``$``, too.
    """

    max_message = 1 << 20
    heartbeat = 0.0

    def __init__(self) -> None:
        self._let_in: list[HeldConnection] = []
        self.published: list[Event] = []
        self.hub = Hub()
        theirs, ours = direct()
        self.hub.attach(theirs)
        self.branch = Branch(ours, lambda call, *arguments: call(*arguments))
        self.branch.thread = 0  # that of no reactor: whoever asks has the answer at once
        self._member = self.branch.join(self)
        self._member.subscribe({"**": None, "$presence.**": None, ORDERS: None})

    def __len__(self) -> int:
        return len(self._let_in)

    def __getitem__(self, index: int) -> HeldConnection:
        return self._let_in[index]

    def __iter__(self) -> Iterator[HeldConnection]:
        return iter(self._let_in)

    def open(self, response: Any = 200) -> HeldConnection:
        """The view has answered, and the connection that it has let in last opens: ``on_open`` is called, on this thread.

        :param response: of any test client, or its status.
        :raises AssertionError: the view has let nobody in, or its answer, or the Origin, refuses them.
        """
        status = next((getattr(response, name) for name in ("status_code", "status_int") if hasattr(response, name)), response)
        if not self._let_in or self._let_in[-1].closed is not None or self._let_in[-1]._is_open:
            raise AssertionError(f"nobody was let in: the view has answered {status} and not called hey_joe.accept")
        connection = self._let_in[-1]
        if not 200 <= int(status) < 300:
            raise AssertionError(f"{connection!r} is refused: the view has answered {status}")
        if connection.refused is not None:
            raise AssertionError(f"{connection!r} is refused with {connection.refused}: the page that asks is of another origin")
        connection.open()
        return connection

    # `hendrix.hey_joe.admission.Trial`.

    def let_in(
        self, kind: str, terms: Terms, path: str, user: Any, key: str | None, state: Any, error: PeerError | None, subprotocol: str
    ) -> HeldConnection:
        connection = HeldConnection(self, kind, terms, path, subprotocol, error)
        connection.user, connection.user_key, connection.state = user, key, state
        self._let_in.append(connection)
        return connection

    # Of the hub: what is declared, and what is published.

    def rule_declared(self, pattern: str, rule: Rule) -> None:
        self.branch.rule(pattern, rule)

    def handler_declared(self, handler: Handler) -> None:
        """Handlers of events have a crew where there is a server."""

    def ready(self) -> None:
        while (item := self._member.take()) is not None:
            if isinstance(item, Gap):
                continue
            event = Event.of(item)
            if event.topic != ORDERS:
                self.published.append(event)
                continue
            for connection in list(self):
                if event.payload.get("id") == connection.id or (event.payload.get("user") or object()) == connection.user_key:
                    connection.obey(event.payload)

    def cut(self, code: int, reason: str) -> None:
        """The hub has gone: so has the test."""


@contextmanager
def held_connections() -> Iterator[HeldConnections]:
    """Hold the connections that `hey_joe.accept` lets in in the block. It works under the test client of any framework, on its thread.

    ``publish``, ``presence``, ``history``, ``send_to`` and ``close_for`` of `hey_joe` have a hub of the block's own, with the rules that
    the application has declared. Its handlers of events and its consumers are not called.
    """
    held = HeldConnections()
    before, branches.current = branches.current, held.branch
    listener = declared.listen(held)
    token = admission.trial.set(held)
    try:
        yield held
    finally:
        admission.trial.reset(token)
        declared.listen(listener)
        branches.current = before
        held.branch.close()
