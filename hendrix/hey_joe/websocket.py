"""A connection that is a WebSocket (RFC 6455): frames, pings, the closing handshake."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any

from hendrix.errors import PeerError
from hendrix.hey_joe.connection import END, FOLLOWUP, GONE, HIGH_WATER, MESSAGE, Connection, Wire
from hendrix.hey_joe.hendrix5 import BROADCAST, followups
from hendrix.hey_joe.message import Gap, Message
from hendrix.hey_joe.requests import RESERVED, UNSUBSCRIBE, Asked, answer, asks, old
from hendrix.hey_joe.topics import BadTopic, check_pattern, is_exact, matches
from hendrix.wire.response import Fields, Stamp
from hendrix.wire.websocket import BINARY, CLOSE, FAILED, PING, Decoder, Handshake, closing_code, refused, switching

# Seconds that a client has to answer a close frame.
CLOSING = 5.0

# Topics to which a client may subscribe by itself.
MOST_TOPICS = 1000


class WebSocket(Connection):
    """One of them."""

    kind = "WebSocket"
    __slots__ = ("_asked", "_bits", "_closing", "_deaf", "_decoder", "_old", "_pinged", "_said", "_spoke", "subprotocol")

    def __init__(self, *common: Any, asked: Handshake | None = None, subprotocol: str = "") -> None:
        super().__init__(*common)
        self._asked = asked
        self._bits = asked.bits if asked else 0
        self.subprotocol = subprotocol
        self._decoder: Decoder | None = None
        self._closing = 0.0  # since when it is being closed by us
        self._said = 0  # the code that we close with
        self._pinged = 0.0  # when it was asked whether it is there, and has not answered yet
        self._deaf = False
        self._old = False  # it speaks as the clients of hendrix 5

    def _opening(self, fields: Fields, stamp: Stamp) -> bytes:
        asked, self._asked = self._asked, None
        assert asked is not None
        self.code = "101"
        return switching(asked, self.subprotocol, fields, stamp)

    def _refuse(self, error: PeerError, stamp: Stamp) -> bytes:
        return refused(error, stamp)

    # Out.

    def _encode(self, data: str | bytes) -> bytes:
        return self._house.encoder.message(data, self._bits)

    def _encode_item(self, item: Message | Gap) -> bytes:
        return self._house.encoder.message(old(item) if self._old else item.text, self._bits)

    def _form(self) -> Hashable:
        return self._bits, self._old

    def _checked(self, code: int) -> int:
        return closing_code(code)

    def _transmit(self, frame: bytes) -> None:
        if self._closing:
            return
        super()._transmit(frame)
        wire = self._wire
        if wire is not None and wire.pending > HIGH_WATER:
            self._stop()

    # In.

    def opened(self, wire: Wire) -> None:
        self._spoke = time.monotonic()
        super().opened(wire)

    def received(self, data: bytes) -> None:
        self._heard, self._pinged = time.monotonic(), 0.0
        if self._deaf:
            return
        decoder = self._decoder
        if decoder is None:
            decoder = self._decoder = self._house.decoder(self._bits > 0, self.terms.max_message)
        decoder.receive(data)
        self._decode()

    def _decode(self) -> None:
        """Take what has come, as far as there is room for it."""
        decoder = self._decoder
        while decoder is not None and not self._stopped:
            event = decoder.next()
            if event is None:
                if decoder.clean:
                    self._house.take_back(decoder)
                    self._decoder = None
                return
            self._take(*event)
            decoder = self._decoder

    def _take(self, kind: int, value: Any) -> None:
        if kind <= BINARY and kind != FAILED:
            if not self._closing:
                self._message(value)
        elif kind == PING:
            self._transmit(self._house.encoder.pong(value))
        elif kind == CLOSE:
            self._hear_no_more(value[0])
        elif kind == FAILED:
            self._hear_no_more(*value)

    def _hear_no_more(self, code: int, reason: str = "") -> None:
        """The client has closed, or broken the protocol. What it sent before is handled first."""
        self._deaf, self._decoder = True, None
        answer = b"" if self._closing else self._house.encoder.close(code, reason)
        if self.in_line and not self._closing:
            self._happened(END, (code, answer))
        else:
            self._finish(self._said or code, answer)

    def _message(self, value: str | bytes) -> None:
        self._spoke = self._heard
        if isinstance(value, str) and (asked := asks(value)) is not None:
            self._asked_for(asked)
        elif self.terms.on_message is not None:
            self._happened(MESSAGE, value)
            if self.full():
                self._stop()
                if not self.full():  # raise the flag first, look second: the worker looks for it when it has done a message
                    self._house.post(self.go_on)

    def _asked_for(self, asked: Asked) -> None:
        """The client wants a topic, or no longer."""
        if asked.old and not self._old:
            self._old = True
            self._subscribe({BROADCAST: None})
        if asked.verb == UNSUBSCRIBE:
            self._unsubscribe(asked.topic)
            self._say(answer("unsubscribed", asked.topic))
        elif asked.old and asked.topic in RESERVED:
            pass
        elif not asked.verb:
            self._say(answer("refused", asked.topic, reason="that is not understood"))
        elif self._member is not None and len(self._member.patterns) >= MOST_TOPICS:
            self._say(answer("refused", asked.topic, reason="there are too many topics already"))
        elif not self._may(asked.topic):
            self._say(answer("refused", asked.topic, reason="that topic is not for this connection"))
        else:
            self._subscribe({asked.topic: asked.since})

    def _may(self, topic: str) -> bool:
        """Whether the view has allowed it."""
        try:
            check_pattern(topic)
        except BadTopic:
            return False
        return any(allowed == topic or (is_exact(topic) and matches(allowed, topic)) for allowed in self.terms.allow + self.terms.topics)

    def _stands_at(self, id: str, patterns: tuple[str, ...]) -> None:
        stands = {} if self._member else {"id": id}  # what it has still to take must not be left out when it comes back
        for pattern in patterns:
            if not self._old:
                self._say(answer("subscribed", pattern, **stands))
            elif pattern in followups:
                self._happened(FOLLOWUP, pattern)
            elif pattern != BROADCAST:
                self._say(f"Subscribed to {pattern}")

    def _say(self, text: str) -> None:
        self._transmit(self._encode(text))

    def _stop(self) -> None:
        """Read no more, for there is no room for what may come of it."""
        if not self._stopped and self._wire is not None and not self._closing:
            self._stopped = True
            self._wire.pause()

    def go_on(self) -> None:
        """There is room again, for all one knows."""
        wire = self._wire
        if not self._stopped or wire is None or self.full() or wire.pending > HIGH_WATER:
            return
        self._stopped = False
        self._decode()
        if not self._stopped:
            wire.resume()

    def room(self) -> None:
        super().room()
        self.go_on()

    # The end.

    def shut(self, code: int, reason: str = "") -> None:
        if self.closed is not None or self._closing:
            return
        self._flush()  # what was sent before goes out before
        self._transmit(self._house.encoder.close(code, reason))
        self._said, self._closing = code, time.monotonic()
        if self._wire is None:
            self._ended(code)
        elif self._stopped:  # to hear the client's answer
            self._stopped = False
            self._wire.resume()
            self._decode()

    def leave(self) -> None:
        """When what has come is handled, for a handler may still have something to say."""
        if self.in_line and not self._closing:
            self._happened(END, None)
        else:
            super().leave()

    def end(self, said: tuple[int, bytes] | None) -> None:
        if said is None:
            super().leave()
        elif self.closed is None:
            self._finish(*said)

    def _finish(self, code: int, answer: bytes) -> None:
        """Both sides have said what they had to."""
        self._flush()
        wire = self._wire
        if wire is not None and answer and not self._closing:
            wire.write(answer)
        self._ended(code)
        if wire is not None:
            wire.lose()

    def lost(self) -> None:
        self._decoder = None
        self._ended(self._said or GONE)

    def look(self, now: float) -> None:
        wire, terms = self._wire, self.terms
        if wire is None:
            return
        if self._closing:
            if now - self._closing > CLOSING:
                self._abort(self._said)
            return
        if terms.heartbeat and not self._stopped:
            if self._pinged and now - self._pinged > terms.heartbeat:
                self._abort(GONE)
                return
            if not self._pinged and now - self._heard > terms.heartbeat:
                self._pinged = now
                wire.write(self._house.encoder.ping())
        if terms.idle_timeout and now - self._spoke > terms.idle_timeout:
            self.shut(1000, "idle")
        super().look(now)
