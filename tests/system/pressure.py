"""A client that speaks HTTP/1.1 on a socket, pipelined and piece by piece, and knows exactly what has come."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from certificates import Certificate
from harness import Site

PATIENCE: Final = 60.0
"""Seconds to wait for what must happen: a busy machine must not fail a test, a hang must."""

PLACES: Final = ("tcp", "unix", "tls")
"""The listeners of `endpoints`, in its order."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Of the request that it answers, by the application's word."""
        return self.headers.get("x-id", "")

    @property
    def closes(self) -> bool:
        """Whether the server says that it is the last one."""
        return self.headers.get("connection") == "close"


class Ended(Exception):
    """The connection has ended before a whole answer came; with what came of it."""

    def __init__(self, rest: bytes) -> None:
        super().__init__(f"ended after {rest[-200:]!r}")
        self.rest = rest


class Wire:
    """One connection. Use it in ``with``."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = bytearray()
        self._heads = 0

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self, *, reset: bool = False) -> None:
        """Leave; with a broken connection if ``reset``."""
        if reset:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def answer(self) -> Answer:
        """The next response.

        :raises Ended: there is none.
        """
        start = bytes(self._until(b"\r\n\r\n")).decode("latin-1")
        line, *lines = start.removesuffix("\r\n\r\n").split("\r\n")
        status = int(line.split(" ", 2)[1])
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in lines)}
        if self._heads:
            self._heads -= 1
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, self._chunks())
        return Answer(status, headers, self._take(int(headers.get("content-length", 0))))

    def head(self) -> None:
        """The next response has no body: its request was HEAD."""
        self._heads += 1

    def rest(self) -> bytes:
        """All that comes until the connection ends, in whatever way."""
        while self._more():
            pass
        rest, self._buffer = bytes(self._buffer), bytearray()
        return rest

    def get(self, target: str) -> Answer:
        """Ask and wait."""
        self.send(get(target))
        return self.answer()

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = int(self._until(b"\r\n"), 16)
            body += self._take(size)
            assert self._take(2) == b"\r\n"
            if not size:
                return bytes(body)

    def _until(self, end: bytes) -> bytes:
        start = 0
        while (found := self._buffer.find(end, start)) < 0:
            start = max(0, len(self._buffer) - len(end))
            self._read()
        return self._cut(found + len(end))

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._read()
        return self._cut(size)

    def _cut(self, size: int) -> bytes:
        data = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return data

    def _read(self) -> None:
        if not self._more():
            raise Ended(bytes(self._buffer))

    def _more(self) -> bool:
        try:
            data = self.socket.recv(1 << 18)
        except (ConnectionError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            return False
        self._buffer += data
        return bool(data)


def endpoints(directory: Path, certificate: Certificate) -> list[str]:
    """Values of ``--listen``: see `PLACES`."""
    return [
        "tcp:0:interface=127.0.0.1",
        f"unix:{directory / 'socket'}",
        f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}",
    ]


def connect(site: Site, place: str = "tcp") -> Wire:
    """A new connection to one of `PLACES`."""
    return Wire(site.connect(PLACES.index(place), timeout=PATIENCE))


def get(target: str, *fields: str) -> bytes:
    """A request."""
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


def post(target: str, body: bytes) -> bytes:
    """A request with a body."""
    return f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def eventually(condition: Callable[[], bool], complaint: str, patience: float = PATIENCE) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.005)


def state(site: Site) -> dict[str, Any]:
    """What the application of `pressing` says of its process."""
    return dict(json.loads(site.get("/state").body))


def settled(site: Site, threads: int, descriptors: int, complaints: Iterable[str] = ("bug in hendrix", "Unhandled")) -> None:
    """Nothing is left of the connections that were: no thread, no descriptor, no stream, no object; and the log complains of nothing."""
    eventually(lambda: site.threads <= threads, f"more than {threads} threads are left")
    eventually(lambda: site.descriptors <= descriptors, f"more than {descriptors} descriptors are left")
    eventually(lambda: state(site)["streams"] == 0, "streams were not closed")
    eventually(lambda: state(site)["connections"] <= 1, "connections are left")
    for complaint in complaints:
        assert complaint not in site.log
