"""The head of a response, and how its content is framed (RFC 9112 sections 4, 6 and 9.3). Values in, bytes out.

An application's status and fields are checked here, each time: a CR or LF in a value would let a user of the site write a
response of his own ("response splitting").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from time import time

from hendrix.errors import AppError, PeerError

STATUS = re.compile(r"[2-9][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
TABLE_SIZE = 2000

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
_statuses: dict[str, str] = {}


class Stamp:
    """The Date and Server fields, made once a second (RFC 9110 sections 6.6.1 and 10.2.4).

    :param server: the Server field, or "" for none.
    """

    def __init__(self, server: str) -> None:
        self.server = f"Server: {server}\r\n" if server else ""
        self._second = 0
        self._date = ""

    def date(self) -> str:
        now = int(time())
        if now != self._second:
            self._date, self._second = f"Date: {formatdate(now, usegmt=True)}\r\n", now
        return self._date


class Head:
    """The head of one response: made of what the application said, what the request allows and what the server adds.

    :param status: as given to start_response, "200 OK".
    :param fields: the application's fields.
    :param size: the content's size in bytes if it is known without the application's saying so.
    :param http10: the request was HTTP/1.0, so that chunks are not understood.
    :param keep_alive: the client would like another response on this connection.
    :param bare: no content is sent whatever the fields say (HEAD).
    :raises AppError: for a status or a field that is none.

    :ivar data: the bytes to send.
    :ivar length: bytes of content announced, None if not.
    :ivar chunked: whether the content goes in chunks.
    :ivar keep_alive: whether the connection can live on after this response.
    :ivar bare: no content may follow the head.
    """

    __slots__ = ("bare", "chunked", "code", "data", "keep_alive", "length")

    def __init__(
        self, status: str, fields: Iterable[tuple[str, str]], stamp: Stamp, size: int | None, *, http10: bool, keep_alive: bool, bare: bool
    ) -> None:
        line = _statuses.get(status) or _status_line(status)
        parts = [line]
        length: int | None = None
        dated = served = False
        kinds = _kinds
        for name, value in fields:
            kind = kinds.get(name)
            if kind is None:
                kind = _kind(name)
            if type(value) is not str or not value.isprintable():
                _check_value(name, value)
            if kind:
                if kind == LENGTH:
                    length = _length(value, length)
                elif kind == CONNECTION:
                    keep_alive = keep_alive and "close" not in value.lower()
                    continue
                elif kind == DATE:
                    dated = True
                elif kind == SERVER:
                    served = True
                else:
                    continue
            parts.append(f"{name}: {value}\r\n")
        self.code = code = line[9:12]
        self.chunked = False
        if code == "204" or code == "304":
            # RFC 9110 sections 8.6, 15.3.5 and 15.4.5: no content; 204 has no Content-Length either.
            bare = True
            if length is not None and code == "204":
                parts = [part for part in parts if kinds.get(part.partition(":")[0]) != LENGTH]
        elif length is None:
            if size is not None:
                length = size
                parts.append(f"Content-Length: {size}\r\n")
            elif not bare:
                if http10:
                    keep_alive = False
                else:
                    self.chunked = True
                    parts.append("Transfer-Encoding: chunked\r\n")
        if not keep_alive:
            parts.append("Connection: close\r\n")
        elif http10:
            parts.append("Connection: keep-alive\r\n")
        if not dated:
            parts.append(stamp.date())
        if not served:
            parts.append(stamp.server)
        parts.append("\r\n")
        self.data = "".join(parts).encode("latin-1")
        self.length, self.keep_alive, self.bare = length, keep_alive, bare


def chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112 section 7.1). Never of an empty ``data``: that would end the content."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def refusal(
    error: PeerError, stamp: Stamp, fields: tuple[tuple[str, str], ...] = (), *, keep_alive: bool = False, bare: bool = False
) -> bytes:
    """The whole answer to a request that is refused, in plain text. It never repeats what the client sent."""
    status = HTTPStatus(error.status)
    return plain(f"{status.value} {status.phrase}", f"{error}", stamp, fields, keep_alive=keep_alive, bare=bare)


def plain(status: str, text: str, stamp: Stamp, fields: tuple[tuple[str, str], ...] = (), *, keep_alive: bool, bare: bool = False) -> bytes:
    """A whole answer in plain text: the status, and a line that says why."""
    content = f"{status}: {text}\n".encode() if text else f"{status}\n".encode()
    headers = (("Content-Type", "text/plain; charset=utf-8"), *fields)
    head = Head(status, headers, stamp, len(content), http10=False, keep_alive=keep_alive, bare=bare)
    return head.data if bare else head.data + content


def _status_line(status: str) -> str:
    if type(status) is not str or not STATUS.fullmatch(status):
        raise AppError(f"the status must be a str of three digits, 200 to 999, and a reason, not {status!r} (PEP 3333)")
    line = f"HTTP/1.1 {status}\r\n" if len(status) > 3 else f"HTTP/1.1 {status} \r\n"
    if len(_statuses) < TABLE_SIZE:
        _statuses[status] = line
    return line


def _kind(name: str) -> int:
    if type(name) is not str or not TOKEN.fullmatch(name):
        raise AppError(f"the name of a field must be a str that is a token, not {name!r} (RFC 9110 section 5.1)")
    kind = KINDS.get(name.lower(), PLAIN)
    if len(_kinds) < TABLE_SIZE:
        _kinds[name] = kind
    return kind


def _check_value(name: str, value: str) -> None:
    if type(value) is not str or not VALUE.fullmatch(value):
        raise AppError(f"the field {name} must be a str of ISO 8859-1 without control characters, not {value!r} (RFC 9110 section 5.5)")


def _length(value: str, before: int | None) -> int:
    if not (value.isascii() and value.isdigit()) or before not in (None, int(value)):
        raise AppError(f"Content-Length must be one number of bytes, not {value!r} (RFC 9110 section 8.6)")
    return int(value)
