"""The head of a response, and how its content is framed (RFC 9112 sections 4, 6 and 9.3). Values in, bytes out.

An application's status and fields are checked here, each time: a CR or LF in a value would let a user of the site write a
response of his own ("response splitting").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from time import time

from hendrix.errors import AppError, PeerError

STATUS = re.compile(r"[2-9][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
TABLE_SIZE = 2000
# Heads that are remembered, and the bytes of one: most have some hundred, and those with a large cookie are not seen twice.
HEADS = 1000
LARGEST = 4096

Fields = Sequence[tuple[str, str]]

# Fields that the server has a say in. Of those that belong to one connection (RFC 9110 section 7.6.1) an application may only say
# `Connection: close`; PEP 3333 forbids it the others, and they are dropped.
PLAIN, LENGTH, CONNECTION, DATE, SERVER, DROPPED = range(6)
KINDS = {
    "content-length": LENGTH,
    "connection": CONNECTION,
    "date": DATE,
    "server": SERVER,
    "transfer-encoding": DROPPED,
    "keep-alive": DROPPED,
    "proxy-connection": DROPPED,
    "te": DROPPED,
    "trailer": DROPPED,
    "upgrade": DROPPED,
}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_kinds: dict[str, int] = {}
_heads: dict[tuple[object, ...], Head] = {}


class Stamp:
    """Ends a head with the Date and Server fields, made once a second (RFC 9110 sections 6.6.1 and 10.2.4). Any thread.

    :param server: the Server field, or "" for none.
    """

    def __init__(self, server: str) -> None:
        self._server = f"Server: {server}\r\n".encode() if server else b""
        self._second = 0
        self._date = self._tail = b""

    def finish(self, head: Head) -> bytes:
        """The whole head as bytes. The application's own Date and Server stand, if it sent any."""
        now = time()
        if not self._second <= now < self._second + 1:
            now = int(now)
            self._date = f"Date: {formatdate(now, usegmt=True)}\r\n".encode()
            self._tail = self._date + self._server + b"\r\n"
            self._second = now  # last: who sees it sees the others
        if head.dated or head.served:
            return head.start + (b"" if head.dated else self._date) + (b"" if head.served else self._server) + b"\r\n"
        return head.start + self._tail


class Head:
    """The head of a response, but for what `Stamp` adds: what the application said, as the request allows it. Immutable.

    :param status: as given to start_response, "200 OK".
    :param fields: the application's fields.
    :param size: the content's size in bytes if it is known without the application's saying so.
    :param http10: the request was HTTP/1.0, so that chunks are not understood.
    :param keep_alive: the client would like another response on this connection.
    :param bare: no content is sent whatever the fields say (HEAD).
    :raises AppError: for a status or a field that is none.

    :ivar code: the three digits of the status.
    :ivar start: the status line and the fields, as bytes.
    :ivar length: bytes of content announced, None if not.
    :ivar chunked: whether the content goes in chunks.
    :ivar keep_alive: whether the connection can live on after this response.
    :ivar bare: no content may follow the head.
    :ivar dated: the application sent a Date.
    :ivar served: the application sent a Server field.
    """

    __slots__ = ("bare", "chunked", "code", "dated", "keep_alive", "length", "served", "start")

    def __init__(self, status: str, fields: Fields, size: int | None, http10: bool, keep_alive: bool, bare: bool) -> None:
        if type(status) is not str:
            status = _text("the status", status)
        if not STATUS.fullmatch(status):
            raise AppError(f"the status must be three digits, 200 to 999, a space and a reason, not {status!r} (PEP 3333)")
        self.code = status[:3]
        self.length: int | None = None
        self.keep_alive, self.bare = keep_alive, bare
        self.chunked = self.dated = self.served = False
        lines = [f"HTTP/1.1 {status}\r\n" if len(status) > 3 else f"HTTP/1.1 {status} \r\n"]
        for name, value in fields:
            if type(name) is not str or type(value) is not str:
                name, value = _text("the name of a field", name), _text(f"the field {name}", value)
            kind = _kinds.get(name)
            if kind is None:
                kind = _kind(name)
            if not (value.isascii() and value.isprintable()):
                _check_value(name, value)
            if not kind or self._own(kind, value):
                lines.append(f"{name}: {value}\r\n")
        self._frame(lines, size, http10)
        if not self.keep_alive:
            lines.append("Connection: close\r\n")
        elif http10:
            lines.append("Connection: keep-alive\r\n")
        self.start = "".join(lines).encode("latin-1")

    def _own(self, kind: int, value: str) -> bool:
        """A field that the server has a say in: whether it stands."""
        if kind == LENGTH:
            self.length = _length(value, self.length)
            return False  # `_frame` decides
        if kind == CONNECTION:
            self.keep_alive = self.keep_alive and "close" not in value.lower()
            return False
        self.dated = self.dated or kind == DATE
        self.served = self.served or kind == SERVER
        return kind != DROPPED

    def _frame(self, lines: list[str], size: int | None, http10: bool) -> None:
        """How the end of the content is found (RFC 9112 section 6)."""
        if self.code == "205":
            self.length = 0  # section 15.3.6
        if self.code == "204" or self.code == "304":
            # RFC 9110 sections 8.6, 15.3.5 and 15.4.5: no content; 204 has no Content-Length either.
            self.bare = True
            if self.length is not None and self.code == "304":
                lines.append(f"Content-Length: {self.length}\r\n")
            return
        if self.length is None:
            self.length = size
        self.bare = self.bare or self.code == "205"
        if self.length is not None:
            lines.append(f"Content-Length: {self.length}\r\n")
        elif http10:
            self.keep_alive = self.keep_alive and self.bare
        elif not self.bare:
            self.chunked = True
            lines.append("Transfer-Encoding: chunked\r\n")


def compose(status: str, fields: Fields, size: int | None, http10: bool, keep_alive: bool, bare: bool) -> Head:
    """The `Head` of these; what has been checked and put together once is not again, since most sites repeat themselves."""
    fields = tuple(fields)
    key = (status, fields, size, http10, keep_alive, bare)
    try:
        head = _heads.get(key)
    except TypeError:  # fields in lists: not what PEP 3333 asks for, but harmless
        return Head(status, fields, size, http10, keep_alive, bare)
    if head is None:
        head = Head(status, fields, size, http10, keep_alive, bare)
        if len(head.start) <= LARGEST:
            if len(_heads) >= HEADS:
                _heads.clear()
            _heads[key] = head
    return head


def chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112 section 7.1). Never of an empty ``data``: that would end the content."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def refusal(error: PeerError, stamp: Stamp, fields: tuple[tuple[str, str], ...] = (), *, bare: bool = False) -> bytes:
    """The whole answer to a request that is refused, in plain text. It never repeats what the client sent."""
    status = HTTPStatus(error.status)
    return plain(f"{status.value} {status.phrase}", f"{error}", stamp, fields, keep_alive=False, bare=bare)


def plain(status: str, text: str, stamp: Stamp, fields: tuple[tuple[str, str], ...] = (), *, keep_alive: bool, bare: bool = False) -> bytes:
    """A whole answer in plain text: the status, and a line that says why."""
    content = f"{status}: {text}\n".encode() if text else f"{status}\n".encode()
    headers = (("Content-Type", "text/plain; charset=utf-8"), *fields)
    head = stamp.finish(Head(status, headers, len(content), False, keep_alive, bare))
    return head if bare else head + content


def _text(what: str, text: object) -> str:
    """The characters of a kind of str, such as one that a template engine marks as safe: those checked must be those sent."""
    if not isinstance(text, str):
        raise AppError(f"{what} must be a str, not {text!r} (PEP 3333)")
    return str.__str__(text)


def _kind(name: str) -> int:
    if not TOKEN.fullmatch(name):
        raise AppError(f"the name of a field must be a token, not {name!r} (RFC 9110 section 5.1)")
    kind = KINDS.get(name.lower(), PLAIN)
    if len(_kinds) < TABLE_SIZE:
        _kinds[name] = kind
    return kind


def _check_value(name: str, value: str) -> None:
    if not VALUE.fullmatch(value):
        raise AppError(f"the field {name} must be ISO 8859-1 without control characters, not {value!r} (RFC 9110 section 5.5)")


def _length(value: str, before: int | None) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 18 or before not in (None, int(value)):
        raise AppError(f"Content-Length must be one number of bytes, not {value!r} (RFC 9110 section 8.6)")
    return int(value)
