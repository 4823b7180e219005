"""An outlet that records, and what a client reads out of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.logger import LogEvent, formatEvent

from hendrix.errors import Disconnected
from hendrix.wire.response import Stamp
from hendrix.wsgi.call import Exchange


class Recorder:
    """An `Outlet` that keeps what it is given, in order, and sees that it is let alone when it is done with.

    :ivar events: what was called, and with what; applications add words of their own.
    :ivar leaves_after: how many pieces of content the client reads before it leaves; None if it stays.
    :ivar sends_files: whether it can.
    :ivar over: what `finish` returns.
    """

    def __init__(self) -> None:
        self.stamp = Stamp("hendrix")
        self.draining = False
        self.events: list[Any] = []
        self.leaves_after: int | None = None
        self.sends_files = True
        self.over = True
        self.files: list[tuple[int, int]] = []
        self._done = False

    def note(self, event: Any) -> None:
        self.events.append(event)

    def stream(self, data: bytes) -> None:
        self._alive(data)
        self.note(("stream", data))
        if self.leaves_after is not None:
            if not self.leaves_after:
                raise Disconnected("the client has gone")
            self.leaves_after -= 1

    def finish(self, data: bytes, keep_alive: bool) -> bool:
        self._alive(data)
        self._done = True
        self.note(("finish", data, keep_alive))
        return self.over

    def send_file(self, data: bytes, file: int, offset: int, count: int) -> bool:
        self._alive(data)
        if self.sends_files:
            self.files.append((offset, count))
            self.note(("stream", data + os.pread(file, count, offset)))
        return self.sends_files

    def abort(self) -> bool:
        self._alive(b"")
        self._done = True
        self.note("abort")
        return True

    def _alive(self, data: bytes) -> None:
        assert type(data) is bytes, f"{data!r} would reach the transport"
        assert not self._done, f"the outlet is used after its end: {self.events}, {data!r}"

    # What the client sees.

    @property
    def wire(self) -> bytes:
        return b"".join(event[1] for event in self.events if type(event) is tuple)

    @property
    def aborted(self) -> bool:
        return "abort" in self.events

    @property
    def keep_alive(self) -> bool:
        [keep_alive] = [event[2] for event in self.events if event[0] == "finish"]
        return bool(keep_alive)

    @property
    def status(self) -> str:
        return self.wire.split(b"\r\n")[0].decode("latin-1")

    @property
    def fields(self) -> dict[str, str]:
        """The field lines, but for Date and Server."""
        pairs = [line.split(": ", 1) for line in self.wire.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]]
        return {name: value for name, value in pairs if name not in ("Date", "Server")}

    @property
    def content(self) -> bytes:
        """What follows the head, as it is on the wire."""
        return self.wire.partition(b"\r\n\r\n")[2]

    def body_so_far(self) -> bytes:
        """The content that has left by now, as it is on the wire."""
        return self.content

    @property
    def body(self) -> bytes:
        """The content, out of its chunks."""
        if self.fields.get("Transfer-Encoding") != "chunked":
            return self.content
        body, rest = b"", self.content
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if not length:
                assert rest == b"\r\n"
                return body
            body += rest[:length]
            assert rest[length : length + 2] == b"\r\n"
            rest = rest[length + 2 :]
        raise AssertionError("there is no last chunk")


class Call:
    """One call of an application.

    :ivar outlet: what it answered.
    :ivar over: what `Exchange.run` returned.
    """

    def __init__(self, outlet: Recorder, exchange: Exchange, over: bool) -> None:
        self.outlet, self.exchange, self.over = outlet, exchange, over
        self.events, self.code, self.sent = outlet.events, exchange.code, exchange.sent


Caller = Callable[..., Call]


class Log(list[LogEvent]):
    """Events of the log."""

    @property
    def lines(self) -> list[str]:
        return [formatEvent(event) for event in self]

    @property
    def failures(self) -> list[BaseException]:
        return [event["log_failure"].value for event in self if "log_failure" in event]
