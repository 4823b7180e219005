"""How a message travels between nodes: a line of JSON, then its payload as it was published. An engine puts its id and a space in front.

    4f1d2c93ab-117 [1,"message","node",7,1700000000.123,"chat.lobby",null]
    {"text":"hello"}

Nobody between two nodes reads the payload.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

# Nodes of another version are not understood, and say so.
VERSION = 1

# What it is: a message of a topic; word of messages that are lost, their number as its payload; a message of a queue.
MESSAGE, GAP, WORK = "message", "gap", "work"


class OtherVersion(ValueError):
    """It comes from a node of another version of hendrix; or from no node at all."""


class Envelope(NamedTuple):
    """
    :ivar origin: the node that has published it.
    :ivar number: grows from one to the next of that node.
    :ivar time: when it had it, in seconds since 1970.
    :ivar more: of a message of a queue, `work.Terms` as a list.
    """

    epoch: str
    offset: int
    kind: str
    origin: str
    number: int
    time: float
    topic: str
    more: Any
    payload_text: str

    @property
    def id(self) -> str:
        return f"{self.epoch}-{self.offset}"


def sealed(kind: str, origin: str, number: int, time: float, topic: str, more: Any, payload_text: str) -> str:
    """What is given to an engine."""
    head = json.dumps([VERSION, kind, origin, number, round(time, 3), topic, more], ensure_ascii=False, separators=(",", ":"))
    return f"{head}\n{payload_text}"


def opened(text: str) -> Envelope:
    """What an engine gives.

    :raises OtherVersion: with a line that says which.
    """
    id, _, rest = text.partition(" ")
    epoch, _, offset = id.rpartition("-")
    head, _, payload_text = rest.partition("\n")
    try:
        version, *fields = json.loads(head)
        if version == VERSION:
            kind, origin, number, time, topic, more = fields
            return Envelope(epoch, int(offset), kind, origin, number, time, topic, more, payload_text)
    except (ValueError, TypeError):
        raise OtherVersion("what is no message of hendrix") from None
    raise OtherVersion(f"messages of version {version!r:.20}, and speaks version {VERSION}")
