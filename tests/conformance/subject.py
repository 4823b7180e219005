"""The server under test, and the few moves that most tests are made of."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final

import pytest
from rawhttp import PATIENCE, Malformed, Response, Wire, request

from harness import Site

HERE: Final = Path(__file__).parent
"""Where app.py is."""

MAX_BODY: Final = 1 << 20
"""``--max-body`` of the server, in bytes."""

MAX_HEAD: Final = 32768
"""``--max-head`` of the server, in bytes: its default."""

MAX_TARGET: Final = 16384
"""The longest target that the server takes, in bytes."""


class Server:
    """One real server process that serves app.py on TCP and on a unix socket.

    :param tcp_preface: what a client on TCP sends before its first request; ``unix_preface`` on the unix socket.
    """

    def __init__(self, site: Site, tcp_preface: bytes = b"", unix_preface: bytes = b"") -> None:
        self.site = site
        self._prefaces = (tcp_preface, unix_preface)

    def connect(self) -> Wire:
        """A new connection over TCP."""
        return self._connect(0)

    def connect_unix(self) -> Wire:
        """A new connection over the unix socket, which knows when the server has read."""
        return self._connect(1)

    def _connect(self, address: int) -> Wire:
        wire = Wire(self.site.connect(address))
        wire.send(self._prefaces[address])
        return wire

    @property
    def hears_half_closed_clients(self) -> bool:
        """All of Twisted's wrappers take the end of the client's side for the end of the connection."""
        return not any(self._prefaces)

    def must_hear_half_closed_clients(self) -> None:
        """Skip the test where they do not."""
        if not self.hears_half_closed_clients:
            pytest.skip("Twisted's wrapped transports do not know half-closed connections")

    def exchange(self, data: bytes, method: str = "GET") -> Response:
        """Send a request on a connection of its own, and read its final response."""
        with self.connect() as wire:
            wire.send(data)
            return wire.final(method)

    def reached(self) -> int:
        """How many requests have reached the application."""
        return int(self.exchange(request("/reached")).body)

    def refuses(self, data: bytes, *statuses: int, method: str = "GET") -> Response:
        """The server answers with one of these statuses and closes; neither this nor a pipelined request reaches the application."""
        before = self.reached()
        with self.connect() as wire:
            wire.send(data + request("/smuggled"))
            response = wire.final(method)
            assert response.status in statuses, response
            assert "close" in response.options(), response
            wire.ends()
        assert self.reached() == before, "the application was called"
        return response

    def serves(self, data: bytes, method: str = "GET") -> Response:
        """The server answers the request with 200, and on the same connection the next one: it agrees with us where the request ends."""
        with self.connect() as wire:
            wire.send(data + request("/next"))
            response = wire.final(method)
            assert response.status == 200, response
            assert wire.final().environ["PATH_INFO"] == "/next"
            return response


class Hold:
    """Keeps a request to `target` in the application for as long as the test wants, by a named pipe. Use it in ``with``.

    :ivar target: of a request that is to be held.
    """

    def __init__(self, directory: Path) -> None:
        self._fifo = directory / "hold"
        self._writer = -1
        self.target = f"/hold?fifo={self._fifo}"
        os.mkfifo(self._fifo)

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        # Both ends at once: this open never waits, and wakes whoever waits for a writer.
        both = os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK)
        self._fifo.unlink()
        os.close(both)
        self.release()

    def entered(self) -> None:
        """Return when the application has the request."""
        deadline = time.monotonic() + PATIENCE
        while self._writer < 0:
            with contextlib.suppress(OSError):  # ENXIO: nobody reads it yet
                self._writer = os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK)
            if time.monotonic() > deadline:
                raise Malformed("the request does not reach the application")
            time.sleep(0.001)

    def release(self) -> None:
        """Let the application answer."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
