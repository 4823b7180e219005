"""What a `RequestParser` makes of bytes, however they are cut into reads and whatever stands before and after them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from hendrix.errors import PeerError
from hendrix.wire.http1 import RequestParser

MAX_HEAD = 32768
MAX_BODY = 1 << 20
BASE = {"SERVER_NAME": "base", "wsgi.version": (1, 0)}
"""What each request starts from."""

BEFORE = b"GET /before HTTP/1.1\r\nHost: before\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: after\r\n\r\n"


class Seen(NamedTuple):
    """One request, to be compared with others."""

    method: str
    target: str
    fields: dict[str, Any]
    body: bytes | None
    keep_alive: bool
    http10: bool
    forwarded: dict[str, str] | None


class Outcome(NamedTuple):
    """What came of it.

    :ivar status: of the refusal, None if there is none.
    :ivar reason: what the client hears.
    """

    requests: list[Seen]
    status: int | None
    reason: str
    parser: RequestParser

    @property
    def result(self) -> tuple[list[Seen], int | None]:
        return self.requests, self.status

    @property
    def one(self) -> Seen:
        assert self.status is None, (self.status, self.reason)
        [request] = self.requests
        return request


def new_parser(**changes: Any) -> RequestParser:
    """A parser whose contents stay in memory; `changes` are arguments that are different."""
    arguments: dict[str, Any] = {"max_head": MAX_HEAD, "max_body": MAX_BODY, "open_sink": lambda size: io.BytesIO(), "base": BASE} | changes
    return RequestParser(**arguments)


def read(pieces: Iterable[bytes], **changes: Any) -> Outcome:
    """Feed these reads, one after another, until one is refused. Whatever else is raised is the test's to see."""
    parser = new_parser(**changes)
    status, reason = None, ""
    try:
        for piece in pieces:
            if piece:
                parser.feed(piece)
    except PeerError as error:
        status, reason = error.status, str(error)
    seen = []
    for request in parser.requests:
        body = None if request.content is None else request.content.read()  # type: ignore[attr-defined]
        fields = {name: value for name, value in request.fields.items() if name not in BASE}
        assert request.fields is not parser._base
        seen.append(Seen(request.method, request.target, fields, body, request.keep_alive, request.http10, request.forwarded))
    return Outcome(seen, status, reason, parser)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    places = sorted(places)
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)])]


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Ways to cut it: not at all, into two at each place, and into single bytes."""
    yield [data]
    if len(data) <= 400:
        for place in range(1, len(data)):
            yield [data[:place], data[place:]]
    if len(data) <= 5000:
        yield [bytes([byte]) for byte in data]
    else:
        yield cut(data, range(1000, len(data), 1000))


def accepts(data: bytes, **changes: Any) -> Seen:
    """It is one request, the same in all ways to cut it, and between two others; the parser is ready for the next."""
    expected = read([data], **changes).one
    for pieces in cuts(data):
        outcome = read(pieces, **changes)
        assert outcome.result == ([expected], None), pieces
        assert outcome.parser.stage == 0
        assert outcome.parser.finished is not expected.keep_alive
        assert not outcome.parser.wants_continue
    after = read([BEFORE + data + AFTER], **changes)
    targets = ["/before", expected.target] + ["/after"] * expected.keep_alive
    assert ([seen.target for seen in after.requests], after.status) == (targets, None)
    assert after.requests[1] == expected
    return expected


def refuses(data: bytes, *statuses: int, **changes: Any) -> str:
    """It is refused in all ways to cut it, as the first request and after another, and nothing that follows is served. Gives the reason.

    Where the bytes come one by one, and one of the first shows that they are wrong, the status may be another.
    """
    for pieces in cuts(data + AFTER):
        outcome = read(pieces, **changes)
        assert not outcome.requests, (pieces, outcome)
        assert outcome.status in statuses if len(pieces) == 1 else outcome.status, (pieces, outcome.status, outcome.reason)
        again = outcome.parser
        again.feed(AFTER)
        assert not again.requests, "served after a refusal"
        again.close()
    second = read([BEFORE + data + AFTER], **changes)
    assert [seen.target for seen in second.requests] == ["/before"]
    assert second.status in statuses, (second.status, second.reason)
    assert second.reason.isprintable()
    return second.reason


def head(*lines: str, method: str = "GET", target: str = "/", version: str = "HTTP/1.1", host: str | None = "a") -> bytes:
    """A head with these field lines."""
    hosts = [] if host is None else [f"Host: {host}"]
    return "".join(f"{line}\r\n" for line in (f"{method} {target} {version}", *hosts, *lines, "")).encode("latin-1")


def post(body: bytes, *lines: str, **arguments: Any) -> bytes:
    """A request with content of known length."""
    return head(*lines, f"Content-Length: {len(body)}", method="POST", **arguments) + body


def chunked(body: bytes, *lines: str, **arguments: Any) -> bytes:
    """A request with this chunked content, as it is on the wire."""
    return head(*lines, "Transfer-Encoding: chunked", method="POST", **arguments) + body
