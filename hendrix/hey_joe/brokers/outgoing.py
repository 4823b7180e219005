"""What a node publishes, until the engine has it: bounded, in order, and sent again if nobody knows whether it arrived."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from hendrix.hey_joe.brokers.engine import Publication
from hendrix.hey_joe.brokers.envelope import GAP, MESSAGE, sealed

# Publications, and characters of them, that may wait for the engine.
ENTRIES, CHARACTERS = 50_000, 64 << 20

# Topics of which is known how many messages did not fit.
TOPICS = 10_000

# Publications, and characters of them, in one call to an engine.
BATCH, BATCH_CHARACTERS = 500, 512 << 10


class Outgoing:
    """
    :param node: our name.
    :param clock: seconds since 1970.

    :ivar dropped: how many did not fit, so far.
    :ivar missed: those of them of which nobody was told, by topic.
    :ivar number: of the last one.
    """

    def __init__(self, node: str, clock: Callable[[], float], entries: int = ENTRIES, characters: int = CHARACTERS) -> None:
        self._node, self._clock, self._most, self._characters = node, clock, entries, characters
        self._waiting: deque[Publication] = deque()
        self._sending: list[Publication] = []
        self._size = 0
        self.number = 0
        self.dropped = 0
        self.missed = Counter[str]()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sending)

    @property
    def sending(self) -> bool:
        return bool(self._sending)

    @property
    def all(self) -> list[Publication]:
        return [*self._sending, *self._waiting]

    def add(
        self, kind: str, topic: str, payload_text: str, keep: int = 0, age: float = 0.0, more: object = None, durable: bool = False
    ) -> Publication | None:
        """One more; None if there is no room."""
        self.number += 1
        body = sealed(kind, self._node, self.number, self._clock(), topic, more, payload_text)
        if len(self) >= self._most or self._size + len(body) > self._characters:
            self.dropped += 1
            if kind == MESSAGE:
                self.miss(topic, 1)
            return None
        publication = Publication(kind, topic, self.number, keep, age, durable, body)
        self._waiting.append(publication)
        self._size += len(body)
        return publication

    def miss(self, topic: str, count: int) -> None:
        """So many messages of the topic are not published."""
        if topic in self.missed or len(self.missed) < TOPICS:
            self.missed[topic] += count

    def batch(self) -> list[Publication]:
        """What is to be sent next, until `sent` or `again`; nothing while something is."""
        if self._sending:
            return []
        if self.missed and not self._waiting:
            missed, self.missed = self.missed, Counter()
            for topic, count in missed.items():
                if self.add(GAP, topic, str(count)) is None:
                    self.miss(topic, count)
        size = 0
        while self._waiting and len(self._sending) < BATCH and size < BATCH_CHARACTERS:
            publication = self._waiting.popleft()
            self._sending.append(publication)
            size += len(publication.body)
        return self._sending

    def sent(self) -> int:
        """The engine has the batch; the number of its last one."""
        number = self._sending[-1].number
        self._size -= sum(len(publication.body) for publication in self._sending)
        self._sending = []
        return number

    def again(self) -> None:
        """Nobody knows whether it has."""
        self._waiting.extendleft(reversed(self._sending))
        self._sending = []
