"""What a hub wants of its broker: that which carries messages to all who hear of them, keeps histories, and knows who is there.

With `brokers.memory`, all are at this hub; with `brokers.cluster`, an engine joins the hubs of several nodes to one.

Everything here runs on the reactor thread. What is asked is answered by a call, at once or later, so that what is known here costs no
turn of the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from hendrix.hey_joe.message import Gap, Message
from hendrix.hey_joe.queues import Asker, Settled
from hendrix.hey_joe.rules import Rule

# Called with where the hub stands now, what came after the ids that were given, in order, each message once, and the gaps in it. What comes
# after that position is delivered after this call, and nothing else.
Past = Callable[[str, list[Message], list[Gap]], object]


class Node(Protocol):
    """The hub, as its broker sees it."""

    def deliver(self, message: Message) -> None:
        """To all who hear of its topic here. Ids of one epoch grow from one to the next."""

    def miss(self, topic: str, count: int | None, reason: str) -> None:
        """Messages of a topic, or of all topics of a pattern, do not come."""

    def present(self, topic: str, event: str, who: str | None, connections: int) -> None:
        """Somebody was the first of his name to ``join`` the topic, or the last to ``leave``: it is ours to publish that."""

    def settle(self) -> None:
        """That was all for now: send it on."""

    def room(self, queue: str) -> int:
        """How many more messages of a queue could be begun here now."""

    def work(self, queue: str, message: Message, expires: float, then: str | None, asker: Asker | None, settled: Settled | None) -> None:
        """A message of a queue is for a process here.

        :param expires: seconds within which it must have begun.
        """

    def lost(self, queue: str, id: str | None, count: int, reason: str, told: bool) -> None:
        """Messages of a queue are lost: it is ours to log that, and to publish it where ``told``."""


class Broker(Protocol):
    """
    :ivar alone: there is no other node, so that what nobody here hears is heard by nobody.
    """

    alone: bool

    def open(self, node: Node) -> None:
        """This is the hub. Before it, nothing is called."""

    def start(self) -> None:
        """Connect, now that the reactor runs. What is called before counts."""

    def close(self) -> Deferred[None]:
        """Send what is to be sent, leave, and let go of everything."""

    def publish(self, topic: str, payload_text: str, rule: Rule) -> None:
        """A message, kept if the rule says so."""

    def miss(self, topic: str, count: int) -> None:
        """So many messages came too fast to be published; whoever hears of the topic is to hear of that."""

    def subscribe(self, pattern: str) -> None:
        """Somebody here hears of these topics."""

    def unsubscribe(self, pattern: str) -> None:
        """Nobody does any more."""

    def after(self, since: Mapping[str, str | None], past: Past) -> None:
        """What has come after an id for each pattern; None is for nothing. The patterns are subscribed to."""

    def history(self, topic: str, kept: Callable[[list[Message]], object]) -> None:
        """What is kept of a topic."""

    def position(self, at: Callable[[str], object]) -> None:
        """The id of the last message, when what was published here before has its id."""

    def join(self, topic: str, member: Any, who: str | None) -> None:
        """A subscriber of this topic is here."""

    def leave(self, topic: str, member: Any) -> None:
        """It has gone."""

    def presence(self, topic: str, there: Callable[[dict[str, Any]], object]) -> None:
        """``connections`` and ``who``, of all nodes."""

    def enqueue(self, queue: str, payload_text: str, expires: float, then: str | None, asker: Asker | None, durable: str | None) -> None:
        """A message for one consumer.

        :param durable: its idempotency key, None where it is delivered at most once.
        """

    def serve(self, queue: str, pattern: str | None) -> None:
        """There is room here for messages of this queue, see `Node.room`; with a pattern, it gets those of topics."""

    def rest(self, queue: str) -> None:
        """There is none any more."""

    def flush(self) -> None:
        """Nothing more is coming in this turn of the reactor."""

    def sweep(self) -> None:
        """Let go of what is too old; about once a second."""

    def describe(self) -> str:
        """Its name, and how it is if that is not as it should be."""

    def numbers(self) -> dict[str, int | float]:
        """For statistics."""
