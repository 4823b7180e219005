"""What `cluster` wants of an engine: Redis or PostgreSQL, each in a file of its own.

An `Engine` is one connection, and is made anew for the next. It is called on the reactor thread, where its Deferreds fire; it waits and
repeats nothing. Whatever fails ends the connection: `Ears.lost` is called, once, after `Engine.open` has succeeded.

The rules that each of them keeps:

1. The engine gives offsets, which grow over all topics, in the order in which they are heard. The offset and the epoch live in the
   engine. An engine that has lost what it knew has another epoch.
2. What is published twice by the same origin under the same number is published once.
3. A past comes in its place: of what `Ears.heard` is called with, all up to its offset comes before its Deferred fires, and the rest
   after that.
4. What a node has in work, and that it is there, ends with the node: `ALIVE` seconds after its last `Engine.beat` that of another one
   buries it.
5. When the connection is lost, whatever was asked fails with `EngineError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred

# Seconds between two signs of life, and those after which a node without any is dead.
BEAT, ALIVE = 2.0, 8.0

# Seconds that an engine has to answer.
PATIENCE = 5.0

# Of a queue: messages that it holds, and how often one that is durable is begun before it is given up.
MESSAGES, ATTEMPTS = 10_000, 5

# Topics of which the last offset is known; above it the one that has been silent for the longest is forgotten.
TOPICS = 100_000

# Seconds that a queue of events is kept when no node serves it any more.
IDLE = 60.0


class EngineError(Exception):
    """It cannot be reached, or does not do what it must; one line, without a password."""


class Standing(NamedTuple):
    """Where an engine is."""

    epoch: str
    offset: int


class Publication(NamedTuple):
    """What is to be published.

    :ivar kind: see `envelope`.
    :ivar number: grows from one to the next of this node.
    :ivar keep: how many messages of the topic are kept, 0 for none.
    :ivar age: seconds that it is kept; of a message of a queue, until when it must have begun, in seconds since 1970.
    :ivar durable: it is begun again where its node has died.
    :ivar body: the `envelope.sealed`.
    """

    kind: str
    topic: str
    number: int
    keep: int
    age: float
    durable: bool
    body: str


class Published(NamedTuple):
    """
    :ivar standing: after it.
    :ivar full: the numbers of those that did not fit into their queue.
    """

    standing: Standing
    full: list[int]


class Past(NamedTuple):
    """What came after the offsets that were asked for.

    :ivar messages: as `Ears.heard` has them; in any order.
    :ivar gaps: the patterns of which some is not kept.
    """

    standing: Standing
    messages: list[str]
    gaps: list[str]


class Change(NamedTuple):
    """Of who is there: ``delta`` connections more of that name, None for those without a name."""

    topic: str
    who: str | None
    delta: int


class Changed(NamedTuple):
    """What came of one.

    :ivar first_or_last: nobody of the name was there before, or nobody is any more.
    :ivar connections: of the topic now, of all nodes.
    """

    first_or_last: bool
    connections: int


class Taken(NamedTuple):
    """A message of a queue, for this node.

    :ivar ticket: by which the engine knows it.
    :ivar attempt: how often it has been begun, with this time.
    """

    queue: str
    ticket: str
    attempt: int
    text: str


class Loss(NamedTuple):
    """A message of a queue that nobody will do: ``expired``, or ``died`` with its node."""

    queue: str
    reason: str
    text: str


class Pulse(NamedTuple):
    """
    :ivar alive: False if we were taken for dead, so that all that we have told of who is here has to be told again.
    :ivar left: of those who were at nodes that have died, with ``delta`` as of them, and what came of it.
    :ivar losses: what is to be told of them.
    """

    alive: bool
    left: list[tuple[Change, Changed]]
    losses: list[Loss]


class Ears(Protocol):
    """Who hears of what comes by itself. Reactor thread, in order."""

    def heard(self, texts: Sequence[str]) -> None:
        """Messages, and word of those that are lost, of what is subscribed to, or of more than that, also twice."""

    def told(self, text: str) -> None:
        """From another node, for this one alone."""

    def waiting(self, queue: str) -> None:
        """There is something in this queue, which this node serves."""

    def lost(self, why: str) -> None:
        """The connection has gone: one line."""


class Engine(Protocol):
    """
    :ivar durable: whether a message of a queue survives its node.
    """

    durable: bool

    def open(self, node: str, ears: Ears, known: Standing | None) -> Deferred[Standing]:
        """Connect, as this node.

        :param known: where the engine was when we had it last. If it has gone back since, it takes another epoch.
        """

    def close(self) -> Deferred[None]:
        """Let go of everything, whatever its state. `Ears.lost` is not called any more. Never fails."""

    def publish(self, publications: Sequence[Publication]) -> Deferred[Published]:
        """In this order. One call at a time."""

    def subscribe(self, patterns: Sequence[str]) -> Deferred[None]:
        """Fires when all that is published from now on is heard. One call of this and the next two at a time."""

    def unsubscribe(self, patterns: Sequence[str]) -> Deferred[None]: ...

    def after(self, questions: Sequence[Mapping[str, int]]) -> Deferred[list[Past]]:
        """What came after an offset for each pattern, -1 for one that knows nothing of this epoch; all at one standing."""

    def history(self, topic: str) -> Deferred[list[str]]:
        """What is kept of the topic, the oldest first."""

    def present(self, changes: Sequence[Change]) -> Deferred[list[Changed]]:
        """In this order."""

    def mine(self) -> Deferred[list[Change]]:
        """Who is there by what this node has told."""

    def presence(self, topic: str) -> Deferred[tuple[int, list[str]]]:
        """Connections, and the names among them."""

    def beat(self) -> Deferred[Pulse]:
        """We are alive; and bury who is not. Comes in its place, as a past does."""

    def leave(self) -> Deferred[Pulse]:
        """We are not any more."""

    def serve(self, queue: str, pattern: str | None) -> Deferred[None]:
        """`Ears.waiting` is called for this queue from now on; with a pattern, it gets the messages of topics."""

    def rest(self, queue: str) -> Deferred[None]: ...

    def take(self, wanted: Mapping[str, int]) -> Deferred[tuple[list[Taken], list[Loss]]]:
        """Up to so many messages of each queue, and those that have expired before them."""

    def settle(self, tickets: Sequence[tuple[str, str, bool]]) -> Deferred[None]:
        """Queue and ticket of what is over; where True, it is not, and another node may take it."""

    def tell(self, node: str, text: str) -> Deferred[None]:
        """Say something to one node; it is lost if that is not there."""
