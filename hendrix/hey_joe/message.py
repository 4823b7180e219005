"""What subscribers are given: messages, and word of messages that are lost. Made into JSON once, however many there are."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from hendrix.errors import PeerError

# Bytes of a payload as JSON.
LARGEST = 1 << 20


class BadPayload(PeerError, ValueError):
    """The payload is too large, or no JSON can be made of it: status 400 or 413."""


def encoded(topic: str, payload: Any) -> str:
    """A payload as JSON (any thread).

    :raises BadPayload: it cannot be, or is larger than `LARGEST`.
    """
    try:
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise BadPayload(400, f"the payload for {topic} cannot be made into JSON: {error}") from None
    if size > LARGEST:
        raise BadPayload(413, f"the payload for {topic} has {size} bytes as JSON; {LARGEST} is the most that a message can carry")
    return text


class Message:
    """One message of a topic. It does not change.

    :ivar topic: its name.
    :ivar id: ``epoch-offset``. Offsets grow over all topics of a hub, and a hub that starts anew has another epoch.
    :ivar time: when the hub had it, in seconds since 1970.
    :ivar payload_text: its payload as JSON.
    :ivar policy: what becomes of it where its subscriber is too slow, see `rules`.
    :ivar key: of idempotency, for a message of a queue that is delivered at least once.
    :ivar attempt: how often it has been delivered, with this time.
    :ivar frames: for connections, to keep what they made of it under a key of their own, so that each form of it is made once.
    """

    policy = "oldest"
    key: str | None = None
    attempt = 1

    def __init__(self, topic: str, id: str, time: float, payload_text: str) -> None:
        self.topic, self.id, self.time, self.payload_text = topic, id, time, payload_text
        self.frames: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"<message {self.id} of {self.topic}: {self.payload_text:.100}>"

    @property
    def size(self) -> int:
        """Characters of its payload."""
        return len(self.payload_text)

    @cached_property
    def text(self) -> str:
        """The message as a JSON object of ``topic``, ``id``, ``time`` and ``payload``."""
        topic = json.dumps(self.topic, ensure_ascii=False)
        return f'{{"topic":{topic},"id":"{self.id}","time":{self.time:.3f},"payload":{self.payload_text}}}'

    @cached_property
    def payload(self) -> Any:
        """What was published, made of its JSON when it is first asked for."""
        return json.loads(self.payload_text)


# Why messages are lost.
SLOW = "slow"  # the subscriber did not take them, and the policy of their topic drops the oldest
LATEST = "latest"  # the policy of their topic keeps the latest, and the subscriber has not taken the ones before it
HISTORY = "history"  # the history does not go back so far
OVERLOAD = "overload"  # more was published than the hub, or the way to this process, could take
BROKER = "broker"  # the broker was away, and does not know what was published meanwhile


class Gap:
    """Messages of a topic are lost to this subscriber, from what it was given last to what it is given next.

    :ivar topic: the topic, or the pattern that was subscribed to.
    :ivar lost: how many, None if that is not known.
    :ivar reason: ``slow``, ``latest``, ``history``, ``overload`` or ``broker``.
    """

    __slots__ = ("lost", "reason", "topic")

    def __init__(self, topic: str, lost: int | None, reason: str) -> None:
        self.topic, self.lost, self.reason = topic, lost, reason

    def __repr__(self) -> str:
        return f"<gap in {self.topic}: {'some' if self.lost is None else self.lost} lost, {self.reason}>"

    @property
    def text(self) -> str:
        """The gap as a JSON object of ``gap``, which is the topic, ``lost`` and ``reason``."""
        return json.dumps({"gap": self.topic, "lost": self.lost, "reason": self.reason}, ensure_ascii=False, separators=(",", ":"))
