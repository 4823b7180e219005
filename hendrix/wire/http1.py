"""HTTP/1.x requests out of bytes (RFC 9112). Bytes in, `Request` objects out; no sockets, no threads, no Twisted.

llhttp, through httptools, reads the heads, and refuses all that is not HTTP to the letter: bare CR or LF, folded lines, control
characters, whitespace before the colon, every game with Content-Length and Transfer-Encoding. It never sees content, and each of its
bytes is known to belong to one head; so what is accepted does not depend on how the bytes were cut into reads or piled into one, and
an Upgrade cannot end the conversation. This file adds the rules that need more than one field to judge, and the limits:

- Rule 1: a request that is refused is the last one of its connection. What came before it is still answered, in order.
- Rule 2: what is ambiguous is refused, never repaired.
- Rule 3: no input makes the parser hold more than ``max_head`` bytes and one read; content goes straight to its `Sink`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import httptools

from hendrix.errors import PeerError
from hendrix.wire.chunked import ChunkedContent
from hendrix.wire.fields import FORWARDED, LONGEST_NAME, MAX_FIELDS, TABLE_SIZE, cgi_name, is_host, known_hosts
from hendrix.wire.known import KnownHeads

# What a parser is in the middle of.
IDLE, HEAD, CONTENT = range(3)

# RFC 9112 section 3 asks for at least 8000 bytes of request line.
MAX_TARGET = 16384

END = b"\r\n\r\n"
ABSOLUTE = re.compile(r"https?://([^/?]*)([^?]*)(\?.*)?", re.IGNORECASE)
METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Z-]+(?: |\Z)")
VERSION = re.compile(rb"HTTP/([0-9]\.[0-9])\r\n")
BARE_LF = re.compile(rb"(?<!\r)\n")
UNSUPPORTED = frozenset(("CONNECT", "SOURCE"))

# Names with a rule of their own; all others are only renamed.
RULES = frozenset(("", "CONTENT_LENGTH", "HTTP_EXPECT", "HTTP_PROXY_CONNECTION", "HTTP_TRANSFER_ENCODING")) | FORWARDED

# What the client hears; whoever made the sink knows more.
NO_ROOM = "there is no room for the content"


class Sink(Protocol):
    """Where the content of a request goes; a binary file will do. It may raise OSError, but not when it is closed."""

    def write(self, data: bytes, /) -> object: ...
    def seek(self, offset: int, /) -> object: ...
    def close(self) -> object: ...


class Request:
    """One request, complete.

    :ivar method: as sent, upper case.
    :ivar target: origin-form (``/path?query``) or ``*``; an absolute-form target has been split into this and the Host field.
    :ivar fields: CGI names to values, decoded as ISO 8859-1 as PEP 3333 asks; repeated fields are joined (RFC 9110 section 5.3).
        They stand among what the parser's ``base`` has.
    :ivar http10: whether the client speaks HTTP/1.0.
    :ivar keep_alive: whether the client wants the connection to persist (RFC 9112 section 9.3).
    :ivar content: the content, rewound, or None if there is none.
    :ivar forwarded: the fields that only a trusted proxy may set, kept apart.
    :ivar arrived: when its last byte came, as `time.monotonic` says it; with the bytes that it took and the version of TLS it is
        noted by a `MeasuredParser` only.
    """

    method = ""
    target: str
    fields: dict[str, Any]
    http10 = False
    keep_alive = True
    content: Sink | None = None
    forwarded: dict[str, str] | None = None
    arrived = 0.0
    received = 0
    tls = ""


NO_REQUEST = Request()


class RequestParser:
    """Feed it what was read; take finished requests from ``requests``. Owned by one thread at a time.

    :param max_head: bytes of request line and fields, above which the answer is 414 or 431.
    :param max_body: bytes of content, above which the answer is 413.
    :param open_sink: makes the place for a content of so many bytes, or of an unknown length (None).
    :param base: what the fields of each request start from: values of the server's that the fields join. No key is that of a field.
    :param persistent: whether a connection may live on after a request.
    :param known: heads that it need not read again, shared by the parsers that start from the same ``base``.
    """

    _names: dict[bytes, str] = {}  # shared by all: the names seen so far that have no rule of their own

    def __init__(
        self,
        max_head: int,
        max_body: int,
        open_sink: Callable[[int | None], Sink],
        base: dict[str, Any] | None = None,
        *,
        persistent: bool = True,
        known: KnownHeads | None = None,
    ) -> None:
        self._known, self._repeats = known or KnownHeads(), False
        self.requests: deque[Request] = deque()
        self._base, self._persistent = base or {}, persistent
        self._max_head, self._max_body, self._open_sink = max_head, max_body, open_sink
        self.stage = IDLE
        self.wants_continue = False
        self.finished = False
        self._url = self._begun = b""
        self._half_line = self._special = False
        self._repeated_fields = self._size = self._left = 0
        self._sink: Sink | None = None
        self._chunks: ChunkedContent | None = None
        self._request, self._fields = NO_REQUEST, self._base
        self._error: PeerError | None = None
        self._llhttp = httptools.HttpRequestParser(self)

    # What the owner calls.

    def feed(self, data: bytes) -> None:
        """Take what was read. Raises `PeerError` for what must be refused; the requests before it stand in ``requests``."""
        at, end = 0, len(data)
        while at < end and not self.finished:
            at = self._read_content(data, at) if self.stage == CONTENT else self._read_head(data, at)

    @property
    def method(self) -> str:
        """The method of the request that is being read, "" if it is not known yet."""
        if self._request.method or not self._url or self.stage == IDLE:
            return self._request.method
        return self._llhttp.get_method().decode("ascii")

    @property
    def unfinished(self) -> Request | None:
        """The request that is being read, if its head has been."""
        return self._request if self._request.method else None

    def close(self) -> None:
        """Let go of a request that will never be complete."""
        self.finished = True
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    # A head.

    def _read_head(self, data: bytes, at: int) -> int:
        """As far as it goes. Returns where it ends in ``data``."""
        if self.stage == IDLE:
            stop = data.find(END, at) + 4
            if 3 < stop <= at + self._max_head and not self._half_line and self._knows(data, at, stop):
                return stop
            if data[at] <= 32 or self._half_line:
                at = self._skip_empty_lines(data, at)
                if at == len(data):
                    return at
            self.stage, self._url, self._begun = HEAD, b"", b""
            self._request = Request()
            self._fields = self._base.copy()
        begun = self._begun
        if begun:
            tail = begun[-3:]  # the end may lie across two reads
            stop = (tail + data).find(END) + 4 - len(tail)
            complete = stop > 3 - len(tail)
        else:
            stop = data.find(END, at) + 4
            complete = stop > 3
        piece = data[at:stop] if complete else data[at:]
        head = begun + piece
        if len(head) > self._max_head:
            raise self._head_too_large(head)
        try:
            self._llhttp.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # RFC 9110 section 7.8: a server may ignore Upgrade
        except httptools.HttpParserError as error:
            raise self._refusal(error, head) from None
        if not complete:
            if BARE_LF.search(begun[-1:] + piece, len(begun[-1:])):  # llhttp takes it for the end of an HTTP/0.9 request
                raise self._refuse(400, "there is a bare LF in the request")
            self._begun = head
            return len(data)
        self._end_head(head)
        return stop

    def _knows(self, data: bytes, at: int, stop: int) -> bool:
        """Take a head that was read before, byte for byte."""
        middle = data.find(b"\r\n", at)
        line = self._known.lines.get(data[at:middle])
        if line is None:
            return False
        section = self._known.sections.get(data[middle:stop])
        if section is None:
            return False
        request = Request()
        request.method, request.target = line
        fields, request.forwarded = section
        request.fields = fields.copy()
        request.keep_alive = self._persistent
        self.finished = not self._persistent
        self.requests.append(request)
        return True

    def on_url(self, url: bytes) -> None:
        """Called by llhttp."""
        self._url += url
        if len(self._url) > MAX_TARGET:
            raise self._refuse(414, f"the request target is longer than {MAX_TARGET} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by llhttp."""
        key = self._names.get(name)
        if key is None:
            self._unusual_field(name, value)
        elif key in self._fields:
            self._repeat(key, value)
        else:
            self._fields[key] = value.rstrip(b" \t").decode("latin-1")

    def _end_head(self, head: bytes) -> None:
        request, fields = self._request, self._fields
        if len(fields) > MAX_FIELDS or self._repeated_fields:
            self._check_number()
        request.fields = fields
        request.method = method = self._llhttp.get_method().decode("ascii")
        request.target = target = self._url.decode("ascii")
        at = len(method) + len(target) + 2
        if head[at : at + 10] != b"HTTP/1.1\r\n":
            self._check_version(head, at)
        if target[0] != "/" or "#" in target or method in UNSUPPORTED:
            self._check_target(target)
        host = fields.get("HTTP_HOST")
        if host not in known_hosts:
            self._check_host(host)
        if request.http10 or fields.get("HTTP_CONNECTION", "keep-alive") != "keep-alive":
            self._check_connection()
        if not self._special:
            if self._repeats and target[0] == "/":
                self._known.learn(head, (method, target), (fields.copy(), request.forwarded))
            self._repeats = True
        else:
            self._special = False
            self._llhttp = httptools.HttpRequestParser(self)  # whatever this one expects now, the next that comes is a head
            self._begin_content()
        if self._sink is None:
            self._complete()

    def _complete(self) -> None:
        request = self._request
        if not (request.keep_alive and self._persistent):
            request.keep_alive = False
            self.finished = True
        self.stage = IDLE
        self.requests.append(request)
        self._request, self._fields = NO_REQUEST, self._base  # what the application keeps in its environ is not ours to keep

    # The rules of a head.

    def _skip_empty_lines(self, data: bytes, at: int) -> int:
        """RFC 9112 section 2.2: before a request, CRLF is ignored. A bare CR or LF is none."""
        rest = len(data[at:].lstrip(b"\r\n"))
        lines = (b"\r" if self._half_line else b"") + data[at : len(data) - rest]
        half = len(lines) % 2
        if lines != (b"\r\n" * (len(lines) // 2 + 1))[: len(lines)] or (half and rest):
            raise self._refuse(400, "there is a bare CR or LF before the request")
        self._half_line = bool(half)
        return len(data) - rest

    def _unusual_field(self, name: bytes, value: bytes) -> None:
        """A name not in the table: because it has a rule of its own, or because it is new."""
        key = cgi_name(name)
        if key not in RULES:
            if len(self._names) < TABLE_SIZE and len(name) <= LONGEST_NAME:
                self._names[name] = key
        elif key == "":
            self._repeated_fields += 1
            return
        elif key in FORWARDED:
            fields = self._request.forwarded = self._request.forwarded or {}
            text = value.strip(b" \t").decode("latin-1")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
            self._count_repeated()
            return
        else:
            self._special = True
        if key in self._fields:
            self._repeat(key, value)
        else:
            self._fields[key] = value.rstrip(b" \t").decode("latin-1")

    def _repeat(self, key: str, value: bytes) -> None:
        """RFC 9110 section 5.3: a repeated field is a list; RFC 6265 section 5.4 for cookies."""
        if key == "HTTP_HOST":
            raise self._refuse(400, "there is more than one Host field")
        self._count_repeated()
        self._fields[key] += ("; " if key == "HTTP_COOKIE" else ", ") + value.rstrip(b" \t").decode("latin-1")

    def _count_repeated(self) -> None:
        self._repeated_fields += 1
        if self._repeated_fields > MAX_FIELDS:
            self._check_number()

    def _check_number(self) -> None:
        if len(self._fields) - len(self._base) + self._repeated_fields > MAX_FIELDS:
            raise self._refuse(431, f"there are more than {MAX_FIELDS} fields")
        self._repeated_fields = 0

    def _head_too_large(self, head: bytes) -> PeerError:
        if b"\r\n" not in head[: self._max_head]:
            return self._refuse(414, "the request target is too long")
        return self._refuse(431, f"the request line and the fields are larger than {self._max_head} bytes")

    def _check_version(self, head: bytes, at: int) -> None:
        """RFC 9112 sections 2.3 and 3: what stands ``at`` is not HTTP/1.1; llhttp takes other protocols, and more than one space."""
        match = VERSION.match(head, at)
        if match is None:
            raise self._refuse(400, "the request line is not a method, a target and a version of HTTP, with one space between them")
        if match[1] != b"1.0":
            raise self._refuse(505, "the protocol is not HTTP/1.1 or HTTP/1.0")
        self._request.http10 = True
        if "HTTP_TRANSFER_ENCODING" in self._fields:
            raise self._refuse(400, "HTTP/1.0 has no Transfer-Encoding")  # RFC 9112 section 6.1

    def _check_connection(self) -> None:
        """RFC 9112 section 9.3."""
        request, self._special = self._request, True
        options = [option.strip(" \t") for option in self._fields.get("HTTP_CONNECTION", "").lower().split(",")]
        request.keep_alive = "close" not in options and (not request.http10 or "keep-alive" in options)

    def _check_target(self, target: str) -> None:
        """RFC 9112 section 3.2: origin-form, absolute-form, or the asterisk of OPTIONS."""
        request = self._request
        if "#" in target:
            raise self._refuse(400, "the request target has a fragment")
        if request.method in UNSUPPORTED:
            raise self._refuse(501, f"{request.method} is not supported")
        if target == "*":
            if request.method != "OPTIONS":
                raise self._refuse(400, "the target * is for OPTIONS")
        elif target[0] != "/":
            match = ABSOLUTE.fullmatch(target)
            if match is None or not match[1]:
                raise self._refuse(400, "the request target is neither a path nor an http URL")
            # Section 3.2.2: the authority of the target replaces the Host field, whatever that says.
            self._check_host(self._fields.get("HTTP_HOST"))
            self._fields["HTTP_HOST"] = match[1]
            request.target = (match[2] or "/") + (match[3] or "")
            if request.method == "OPTIONS" and request.target == "/" and not match[2]:
                request.target = "*"

    def _check_host(self, host: str | None) -> None:
        if host is None:
            if not self._request.http10:
                raise self._refuse(400, "the Host field is missing")
        elif not is_host(host):
            raise self._refuse(400, "the Host field is not a host with an optional port")

    # Content.

    def _begin_content(self) -> None:
        """If any is to come (RFC 9112 section 6.3)."""
        fields = self._fields
        if fields.get("HTTP_EXPECT", "100-continue").lower() != "100-continue":
            raise self._refuse(417, "the only expectation known is 100-continue")
        coding = fields.pop("HTTP_TRANSFER_ENCODING", None)
        size: int | None = None
        if coding is None:
            size = int(fields.get("CONTENT_LENGTH", 0))
            if size > self._max_body:
                raise self._too_large()
            if not size:
                return
        elif coding.lower() != "chunked":
            raise self._unknown_coding(coding)
        self.stage = CONTENT
        self.wants_continue = "HTTP_EXPECT" in fields and not self._request.http10
        self._size, self._left = 0, size or 0
        self._chunks = ChunkedContent(self._store) if size is None else None
        self._sink = self._open_sink(size)

    def _unknown_coding(self, coding: str) -> PeerError:
        """RFC 9112 section 6.3: without a final ``chunked`` there is no telling where the content ends; section 6.1 for the others."""
        if coding.lower().rpartition(",")[2].strip(" \t") == "chunked":
            return self._refuse(501, "the only transfer coding known is chunked")
        return self._refuse(400, "the last transfer coding is not chunked")

    def _read_content(self, data: bytes, at: int) -> int:
        """As far as it goes. Returns where it ends in ``data``."""
        self.wants_continue = False
        chunks = self._chunks
        if chunks is None:
            piece = data[at : at + self._left]
            self._store(piece)
            self._left -= len(piece)
            if not self._left:
                self._end_content()
            return at + len(piece)
        try:
            at = chunks.feed(data, at)
        except PeerError:
            self.finished = True
            raise
        if chunks.ended:
            self._chunks = None
            self._request.fields["CONTENT_LENGTH"] = str(self._size)
            self._end_content()
        return at

    def _store(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._max_body:
            raise self._too_large()
        assert self._sink is not None
        try:
            self._sink.write(data)
        except OSError:
            raise self._refuse(503, NO_ROOM) from None

    def _end_content(self) -> None:
        sink, self._sink = self._sink, None
        assert sink is not None
        try:
            sink.seek(0)
        except OSError:
            sink.close()
            raise self._refuse(503, NO_ROOM) from None
        self._request.content = sink
        self._complete()

    # Refusals.

    def _too_large(self) -> PeerError:
        return self._refuse(413, f"the content is larger than {self._max_body} bytes")

    def _refuse(self, status: int, reason: str) -> PeerError:
        """What a rule does not accept. Kept, because what a callback raises does not come through llhttp as it was."""
        self.finished = True
        self._error = PeerError(status, reason)
        return self._error

    def _refusal(self, error: Exception, head: bytes) -> PeerError:
        """What to answer to what llhttp, or a rule that it called, does not accept."""
        if self._error is not None:
            return self._error
        if isinstance(error, httptools.HttpParserCallbackError):
            raise error
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            if METHOD.match(head):
                return self._refuse(501, "the method is not known")
            return self._refuse(400, "the request line does not start with a method")
        if isinstance(error, httptools.HttpParserInvalidURLError) and self._llhttp.get_method() == b"CONNECT":
            return self._refuse(501, "CONNECT is not supported")
        reason = str(error)
        if reason in ("Invalid HTTP version", "Pause on PRI/Upgrade"):
            return self._refuse(505, "the protocol is not HTTP/1.1 or HTTP/1.0")
        return self._refuse(400, reason[:1].lower() + reason[1:])
