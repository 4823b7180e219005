"""``--health PATH``: whether more requests should come, answered without waiting for a thread.

It is asked where a request would stand in line (`Attentive`, `AttentiveReactor`), by whoever has read it: so it is answered when every
thread is stuck in the application, too. Without ``--health`` connections are of the plain classes, and it costs nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

from hendrix.channel.fast import FastLane
from hendrix.channel.fast_connection import FastConnection
from hendrix.channel.reactor_lane import ReactorConnection
from hendrix.channel.site import BUSY, Peer, Site
from hendrix.threads.crew import Crew
from hendrix.threads.mailbox import Mailbox
from hendrix.wire.http1 import Request, RequestParser
from hendrix.wire.response import Stamp, plain
from hendrix.wsgi.call import Application
from hendrix.wsgi.environ import Environ


class Health:
    """:param path: what is asked.
    :param trouble: why no more requests should come, "" if they may; called on any thread.
    """

    def __init__(self, path: str, trouble: Callable[[], str]) -> None:
        self._path, self.trouble = path, trouble

    def is_asked(self, request: Request) -> bool:
        return request.target.partition("?")[0] == self._path and request.method in ("GET", "HEAD")

    def answer(self, request: Request, stamp: Stamp, keep_alive: bool) -> bytes:
        """The whole answer. Lets go of the request's content."""
        if request.content is not None:
            request.content.close()
        trouble = self.trouble()
        status, fields = ("503 Service Unavailable", (("Retry-After", "1"),)) if trouble else ("200 OK", ())
        uncached = (*fields, ("Cache-Control", "no-store"))
        return plain(status, trouble or "ready", stamp, uncached, keep_alive=keep_alive, bare=request.method == "HEAD")

    def beside(self, application: Application) -> Application:
        """The application, for the health that is asked behind another request of the same connection: that waits with it."""

        def ask(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
            if environ.get("PATH_INFO") != self._path or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
                return application(environ, start_response)
            trouble = self.trouble()
            text = f"503 Service Unavailable: {trouble}\n" if trouble else "200 OK: ready\n"
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text))), ("Cache-Control", "no-store")]
            start_response(text.partition(":")[0], headers)
            return [text.encode()]

        return ask


class Attentive(FastConnection):
    """A connection on the fast lane that may be asked how we are."""

    __slots__ = ("_health",)

    def __init__(self, lane: FastLane, site: Site, sock: socket.socket, peer: Peer, owners: set[FastConnection], health: Health) -> None:
        super().__init__(lane, site, sock, peer, owners)
        self._health = health

    def _queue(self, parser: RequestParser) -> None:
        requests, asked = parser.requests, False
        while requests and self._health.is_asked(requests[0]):
            request, asked = requests.popleft(), True
            self._keep_alive = request.keep_alive and not request.http10 and not (self.leaving and not requests)
            self._transmit(self._health.answer(request, self.stamp, self._keep_alive))
        if asked and not requests and self._refusal is None:
            self.sent()
        else:
            super()._queue(parser)


class AttentiveReactor(ReactorConnection):
    """The same on the reactor lane."""

    def __init__(self, site: Site, crew: Crew, mailbox: Mailbox, owners: set[ReactorConnection], reactor: Any, health: Health) -> None:
        super().__init__(site, crew, mailbox, owners, reactor)
        self._health = health

    def _next(self) -> None:
        requests = self._parser.requests
        if not self._health.is_asked(requests[0]):
            return super()._next()
        request = requests.popleft()
        self._busy, self.stage = True, BUSY
        keep_alive = request.keep_alive and not request.http10 and not (self.leaving and not requests)
        # Not at once: a client may have sent a hundred of them, and each would be one level deeper.
        self._reactor.callLater(0, self.answered, self._health.answer(request, self.site.stamp, keep_alive), keep_alive)
