"""What an application has declared as it was imported: rules for topics, handlers of events, consumers of queues.

It is declared once in each process, before there is a hub or after; a branch is told of all when it comes, and of what comes later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hendrix.hey_joe.message import Message
from hendrix.hey_joe.rules import Rule, Rules


@dataclass(frozen=True)
class Event:
    """What a handler is called with.

    :ivar topic: on which it was published, or the name of the queue.
    :ivar id: of the message.
    :ivar time: when the hub had it, in seconds since 1970.
    :ivar key: of a durable message, which may come more than once: always the same for the same message, and for no other.
    :ivar attempt: how often it has come, with this time.
    """

    topic: str
    payload: Any
    id: str
    time: float
    key: str | None = None
    attempt: int = 1

    @classmethod
    def of(cls, message: Message) -> Event:
        return cls(message.topic, message.payload, message.id, message.time, message.key, message.attempt)


@dataclass(frozen=True)
class Handler:
    """A function that an application wants to be called.

    :ivar name: of the function, for logs.
    :ivar queue: from which the process gets its messages; None if each process hears all of them.
    :ivar pattern: of the topics, None for a consumer.
    :ivar places: calls at a time in each process.
    """

    function: Callable[[Event], Any]
    name: str
    queue: str | None
    pattern: str | None
    places: int

    @property
    def key(self) -> str:
        """What takes the place of another of the same key, as when a module is loaded again."""
        return self.queue or f"{self.pattern} {self.name}"


class Listener(Protocol):
    """Who hears of it (any thread)."""

    def rule_declared(self, pattern: str, rule: Rule) -> None: ...

    def handler_declared(self, handler: Handler) -> None: ...


class Declared:
    """All of it, for this process. Any thread."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self.handlers: dict[str, Handler] = {}
        self._listener: Listener | None = None

    def rule(self, pattern: str, rule: Rule) -> None:
        self.rules[pattern] = rule
        if self._listener is not None:
            self._listener.rule_declared(pattern, rule)

    def rule_of(self, topic: str) -> Rule:
        """The rule that holds for the topic."""
        rules = Rules()
        for pattern, rule in list(self.rules.items()):
            rules.set(pattern, rule)
        return rules.of(topic)

    def handler(self, handler: Handler) -> None:
        self.handlers[handler.key] = handler
        if self._listener is not None:
            self._listener.handler_declared(handler)

    def listen(self, listener: Listener | None) -> Listener | None:
        """Tell this one, of all that is there and all that comes; gives the one before."""
        before, self._listener = self._listener, listener
        if listener is not None:
            for pattern, rule in list(self.rules.items()):
                listener.rule_declared(pattern, rule)
            for handler in list(self.handlers.values()):
                listener.handler_declared(handler)
        return before


declared = Declared()
