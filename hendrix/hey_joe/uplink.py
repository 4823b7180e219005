"""The way between the hub and a process: an uplink at each end, and entries over it, many to a message.

An entry is a list whose first element says what it is; `hub` lists them all. Entries arrive in the order in which they were added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

Entry = list[Any]

# Characters of payloads in one message over an uplink, more or less.
CHUNK = 256 << 10


class Uplink(Protocol):
    """One end of the way. Reactor thread.

    :ivar received: called with each message, in order.
    :ivar lost: called once when the other end has gone.
    :ivar room: called when the other end takes messages again after `congested` was true.
    """

    received: Callable[[dict[str, Any]], object]
    lost: Callable[[], object]
    room: Callable[[], object]

    def send(self, message: Mapping[str, Any]) -> None:
        """Send what JSON can say. Never waits."""

    @property
    def congested(self) -> bool:
        """Whether the other end is behind with taking messages: what can wait should."""


class Outbox:
    """Entries for an uplink, until they are flushed."""

    def __init__(self, uplink: Uplink) -> None:
        self.uplink = uplink
        self.size = 0
        self._entries: list[tuple[Entry, int]] = []
        self._flushing = False

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, entry: Entry, size: int = 0) -> None:
        """:param size: characters of its payload."""
        self._entries.append((entry, size))
        self.size += size

    def flush(self) -> None:
        """Send all that is there. What is added and flushed meanwhile is sent behind it."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while self._entries:
                self._send()
        finally:
            self._flushing = False

    def _send(self) -> None:
        waiting, self._entries, self.size = self._entries, [], 0
        entries: list[Entry] = []
        size = 0
        for entry, more in waiting:
            entries.append(entry)
            size += more
            if size > CHUNK:
                self.uplink.send({"entries": entries})
                entries, size = [], 0
        if entries:
            self.uplink.send({"entries": entries})


class Direct:
    """One end of a way inside a process: what is sent here is received at the other end before `send` returns."""

    congested = False

    def __init__(self) -> None:
        self.received: Callable[[dict[str, Any]], object] = lambda message: None
        self.lost: Callable[[], object] = lambda: None
        self.room: Callable[[], object] = lambda: None
        self.other: Direct | None = None

    def send(self, message: Mapping[str, Any]) -> None:
        if self.other is not None:
            self.other.received(dict(message))

    def close(self) -> None:
        """Both ends are lost."""
        if self.other is not None:
            other, self.other = self.other, None
            other.other = None
            self.lost()
            other.lost()


def direct() -> tuple[Direct, Direct]:
    """Two ends, of the hub and of a branch in the same process."""
    one, other = Direct(), Direct()
    one.other, other.other = other, one
    return one, other
