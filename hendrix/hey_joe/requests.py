"""What clients send that is not for the application: JSON objects whose first name is ``hey_joe``, or ``hx_subscribe`` as in hendrix 5."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from hendrix.hey_joe.message import Gap, Message

MARKS = ('{"hey_joe":', '{"hx_subscribe":')
# Characters of one.
LONGEST = 1000
SUBSCRIBE, UNSUBSCRIBE = "subscribe", "unsubscribe"
# Names with a meaning of their own in hendrix 5, where nobody could subscribe to them.
RESERVED = ("YOU", "BROADCAST", "SUBSCRIBED", "UNSUBSCRIBED")


class Asked(NamedTuple):
    """What a client asks for.

    :ivar verb: `SUBSCRIBE` or `UNSUBSCRIBE`, "" for what is not understood.
    :ivar since: the id of the message after which it wants to hear.
    :ivar old: it speaks as hendrix 5 did.
    """

    verb: str
    topic: str
    since: str | None = None
    old: bool = False


def asks(text: str) -> Asked | None:
    """What a message asks of hendrix, None if it is for the application."""
    if not text.startswith(MARKS):
        return None
    try:
        said: Any = json.loads(text) if len(text) <= LONGEST else {"hey_joe": None}
    except (ValueError, RecursionError):
        return Asked("", "")
    if "hx_subscribe" in said:
        return Asked(SUBSCRIBE, said["hx_subscribe"], old=True) if isinstance(said["hx_subscribe"], str) else Asked("", "")
    verb, topic, since = said["hey_joe"], said.get("topic"), said.get("since")
    if verb not in (SUBSCRIBE, UNSUBSCRIBE) or not isinstance(topic, str) or not (since is None or isinstance(since, str)):
        return Asked("", topic if isinstance(topic, str) else "")
    return Asked(verb, topic, since)


def answer(verb: str, topic: str, **more: str) -> str:
    """What the client hears: ``{"hey_joe": "subscribed", "topic": ...}``, ``unsubscribed`` or ``refused``, this with a ``reason``."""
    return json.dumps({"hey_joe": verb, "topic": topic, **more}, ensure_ascii=False, separators=(",", ":"))


def old(item: Message | Gap) -> str:
    """A message as hendrix 5 sent it: ``[topic, payload]``. It had no word for a gap: that goes out under a topic of its own."""
    if isinstance(item, Gap):
        return f'["GAP",{item.text}]'
    return f"[{json.dumps(item.topic, ensure_ascii=False)},{item.payload_text}]"
