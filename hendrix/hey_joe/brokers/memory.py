"""The broker ``memory:``. All who hear of messages are at this hub, and what is kept is kept here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed

from hendrix.hey_joe.broker import Node, Past
from hendrix.hey_joe.members import Presence
from hendrix.hey_joe.memory import History
from hendrix.hey_joe.message import OVERLOAD, Message
from hendrix.hey_joe.queues import Asker
from hendrix.hey_joe.rules import Rule


class Memory:
    """
    :param clock: seconds since 1970.
    """

    alone = True

    def __init__(self, clock: Callable[[], float], epoch: str = "") -> None:
        self.kept = History(clock, epoch)
        self._clock, self._there = clock, Presence()

    def open(self, node: Node) -> None:
        self._node = node

    def start(self) -> None:
        pass

    def close(self) -> Deferred[None]:
        return succeed(None)

    def publish(self, topic: str, payload_text: str, rule: Rule) -> None:
        self._node.deliver(self.kept.append(topic, payload_text, rule))

    def miss(self, topic: str, count: int) -> None:
        self._node.miss(topic, count, OVERLOAD)

    def subscribe(self, pattern: str) -> None:
        pass

    def unsubscribe(self, pattern: str) -> None:
        pass

    def after(self, since: Mapping[str, str | None], past: Past) -> None:
        messages, gaps = self.kept.after({pattern: id for pattern, id in since.items() if id is not None})
        past(self.kept.position, messages, gaps)

    def history(self, topic: str, kept: Callable[[list[Message]], object]) -> None:
        kept(self.kept.of(topic))

    def position(self, at: Callable[[str], object]) -> None:
        at(self.kept.position)

    def join(self, topic: str, member: Any, who: str | None) -> None:
        if self._there.join(topic, member, who):
            self._node.present(topic, "join", who, self._there.count(topic))

    def leave(self, topic: str, member: Any) -> None:
        who, last = self._there.leave(topic, member)
        if last:
            self._node.present(topic, "leave", who, self._there.count(topic))

    def presence(self, topic: str, there: Callable[[dict[str, Any]], object]) -> None:
        there(self._there.of(topic))

    def enqueue(self, queue: str, payload_text: str, expires: float, then: str | None, asker: Asker | None, durable: str | None) -> None:
        self._node.work(queue, self.kept.made(queue, payload_text), expires, then, asker, None)

    def serve(self, queue: str, pattern: str | None) -> None:
        pass

    def rest(self, queue: str) -> None:
        pass

    def flush(self) -> None:
        pass

    def sweep(self) -> None:
        self.kept.sweep()

    def describe(self) -> str:
        return "memory"

    def numbers(self) -> dict[str, int | float]:
        return {"kept": self.kept.kept, "kept_characters": self.kept.size}
