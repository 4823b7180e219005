"""HTTP/1.x requests out of bytes (RFC 9112). Bytes in, `Request` objects out; no sockets, no threads, no Twisted.

llhttp, through httptools, does the parsing and refuses all that is not HTTP to the letter: bare CR or LF, folded lines, control
characters, whitespace before the colon, every game with Content-Length, Transfer-Encoding and chunk sizes. This file adds the
rules that need more than one field to judge, and the limits:

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
from hendrix.wire.fields import FORBIDDEN_TRAILERS, FORWARDED, TABLE_SIZE, cgi_name, is_host, known_hosts

# What a parser is in the middle of.
IDLE, HEAD, CONTENT = range(3)

# RFC 9112 section 3 asks for at least 8000 bytes of request line.
MAX_TARGET = 16384
# As in Apache and gunicorn. Joining repeated fields would be quadratic without a limit.
MAX_FIELDS = 128
# Bytes of chunk framing with no content in between: one chunk line with its extensions (RFC 9112 section 7.1.1), or the trailers.
MAX_FRAMING = 16384
# The same for each byte of content: a chunk of one byte needs five, and may say something about it.
FRAMING_RATIO = 64

ABSOLUTE = re.compile(r"https?://([^/?]*)([^?]*)(\?.*)?", re.IGNORECASE)
METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Z-]+(?: |$)")
UNSUPPORTED = frozenset(("CONNECT", "SOURCE"))
OTHER_PROTOCOL = re.compile(rb"[^\r\n]* (?:RTSP|ICE)/1\.0\r\n")

# Names with a rule of their own; all others are only renamed.
RULES = frozenset(("", "CONTENT_LENGTH", "HTTP_EXPECT", "HTTP_PROXY_CONNECTION", "HTTP_TRANSFER_ENCODING", "HTTP_UPGRADE")) | FORWARDED


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
    """

    method: str
    target: str
    fields: dict[str, Any]
    http10 = False
    keep_alive = True
    content: Sink | None = None
    forwarded: dict[str, str] | None = None


NO_REQUEST = Request()


class RequestParser:
    """Feed it what was read; take finished requests from ``requests``. Owned by one thread at a time.

    :param max_head: bytes of request line and fields, above which the answer is 414 or 431.
    :param max_body: bytes of content, above which the answer is 413.
    :param open_sink: makes the place for a content of so many bytes, or of an unknown length (None).
    :param base: what the fields of each request start from: values of the server's that the fields join. No key is that of a field.
    :param persistent: whether a connection may live on after a request.
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
    ) -> None:
        self.requests: deque[Request] = deque()
        self._base, self._persistent = base or {}, persistent
        self._max_fields = MAX_FIELDS + len(self._base)
        self.stage = IDLE
        self.wants_continue = False
        self.finished = False
        self._max_head, self._max_body, self._open_sink = max_head, max_body, open_sink
        self._before = self._head_size = self._framing = self._repeated_fields = self._size = 0
        self._after_cr = self._size_in_doubt = self._special = self._replay = False
        self._url = self._line = self._half_line = b""
        self._sink: Sink | None = None
        self._error: PeerError | None = None
        self._data = b""
        self._llhttp = httptools.HttpRequestParser(self)

    # What the owner calls.

    def feed(self, data: bytes) -> None:
        """Take what was read. Raises `PeerError` for what must be refused; the requests before it stand in ``requests``."""
        if self.finished:
            return
        fresh = self.stage == IDLE
        if fresh and (data[0] <= 32 or self._half_line):
            self._check_empty_lines(data)
        if b"  " in data and fresh:
            self._check_spaces(data)
        self._data = data
        self._before = len(self.requests)
        self._size_in_doubt = len(data) + self._head_size > self._max_head
        try:
            self._llhttp.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self.finished:
                raise self._refusal(error, fresh) from None
        self._data = b""
        if self.stage:
            self._line = b"" if self._url else self._line + data
            self._weigh(len(data))
        elif data[-1] == 13:
            self._after_cr = True

    def _weigh(self, size: int) -> None:
        """Limit what does not come to an end."""
        if self.stage == HEAD:
            if len(self.requests) == self._before:
                self._head_size += size
            else:
                self._head_size = 1  # it began somewhere in this read
            if self._head_size > self._max_head:
                raise self._head_too_large()
        elif self.stage == CONTENT:
            self._framing += size
            if self._framing - self._size > MAX_FRAMING + FRAMING_RATIO * self._size:
                raise self._refuse(400, "the framing of the chunks is too large")

    @property
    def method(self) -> str:
        """The method of the request that is being read, "" if it is not known yet."""
        return self._llhttp.get_method().decode("ascii") if self.stage and self._url else ""

    def close(self) -> None:
        """Let go of a request that will never be complete."""
        self.finished = True
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    # What llhttp calls, in this order.

    def on_message_begin(self) -> None:
        if self.finished:
            raise self._refuse(400, "data after the last request")
        self.stage = HEAD
        self._url = b""
        self._request = Request()
        self._fields: dict[str, Any] = self._base.copy()

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > MAX_TARGET:
            raise self._refuse(414, f"the request target is longer than {MAX_TARGET} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        key = self._names.get(name)
        if key is None:
            self._unusual_field(name, value)
        elif key in self._fields:
            self._repeat(key, value)
        else:
            self._fields[key] = value.rstrip(b" \t").decode("latin-1")

    def on_headers_complete(self) -> None:
        request, fields = self._request, self._fields
        if self._size_in_doubt or len(fields) > MAX_FIELDS or self._repeated_fields:
            self._check_size()
        self._head_size = 0
        request.fields = fields
        request.method = self._llhttp.get_method().decode("ascii")
        request.keep_alive = self._llhttp.should_keep_alive()
        if not request.keep_alive or self._special or "HTTP_CONNECTION" in fields:
            self._check_version()  # only HTTP/1.1 keeps a connection alive without being asked to
        target = self._url.decode("ascii")
        if target[0] != "/" or "#" in target or request.method in UNSUPPORTED:
            target = self._check_target(target)
        request.target = target
        host = fields.get("HTTP_HOST")
        if host not in known_hosts:
            self._check_host(host)
        self.stage = CONTENT
        if self._special:
            self._begin_content()

    def on_body(self, data: bytes) -> None:
        self.wants_continue = False
        self._size += len(data)
        if self._size > self._max_body:
            raise self._refuse(413, f"the content is larger than {self._max_body} bytes")
        if self._sink is not None:
            try:
                self._sink.write(data)
            except OSError:
                raise self._refuse(503, NO_ROOM) from None

    def on_message_complete(self) -> None:
        if self._replay:
            return  # llhttp takes the content of a request with Upgrade for the other protocol
        request = self._request
        if self._sink is not None:
            self._end_content()
        if not (request.keep_alive and self._persistent):
            request.keep_alive = False
            self.finished = True
        self.stage = IDLE
        self.requests.append(request)
        self._request, self._fields = NO_REQUEST, self._base  # what the application keeps in its environ is not ours to keep

    # The rules.

    def _unusual_field(self, name: bytes, value: bytes) -> None:
        """A name not in the table: because it has a rule of its own, or because it is new."""
        key = cgi_name(name)
        if key not in RULES:
            if len(self._names) < TABLE_SIZE:
                self._names[name] = key
            if key in self._fields:
                return self._repeat(key, value)
        elif key == "":
            self._repeated_fields += 1
            return
        elif key in FORWARDED:
            if self.stage == CONTENT:
                raise self._refuse(400, f"the field {name.decode('ascii')} may not be a trailer")
            fields = self._request.forwarded = self._request.forwarded or {}
            text = value.strip(b" \t").decode("latin-1")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
            self._repeated_fields += 1
            return
        else:
            self._special = True
            if key in self._fields:
                return self._repeat(key, value)
        self._fields[key] = value.rstrip(b" \t").decode("latin-1")

    def _repeat(self, key: str, value: bytes) -> None:
        """RFC 9110 section 5.3: a repeated field is a list; RFC 6265 section 5.4 for cookies."""
        if key == "HTTP_HOST":
            raise self._refuse(400, "there is more than one Host field")
        self._repeated_fields += 1
        if self._repeated_fields > MAX_FIELDS:
            raise self._refuse(431, f"there are more than {MAX_FIELDS} fields")
        self._fields[key] += ("; " if key == "HTTP_COOKIE" else ", ") + value.rstrip(b" \t").decode("latin-1")

    def _check_size(self) -> None:
        if len(self._fields) + self._repeated_fields > self._max_fields:
            raise self._refuse(431, f"there are more than {MAX_FIELDS} fields")
        self._repeated_fields = 0
        size = sum(len(name) + len(value) for name, value in self._fields.items() if name not in self._base)
        if self._size_in_doubt and len(self.requests) == self._before:
            size = max(size, self._head_size + self._data.find(b"\r\n\r\n"))  # with the white space that llhttp leaves out
        if len(self._url) + size > self._max_head:
            raise self._head_too_large()

    def _head_too_large(self) -> PeerError:
        if not self._url or (len(self._url) > self._max_head // 2 and not self._fields):
            return self._refuse(414, "the request target is too long")
        return self._refuse(431, f"the request line and the fields are larger than {self._max_head} bytes")

    def _check_version(self) -> None:
        version = self._llhttp.get_http_version()
        if version == "1.1":
            return
        if OTHER_PROTOCOL.match(self._data):
            raise self._refuse(400, "the protocol is not HTTP")
        if version != "1.0":
            raise self._refuse(505, "the protocol is not HTTP/1.1 or HTTP/1.0")
        request = self._request
        request.http10 = True
        options = [option.strip(" \t").lower() for option in self._fields.get("HTTP_CONNECTION", "").split(",")]
        request.keep_alive = "keep-alive" in options and "close" not in options
        if "HTTP_TRANSFER_ENCODING" in self._fields:
            raise self._refuse(400, "HTTP/1.0 has no Transfer-Encoding")  # RFC 9112 section 6.1

    def _check_target(self, target: str) -> str:
        """RFC 9112 section 3.2: origin-form, absolute-form, or the asterisk of OPTIONS. Gives origin-form or the asterisk."""
        request = self._request
        if "#" in target:
            raise self._refuse(400, "the request target has a fragment")
        if request.method in UNSUPPORTED:
            raise self._refuse(501, f"{request.method} is not supported")
        if target[:1] != "/":
            if target != "*":
                match = ABSOLUTE.fullmatch(target)
                if match is None or not match[1]:
                    raise self._refuse(400, "the request target is neither a path nor an http URL")
                # Section 3.2.2: the authority of the target replaces the Host field, whatever that says.
                self._check_host(self._fields.get("HTTP_HOST"))
                self._fields["HTTP_HOST"] = match[1]
                target = (match[2] or "/") + (match[3] or "")
                if request.method == "OPTIONS" and target == "/" and not match[2]:
                    target = "*"
            elif request.method != "OPTIONS":
                raise self._refuse(400, "the target * is for OPTIONS")
        return target

    def _check_host(self, host: str | None) -> None:
        if host is None:
            if not self._request.http10:
                raise self._refuse(400, "the Host field is missing")
        elif not is_host(host):
            raise self._refuse(400, "the Host field is not a host with an optional port")

    def _begin_content(self) -> None:
        """There is a field that says that content comes, or that it waits for a word of ours."""
        self._special = False
        fields = self._fields
        if fields.get("HTTP_EXPECT", "100-continue").lower() != "100-continue":
            raise self._refuse(417, "the only expectation known is 100-continue")
        coding = fields.pop("HTTP_TRANSFER_ENCODING", None)
        size: int | None = None
        if coding is None:
            size = int(fields.get("CONTENT_LENGTH", 0))
            if size > self._max_body:
                raise self._refuse(413, f"the content is larger than {self._max_body} bytes")
            if not size:
                return
        elif coding.lower() != "chunked":
            raise self._unknown_coding(coding)
        self.wants_continue = "HTTP_EXPECT" in fields and not self._request.http10
        self._size = self._framing = 0
        self._sink = self._open_sink(size)
        self._replay = "HTTP_UPGRADE" in fields and self._llhttp.should_upgrade()
        if size is None:
            self._fields = {}  # from here on fields are trailers: RFC 9110 section 6.5 forbids merging them, and WSGI has no place for them

    def _check_empty_lines(self, data: bytes) -> None:
        """RFC 9112 section 2.2: before a request, CRLF is ignored. A bare CR or LF is none."""
        rest = data.lstrip(b"\r\n")
        lines = data[: len(data) - len(rest)]
        if self._after_cr and not self._half_line:
            lines = lines.removeprefix(b"\n")  # of a CRLF that came in two reads, the first of which ended a request
        self._after_cr = False
        lines = (self._half_line + lines).replace(b"\r\n", b"")
        if lines and (rest or lines != b"\r"):
            raise self._refuse(400, "there is a bare CR or LF before the request")
        self._half_line = lines

    def _check_spaces(self, data: bytes) -> None:
        """RFC 9112 section 3: one space between the parts of the request line; llhttp takes more."""
        if b"  " in data.lstrip(b"\r\n").partition(b"\r\n")[0]:
            raise self._refuse(400, "there is more than one space between two parts of the request line")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """RFC 9110 section 7.8: a server may ignore Upgrade. What follows is the content, if there is any, and then the next request."""
        replay, self._replay = self._replay, False
        self._llhttp = httptools.HttpRequestParser(Replay(self) if replay else self)
        if replay:
            length = self._request.fields.get("CONTENT_LENGTH")
            field = f"Content-Length: {length}" if length else "Transfer-Encoding: chunked"
            self._llhttp.feed_data(f"POST / HTTP/1.1\r\n{field}\r\n\r\n".encode())
        if rest:
            self.feed(rest)

    def _unknown_coding(self, coding: str) -> PeerError:
        """RFC 9112 section 6.3: without a final ``chunked`` there is no telling where the content ends; section 6.1 for the others."""
        if coding.lower().rpartition(",")[2].strip(" \t") == "chunked":
            return self._refuse(501, "the only transfer coding known is chunked")
        return self._refuse(400, "the last transfer coding is not chunked")

    def _end_content(self) -> None:
        sink, request = self._sink, self._request
        self._sink, self.wants_continue = None, False
        assert sink is not None
        request.content = sink
        try:
            sink.seek(0)
        except OSError:
            sink.close()
            raise self._refuse(503, NO_ROOM) from None
        if "CONTENT_LENGTH" not in request.fields:
            request.fields["CONTENT_LENGTH"] = str(self._size)
            self._end_trailers(sink)

    def _end_trailers(self, sink: Sink) -> None:
        forbidden = FORBIDDEN_TRAILERS.intersection(self._fields)
        count, self._repeated_fields = len(self._fields) + self._repeated_fields, 0
        size = sum(len(name) + len(value) for name, value in self._fields.items())
        if forbidden or count > MAX_FIELDS or size > MAX_FRAMING:
            sink.close()
            if forbidden:
                raise self._refuse(400, f"{min(forbidden).removeprefix('HTTP_')} may not be a trailer")
            raise self._refuse(431, "the trailers are too many or too large")

    def _refuse(self, status: int, reason: str) -> PeerError:
        """What a rule does not accept. Kept, because what a callback raises does not come through llhttp as it was."""
        self._error = PeerError(status, reason)
        return self._error

    def _refusal(self, error: Exception, fresh: bool) -> PeerError:
        """What to answer to what llhttp, or one of the rules above, does not accept."""
        if self._error is not None:
            return self._error
        if isinstance(error, httptools.HttpParserCallbackError):
            raise error
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            first = not self.requests and (fresh or not self._url)
            unknown = first and METHOD.match((self._line + self._data).lstrip(b"\r\n"))
            if unknown:
                return PeerError(501, "the method is not known")
            return PeerError(400, "the request line does not start with a method")
        reason = str(error)
        if isinstance(error, httptools.HttpParserInvalidURLError) and self._llhttp.get_method() == b"CONNECT":
            return PeerError(501, "CONNECT is not supported")
        if reason in ("Invalid HTTP version", "Pause on PRI/Upgrade"):
            return self._refuse(505, "the protocol is not HTTP/1.1 or HTTP/1.0")
        return self._refuse(400, reason[:1].lower() + reason[1:])


class Replay:
    """Stands between llhttp and the parser while llhttp is shown the head of a request again, without its Upgrade, to read the content."""

    def __init__(self, parser: RequestParser) -> None:
        self._parser, self._playing = parser, True
        self.on_body, self.on_message_complete = parser.on_body, parser.on_message_complete

    def on_message_begin(self) -> None:
        if not self._playing:
            self._parser.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._playing:
            self._parser.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._playing:
            self._parser.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._playing:
            self._parser.on_headers_complete()
        self._playing = False
