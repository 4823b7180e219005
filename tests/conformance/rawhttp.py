"""Bytes out, strictly parsed responses in: the client side of the conformance tests.

`Wire` is one connection. Its parser knows only what RFC 9112 allows a server to send, and fails the test on anything else.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import re
import select
import socket
import ssl
import termios
import time
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final

PATIENCE: Final = 10.0
"""Seconds without a byte after which the server counts as hanging; no test waits for it to pass."""

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) ([\t \x21-\x7e\x80-\xff]*)")
_FIELD: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*"
)
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}")
_IMF_FIXDATE: Final = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} [0-2]\d:[0-5]\d:[0-6]\d GMT"
)


class Malformed(AssertionError):
    """The server sent what no HTTP/1.1 server may send, or nothing at all."""


class Reset(Malformed):
    """The server did not end the connection in good order."""


@dataclass(frozen=True, repr=False)
class Response:
    """One response. ``chunked`` and ``until_close`` tell how its body was framed."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""
    chunked: bool = False
    until_close: bool = False

    def __repr__(self) -> str:
        return f"<{self.status} {self.reason} {dict(self.fields)} {self.body[:200]!r}>"

    def all(self, name: str) -> list[str]:
        """The values of all field lines of that name, in order."""
        return [value for each, value in self.fields if each.lower() == name.lower()]

    def field(self, name: str) -> str | None:
        """The value of a field that may be there once, or None."""
        values = self.all(name)
        if len(values) > 1:
            raise Malformed(f"{name} is repeated: {values}")
        return values[0] if values else None

    def options(self) -> set[str]:
        """The connection options (RFC 9110 section 7.6.1), in lower case."""
        return {option.strip().lower() for value in self.all("Connection") for option in value.split(",")} - {""}

    @property
    def interim(self) -> bool:
        """Is it a 1xx, after which the real answer comes?"""
        return self.status < 200

    def json(self) -> Any:
        """The body as JSON: what the echo of app.py tells."""
        assert self.status == 200, self
        return json.loads(self.body)

    @property
    def environ(self) -> dict[str, Any]:
        """What the application saw, as app.py echoes it."""
        environ: dict[str, Any] = self.json()["environ"]
        return environ

    @property
    def received(self) -> bytes:
        """The request body that the application read, as app.py echoes it."""
        body: str = self.json()["body"]
        return body.encode("latin-1")


class Wire:
    """One raw connection to the server. Use it in ``with``."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(PATIENCE)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._ended = False

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.socket.close()

    # Sending.

    def send(self, data: bytes) -> None:
        """Send it all at once."""
        self.socket.sendall(data)

    def send_pieces(self, pieces: Iterable[bytes]) -> None:
        """Send piece by piece, each when the server has read those before: it really sees them apart. Unix sockets only.

        What is left when the server closes is not sent; its answers tell whether it may.
        """
        assert self.socket.family == socket.AF_UNIX
        with contextlib.suppress(BrokenPipeError):
            for piece in pieces:
                self._wait_until_read()
                self.send(piece)

    def _wait_until_read(self) -> None:
        """Return when the kernel holds none of our bytes any more (a unix socket counts them until the peer has read them)."""
        unread = array.array("i", [1])
        deadline = time.monotonic() + PATIENCE
        while fcntl.ioctl(self.socket, termios.TIOCOUTQ, unread) or unread[0]:
            if time.monotonic() > deadline:
                raise Malformed(f"the server does not read: {unread[0]} bytes wait")
            time.sleep(0)

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    # Receiving.

    def response(self, method: str = "GET") -> Response:
        """Read one response to a request with this method, be it final or interim."""
        status, reason = self._status_line()
        fields = self._fields()
        bare = Response(status, reason, fields)
        _check_head(bare)
        if method == "HEAD" or status in (204, 304) or bare.interim:
            return bare
        if bare.field("Transfer-Encoding") is not None:
            return Response(status, reason, fields, self._chunks(), chunked=True)
        length = bare.field("Content-Length")
        if length is not None:
            return Response(status, reason, fields, self._exactly(int(length)))
        return Response(status, reason, fields, self.rest(), until_close=True)

    def final(self, method: str = "GET") -> Response:
        """Read one final response, which no interim one may precede."""
        response = self.response(method)
        assert not response.interim, f"unasked for: {response}"
        return response

    def all(self) -> list[Response]:
        """Read responses (to requests that are not HEAD) until the server ends the connection.

        A reset after an answer that says ``close`` is an end: we sent more when the server was gone.
        """
        responses: list[Response] = []
        try:
            while self._buffer or self._receive():
                responses.append(self.response())
        except Reset:
            if not responses or "close" not in responses[-1].options():
                raise
        return responses

    def rest(self) -> bytes:
        """All bytes up to the server's orderly end; a reset fails, as it may take an answer with it."""
        while self._receive():
            pass
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def ends(self) -> None:
        """The server sends nothing more and closes the connection in good order."""
        if self._buffer or self._receive():
            raise Malformed(f"more was sent before the end: {bytes(self._buffer[:200])!r}")

    def silent(self, seconds: float = 0) -> bool:
        """Does nothing arrive for so long (beyond what was parsed)? True is an observation, not a proof."""
        return not self._buffer and not select.select([self.socket], [], [], seconds)[0]

    def _receive(self) -> bool:
        """Read once; False at the end."""
        if self._ended:
            return False
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise Malformed(f"the server hangs; so far: {bytes(self._buffer[:200])!r}") from None
        except (ConnectionError, ssl.SSLError) as error:
            raise Reset(f"the server reset the connection ({error}); so far: {bytes(self._buffer[:200])!r}") from None
        self._buffer += data
        self._ended = not data
        return bool(data)

    def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            if not self._receive():
                raise Malformed(f"the connection ended after {len(self._buffer)} of {length} bytes")
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data

    def _line(self) -> bytes:
        at = 0
        while (end := self._buffer.find(b"\r\n", at)) < 0:
            at = max(0, len(self._buffer) - 1)
            if not self._receive():
                raise Malformed(f"the connection ended in the middle of a line: {bytes(self._buffer[:200])!r}")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        if b"\r" in line or b"\n" in line:
            raise Malformed(f"a bare CR or LF: {line!r}")
        return line

    def _status_line(self) -> tuple[int, str]:
        line = self._line()
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise Malformed(f"not a status line: {line!r}")
        return int(match[1]), match[2].decode("latin-1")

    def _fields(self) -> tuple[tuple[str, str], ...]:
        fields = []
        while line := self._line():
            match = _FIELD.fullmatch(line)
            if match is None:
                raise Malformed(f"not a field line: {line!r}")
            fields.append((match[1].decode("ascii"), match[2].decode("latin-1")))
        return tuple(fields)

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            line = self._line()
            if not _CHUNK_SIZE.fullmatch(line):
                raise Malformed(f"not a chunk size: {line!r}")
            size = int(line, 16)
            if size == 0:
                self._fields()
                return bytes(body)
            body += self._exactly(size)
            if self._exactly(2) != b"\r\n":
                raise Malformed("chunk data is not ended by CRLF")


def _check_head(response: Response) -> None:
    """The rules of RFC 9110 and 9112 that hold for every response."""
    length, coding, date = (response.field(name) for name in ("Content-Length", "Transfer-Encoding", "Date"))
    if length is not None and not re.fullmatch("[0-9]+", length):
        raise Malformed(f"Content-Length: {length}")
    if length is not None and coding is not None:
        raise Malformed("Content-Length and Transfer-Encoding together")
    if coding not in (None, "chunked"):
        raise Malformed(f"Transfer-Encoding: {coding}")
    if response.interim or response.status == 204:
        if length is not None or coding is not None:
            raise Malformed(f"{response.status} with {length=} {coding=}")
    elif response.status == 304 and coding is not None:
        raise Malformed("304 with Transfer-Encoding")
    if not response.interim and not _is_now(date):
        raise Malformed(f"Date: {date}")


def _is_now(date: str | None) -> bool:
    """Is it the preferred format of a date, and within some seconds of ours?"""
    return date is not None and bool(_IMF_FIXDATE.fullmatch(date)) and abs(parsedate_to_datetime(date).timestamp() - time.time()) < 5


def request(
    target: str = "/", *lines: str, method: str = "GET", version: str = "HTTP/1.1", body: bytes = b"", host: str | None = "a.example"
) -> bytes:
    """A request; the lines are field lines, and ``Content-Length`` comes by itself with a body (in latin-1)."""
    head = [f"{method} {target} {version}"]
    if host is not None:
        head.append(f"Host: {host}")
    head += lines
    if body and not any(line.lower().startswith("transfer-encoding") for line in lines):
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes, trailers: str = "") -> bytes:
    """A body in chunks, with the last one and the trailer section."""
    return (
        b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b"")).removesuffix(b"\r\n")
        + trailers.encode("latin-1")
        + b"\r\n"
    )
