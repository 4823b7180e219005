"""What the access log hears of: responses, refusals, and connections that were let in. Without an access log none of this is made."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from hendrix.channel.response import Response, ids
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.wire.http1 import Request
from hendrix.wire.response import Fields, Stamp
from hendrix.wsgi.call import Outlet, Successor

# Seconds after the application's end, at which a client that has not taken all is a slow one.
SLOW = 1.0

random_bits = ids.getrandbits


# Called once for each of these, on any thread.
Access = Callable[["Noted | Refused | Visit"], None]


class Noted(Response):
    """A response that is noted when two things have happened, on whatever threads and in whatever order: the application is done with it
    (the serving thread says `done`), and the last byte is out. Each is written down first, and the other's looked for second.

    :ivar event: "request", or "open" when its client has been let in.
    :ivar remote_addr: who asked.
    :ivar began: when a thread took it, as `time.monotonic` says it.
    :ivar first: when the first byte of a response in pieces left; 0 for the time of the last one.
    :ivar finished: when the application was done.
    :ivar left: when the last byte left for the kernel.
    """

    event = "request"
    remote_addr: Any = ""
    first = finished = left = 0.0
    close_code = 0

    def __init__(self, request: Request, outlet: Outlet, dispatcher: Dispatcher, access: Access) -> None:
        self.request = self._request = request
        self._outlet, self._dispatcher, self._access = outlet, dispatcher, [access]
        self.after: list[Any] = []
        if "HTTP_X_REQUEST_ID" not in request.fields:
            self._id = f"{random_bits(64):016x}"  # as `request_id` would make it, but that nobody else can be at it
        self.began = monotonic()

    @property
    def out(self) -> bool:
        return self.left > 0.0

    @out.setter
    def out(self, out: bool) -> None:
        if not self.left:
            self.left = monotonic()
            if self.finished:
                self._note()

    def done(self, remote_addr: Any) -> None:
        """The application is done with it (the serving thread)."""
        self.remote_addr = remote_addr
        self.finished = monotonic()
        if self.left:
            self._note()

    def _note(self) -> None:
        try:
            access = self._access.pop()  # both may see both: one of them gets it
        except IndexError:
            return
        if self.heard:
            self.code = self.heard
        access(self)

    @property
    def headers(self) -> Fields:
        return self._fields

    @property
    def client(self) -> str:
        if self.slow:
            return "slow"
        if self.gone:
            return "left"
        return "slow" if self.left - self.finished > SLOW else ""

    # What is seen of the exchange.

    def _send(self, data: bytes) -> None:
        if not self.first:
            self.first = monotonic()
        super()._send(data)

    def _hand_over(self, successor: Successor) -> None:
        super()._hand_over(Visit(self, successor, *self._access))


class Refused:
    """What was answered without the application."""

    event, client = "request", ""
    close_code = 0
    headers: Fields = ()

    def __init__(self, request: Request, remote_addr: str, code: str, sent: int) -> None:
        self.request, self.remote_addr, self.code, self.sent = request, remote_addr, code, sent
        self.began = self.first = self.finished = self.left = monotonic()
        self.request_id = ""


class Rendered(Refused):
    """What a resource has answered, or was about to when its client left."""

    def __init__(self, request: Request, remote_addr: str, code: str, sent: int, began: float, left: bool) -> None:
        super().__init__(request, remote_addr, code, sent)
        self.began, self.client = began, "left" if left else ""


class Visit:
    """A connection that was let in, between its wire and its successor: counts the bytes, and is noted at its end.

    A `Successor` to the wire, and the wire to the successor.
    """

    event = "close"
    first = finished = 0.0
    headers: Fields = ()

    def __init__(self, response: Noted, successor: Successor, access: Access) -> None:
        self._response: Noted | None = response
        self._successor, self._access = successor, access
        self._wire: Any = None
        self.request, self.sent = Request(), 0
        self.began, self.left = monotonic(), 0.0
        self.code = self.remote_addr = self.request_id = ""

    # What the response calls.

    def opening(self, fields: Fields, stamp: Stamp) -> tuple[bytes, bool]:
        response = self._response
        assert response is not None
        data, let_in = self._successor.opening(fields, stamp)
        self.code = self._successor.code
        if let_in:
            # Of the request no more than the log may ask for: it stays for as long as the connection does.
            request, theirs = self.request, response.request
            request.method, request.target, request.http10, request.tls = theirs.method, theirs.target, theirs.http10, theirs.tls
            request.fields = {key: value for key, value in theirs.fields.items() if type(value) is str}
            self.remote_addr, self.request_id = request.fields.get("REMOTE_ADDR", ""), response.request_id
            response.event = "open"
        self._response = None
        return data, let_in

    # What the wire calls.

    def opened(self, wire: Any) -> None:
        self._wire = wire
        self._successor.opened(self)

    def received(self, data: bytes) -> None:
        self.request.received += len(data)
        self._successor.received(data)

    def room(self) -> None:
        self._successor.room()

    def lost(self) -> None:
        self._successor.lost()
        self._note()

    def _note(self) -> None:
        if not self.left:
            self.left = self.finished = monotonic()
            self._access(self)

    # What the successor calls.

    def write(self, data: bytes) -> None:
        self.sent += len(data)
        self._wire.write(data)

    def pause(self) -> None:
        self._wire.pause()

    def resume(self) -> None:
        self._wire.resume()

    def lose(self) -> None:
        self._wire.lose()
        self._note()  # that its client takes its time to leave is no matter of the log's

    def abort(self) -> None:
        self._wire.abort()

    @property
    def pending(self) -> int:
        return int(self._wire.pending)

    @property
    def since(self) -> float:
        return float(self._wire.since)

    # What the log asks.

    @property
    def close_code(self) -> int:
        return int(getattr(self._successor, "closed", 0) or 0)

    @property
    def client(self) -> str:
        return {LEFT: "left", TOO_SLOW: "slow"}.get(self.close_code, "")


# Codes of RFC 6455 section 7.4.1, and of ours.
LEFT, TOO_SLOW = 1006, 4008
