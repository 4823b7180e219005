"""Who hears of topics, as the hub sees them: processes, and the queues of handlers. Reactor thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from twisted.logger import Logger

from hendrix.hey_joe.message import OVERLOAD, Message
from hendrix.hey_joe.queues import EXPIRES, Queue, Queues
from hendrix.hey_joe.uplink import CHUNK, Entry, Outbox, Uplink

log = Logger(namespace="hendrix.hey_joe")

# Characters of payloads that wait for a process that is behind; above it, it misses messages, and hears of it.
BEHIND = 16 << 20


class Listener(Protocol):
    """Who is given the messages of topics."""

    def give(self, message: Message) -> None: ...


class Feed:
    """A queue as a listener: that of a handler of events."""

    def __init__(self, queues: Queues[Remote], queue: Queue[Remote]) -> None:
        self._queues, self._queue = queues, queue

    def give(self, message: Message) -> None:
        self._queues.put(self._queue, message, EXPIRES)


class Remote:
    """A process at the other end of its uplink.

    :ivar members: the patterns of each of its subscribers.
    :ivar patterns: how many of them have each.
    """

    def __init__(self, uplink: Uplink, counts: Counter[str]) -> None:
        self._uplink, self._outbox, self._counts = uplink, Outbox(uplink), counts
        self._behind: Counter[str] = Counter()
        self.members: dict[int, set[str]] = {}
        self.patterns: Counter[str] = Counter()
        self.lost = False

    @property
    def ready(self) -> bool:
        """Whether there is something to send now."""
        return bool(self._outbox) and not self._uplink.congested

    def add(self, entry: Entry, size: int = 0) -> None:
        if not self.lost:
            self._outbox.add(entry, size)

    def add_parts(self, number: int, messages: Iterable[Message]) -> None:
        """Messages for an answer, in pieces of a bearable size."""
        part: list[Entry] = []
        size = 0
        for message in messages:
            part.append(entry_of(message))
            size += message.size
            if size > CHUNK:
                self.add(["part", number, part], size)
                part, size = [], 0
        if part:
            self.add(["part", number, part], size)

    def give(self, message: Message) -> None:
        if self._behind or (self._outbox.size > BEHIND and self._uplink.congested):
            self._behind[message.topic] += 1
            self._counts["missed"] += 1
        else:
            self._outbox.add(entry_of(message), message.size)

    def miss(self, topic: str, count: int | None, reason: str = OVERLOAD) -> None:
        """Messages that never came here are lost."""
        self.add(["gap", topic, count, reason])

    def flush(self) -> None:
        self._outbox.flush()

    def catch_up(self) -> None:
        """It takes messages again: first what has waited, then word of what could not."""
        self.flush()
        if self._behind:
            log.warn("a process was too slow for {count} messages, which it misses", count=self._behind.total())
            for topic, count in self._behind.items():
                self.miss(topic, count)
            self._behind.clear()
            self.flush()

    def join(self, member: int, pattern: str) -> bool:
        """False if it had joined."""
        patterns = self.members.setdefault(member, set())
        if pattern in patterns:
            return False
        patterns.add(pattern)
        self.patterns[pattern] += 1
        return True

    def leave(self, member: int, pattern: str) -> bool:
        """False if it was not there."""
        patterns = self.members.get(member, set())
        if pattern not in patterns:
            return False
        patterns.discard(pattern)
        if not patterns:
            del self.members[member]
        self.patterns[pattern] -= 1
        if not self.patterns[pattern]:
            del self.patterns[pattern]
        return True


def entry_of(message: Message) -> Entry:
    """The entry of a message; made once."""
    entry: Entry | None = message.frames.get("entry")
    if entry is None:
        entry = message.frames["entry"] = ["message", message.topic, message.id, message.time, message.payload_text]
    return entry
