"""A connection that is a stream of events, as EventSource reads it (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import random
import time

from hendrix.hey_joe.connection import GONE, TOO_SLOW, Connection
from hendrix.hey_joe.message import Gap, Message
from hendrix.wire.response import Fields, Head, Stamp

COMMENT = b":\n\n"
# Milliseconds after which a client comes back when the process has ended: each at another moment of these.
COME_BACK = (500, 5000)


class EventStream(Connection):
    """One of them. Text goes out as the data of an event, a message of the hub as its JSON, with its id."""

    kind = "event stream"
    __slots__ = ("_sent_at",)

    def _opening(self, fields: Fields, stamp: Stamp) -> bytes:
        self._sent_at = 0.0
        return stamp.finish(Head("200 OK", stream_fields(fields), None, True, False, False))

    def _encode(self, data: str | bytes) -> bytes:
        text = data.decode() if isinstance(data, bytes) else data
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return ("".join(f"data: {line}\n" for line in lines) + "\n").encode()

    def _encode_item(self, item: Message | Gap) -> bytes:
        if isinstance(item, Gap):
            return f"event: gap\ndata: {item.text}\n\n".encode()
        return f"id: {item.id}\ndata: {item.text}\n\n".encode()

    def _stands_at(self, id: str, patterns: tuple[str, ...]) -> None:
        if not self._member:  # or what it has still to take would be left out when it comes back
            self._transmit(f"event: at\nid: {id}\ndata: {id}\n\n".encode())

    def _transmit(self, frame: bytes) -> None:
        self._sent_at = time.monotonic()
        super()._transmit(frame)

    def shut(self, code: int, reason: str = "") -> None:
        if self.closed is None:
            self._flush()
            if self._wire is not None:
                self._transmit(f"event: end\ndata: {code}\n\n".encode())
            self._ended(code)
            if self._wire is not None:
                self._wire.lose()

    def cut(self, code: int, reason: str) -> None:
        if code == TOO_SLOW:
            self._abort(code)  # it takes nothing
        else:
            self.shut(code, reason)

    def leave(self) -> None:
        self._transmit(f"retry: {random.randint(*COME_BACK)}\n".encode())  # part of the last event
        super().leave()

    def look(self, now: float) -> None:
        if self.terms.heartbeat and now - self._sent_at > self.terms.heartbeat:
            self._transmit(COMMENT)  # that the client is there shows when it is written to
        super().look(now)

    def lost(self) -> None:
        self._ended(GONE)


def stream_fields(fields: Fields) -> list[tuple[str, str]]:
    """The application's fields, those of its content replaced; no cache and no proxy keeps the stream back."""
    kept = [field for field in fields if not field[0].lower().startswith("content-")]
    names = {name.lower() for name, _ in kept}
    kept.append(("Content-Type", "text/event-stream; charset=utf-8"))
    if "cache-control" not in names:
        kept.append(("Cache-Control", "no-store"))
    return [*kept, ("X-Accel-Buffering", "no")]
