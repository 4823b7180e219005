"""The functions of hey_joe in hendrix 5, by those of today. Any thread.

Clients that speak as they did then get arrays: ``[topic, payload]``, ``["BROADCAST", payload]`` for all, ``["YOU", payload]`` for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hendrix.hey_joe.facade import publish
from hendrix.hey_joe.message import encoded
from hendrix.hey_joe.topics import check_topic

# The topic that all those clients hear of.
BROADCAST = "BROADCAST"


class Sends(Protocol):
    """A connection of today: what a view gets as ``ws``."""

    def send(self, data: Any, /) -> object: ...


class Participant:
    """A connection as follow-ups know it."""

    def __init__(self, connection: Sends) -> None:
        self.connection = connection

    def sendMessage(self, payload: bytes, isBinary: bool = False) -> None:
        """Send bytes, as text unless they are to be binary."""
        self.connection.send(payload if isBinary else payload.decode())


Followup = Callable[[Participant], object]

#: What is called, in place of an answer, with a client that has subscribed to a topic.
followups: dict[str, Followup] = {}


def send(payload: Any, topic: str | None = None, transport: Participant | Sends | None = None) -> None:
    """Send a payload to a topic, or to one client.

    :raises ValueError: to both, or to none.
    :raises BadTopic, BadPayload, NoHub: nothing is sent.
    """
    if (topic is None) == (transport is None):
        raise ValueError("send() goes to a topic or to a transport: give one of the two")
    if topic is not None:
        publish(topic, payload)
    elif transport is not None:
        connection = transport.connection if isinstance(transport, Participant) else transport
        connection.send(f'["YOU",{encoded("YOU", payload)}]')


def broadcast(payload: Any) -> None:
    """Send a payload to all clients that speak as in hendrix 5, and to whoever subscribes to the topic ``BROADCAST``."""
    publish(BROADCAST, payload)


def register_followup(topic: str, followup: Followup) -> None:
    """Have a function called with each client of that kind that has subscribed to a topic.

    :param followup: called with a `Participant`.
    """
    followups[check_topic(topic)] = followup
