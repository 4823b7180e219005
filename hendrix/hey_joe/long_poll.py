"""A connection that is one answer, sent when there is something to say: for clients that can neither WebSockets nor event streams.

The answer is ``{"messages": [...], "id": "..."}``; the client asks again with ``?since=`` that id. It has no handlers: between two answers
there is nobody to talk to.
"""

from __future__ import annotations

import json
import time
from typing import Any

from hendrix.hey_joe.connection import GONE, Connection, Wire
from hendrix.hey_joe.message import Gap, Message
from hendrix.wire.response import Fields, Head, Stamp

# Messages of one answer.
MOST = 1000
# Seconds that a client waits for one, unless the view says otherwise.
LONGEST = 25.0


class LongPoll(Connection):
    """One of them."""

    kind = "long poll"
    __slots__ = ("_fields", "_id", "_joined", "_since", "_stamp", "_texts")

    def _opening(self, fields: Fields, stamp: Stamp) -> bytes:
        Head("200 OK", fields, None, True, False, False)  # a field that is none is the view's error, and shows now
        self._fields, self._stamp = fields, stamp
        self._texts: list[str] = []
        self._id = self.terms.since
        return b""

    def opened(self, wire: Wire) -> None:
        self._since, self._joined = time.monotonic(), not self.terms.topics
        super().opened(wire)

    # What there is to say.

    def _encode(self, data: str | bytes) -> bytes:
        return json.dumps(data if isinstance(data, str) else data.decode()).encode()

    def _encode_item(self, item: Message | Gap) -> bytes:
        return item.text.encode()

    def _form(self) -> str:
        return self.kind

    def _transmit_all(self, frames: list[bytes]) -> None:
        self._texts += [frame.decode() for frame in frames[:-1]]
        self._transmit(frames[-1])

    def _transmit(self, frame: bytes) -> None:
        self._texts.append(frame.decode())
        self._answer_if_joined()

    def ready(self) -> None:
        """All that is there goes into one answer."""
        while self._member is not None and len(self._texts) < MOST:
            item: Any = self._member.take()
            if item is None:
                break
            self._texts.append(item.text)
            self._id = getattr(item, "id", self._id)
        if self._texts:
            self._answer_if_joined()

    def _stands_at(self, id: str, patterns: tuple[str, ...]) -> None:
        self._joined = True
        if not self._texts:
            begins, self._id = self._id is None, id
            if begins:
                self._answer()  # at once, so that the client has a place to go on from
        else:
            self._answer_if_joined()

    # The answer.

    def _answer_if_joined(self) -> None:
        """Not before what was missed is there: the id of the answer stands for all before it."""
        if self._joined:
            self._answer()

    def _answer(self) -> None:
        wire = self._wire
        if wire is None or self.closed is not None:
            return
        content = f'{{"messages":[{",".join(self._texts)}],"id":{json.dumps(self._id)}}}'.encode()
        fields = [field for field in self._fields if not field[0].lower().startswith("content-")]
        fields += [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        wire.write(self._stamp.finish(Head("200 OK", fields, len(content), False, False, False)) + content)
        self._ended(1000)
        wire.lose()

    def shut(self, code: int, reason: str = "") -> None:
        self._answer()

    def look(self, now: float) -> None:
        if now - self._since > (self.terms.heartbeat or LONGEST):
            self._answer()
        super().look(now)

    def lost(self) -> None:
        self._ended(GONE)
