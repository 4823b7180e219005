"""What waits for one subscriber: bounded, with the policy of each topic for what does not fit, and no loss that it does not hear of."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from hendrix.hey_joe.message import LATEST, SLOW, Gap, Message

# Messages, and characters of their payloads, that may wait for a subscriber.
MESSAGES, CHARACTERS = 1000, 1 << 20

# The close code for a subscriber that is too slow, where the policy of a topic is to disconnect it (RFC 6455 section 7.4.2: private use).
TOO_SLOW = 4008


class Subscriber(Protocol):
    """Who is to get messages. Called on the reactor thread, and must not block."""

    def ready(self) -> None:
        """There is something to `Inbox.take`, and there was nothing before. Take until it gives None, or as long as there is room; then,
        without being called again, go on when there is room.
        """

    def cut(self, code: int, reason: str) -> None:
        """Close the connection with this code and reason; nothing more will come."""


class Inbox:
    """The messages that wait for a subscriber, in their order. Reactor thread.

    Ids grow from one to the next but where a subscription with a past is added later.

    :param messages: how many may wait.
    :param characters: of payloads that may wait.

    :ivar dropped: how many messages the subscriber has lost.
    """

    def __init__(self, subscriber: Subscriber, messages: int = MESSAGES, characters: int = CHARACTERS) -> None:
        self.subscriber: Subscriber | None = subscriber
        self.dropped = 0
        self._messages, self._characters = messages, characters
        self._most = messages, characters  # what may wait now: more while what was missed is made up for
        self._items: deque[Message] = deque()
        self._size = 0
        self._gaps: dict[tuple[str, str], int | None] = {}
        self._told = False

    def __len__(self) -> int:
        return len(self._items) + len(self._gaps)

    # The subscriber's side.

    def take(self) -> Message | Gap | None:
        """The next to hand on; None if there is nothing, and `Subscriber.ready` will be called when there is."""
        if self._gaps:
            (topic, reason), lost = next(iter(self._gaps.items()))
            del self._gaps[topic, reason]
            return Gap(topic, lost, reason)
        if self._items:
            message = self._items.popleft()
            self._size -= message.size
            return message
        self._told = False
        self._most = self._messages, self._characters
        return None

    # The hub's side.

    def put(self, message: Message) -> None:
        """Add a message, and make room for it as the policies say."""
        if self.subscriber is None:
            return
        items = self._items
        if items and message.policy == "latest":
            self._replace(message)
        items.append(message)
        self._size += message.size
        if len(items) > self._most[0] or self._size > self._most[1]:
            self._make_room()
        if not self._told:
            self._tell()

    def make_up(self, messages: list[Message]) -> None:
        """Add what was missed, which may be more than otherwise may wait."""
        if self.subscriber is None or not messages:
            return
        size = sum(message.size for message in messages)
        self._most = (
            max(self._most[0], len(self._items) + len(messages) + self._messages),
            max(self._most[1], self._size + size + self._characters),
        )
        for message in messages:
            self.put(message)

    def miss(self, topic: str, lost: int | None, reason: str) -> None:
        """Messages are lost."""
        if self.subscriber is None:
            return
        before = self._gaps.get((topic, reason), 0)
        self._gaps[topic, reason] = None if before is None or lost is None else before + lost
        self.dropped += lost or 0
        if not self._told:
            self._tell()

    def close(self) -> None:
        """Take nothing any more, and hold nothing."""
        self.subscriber = None
        self._items.clear()
        self._gaps.clear()

    def _tell(self) -> None:
        self._told = True
        assert self.subscriber is not None
        self.subscriber.ready()

    def _replace(self, message: Message) -> None:
        """The policy of its topic is to keep the latest: what waits of the topic goes. The place is lost with it, for ids must grow."""
        for before in self._items:
            if before.topic == message.topic:
                self._drop(before, LATEST)
                return

    def _make_room(self) -> None:
        while len(self._items) > 1 and (len(self._items) > self._most[0] or self._size > self._most[1]):
            oldest = self._items[0]
            if oldest.policy == "disconnect":
                oldest = next((message for message in self._items if message.policy != "disconnect"), oldest)
            if oldest.policy == "disconnect":
                subscriber = self.subscriber
                assert subscriber is not None
                self.close()
                self._told = True
                subscriber.cut(TOO_SLOW, "too slow")
                return
            self._drop(oldest, SLOW)

    def _drop(self, message: Message, reason: str) -> None:
        self._items.remove(message)  # mostly the first
        self._size -= message.size
        self.miss(message.topic, 1, reason)
