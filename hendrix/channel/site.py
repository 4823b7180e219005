"""A site: an application as it is served on one listener. What the connections of both lanes have in common."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from hendrix.channel.noted import Access, Noted, Refused
from hendrix.channel.response import Response
from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.traffic import current
from hendrix.errors import PeerError
from hendrix.threads.worker import Worker
from hendrix.wire.forwarded import TrustedProxies, origin
from hendrix.wire.http1 import Request, RequestParser
from hendrix.wire.known import KnownHeads
from hendrix.wire.measured import MeasuredParser
from hendrix.wire.response import Stamp, refusal
from hendrix.wsgi.body import open_body
from hendrix.wsgi.call import Application, Outlet, Successor
from hendrix.wsgi.environ import ROUTE, Environ, make_environ

Peer = tuple[str, str]

# A plain connection leaves the fast lane for the reactor lane, with what it has read. The worker that calls it lets go of it for good.
Move = Callable[[Any], None]


class Measure(Protocol):
    """Hears of each answer (any thread)."""

    def served(self, environ: Environ, method: str, code: str, received: int, sent: int, waited: float, seconds: float, /) -> object:
        """The application's: bytes of content, seconds for a thread and from there to the end."""

    def refused(self, method: str, code: str, /) -> object:
        """One that was made without the application."""


# Runs a response of the application to a request that came then, as `Response.run` does, and records it (worker thread).
Trace = Callable[[Response, Application, Environ, float], bool]

# A socket that has left the fast lane, what is still to be sent, and who has it from now on. Any thread.
HandOver = Callable[[socket.socket, list[bytes], Successor], None]

OVERLOADED = PeerError(503, "all threads are busy, and enough requests wait for one")
RETRY_AFTER = (("Retry-After", "1"),)
# RFC 6455 section 4.1: until the answer is there, what follows is neither a request nor a frame.
IMPATIENT = PeerError(400, "the client sent more before it had the answer to its handshake")


# What a connection waits for, besides the stages of its parser (IDLE, HEAD, CONTENT).
SENDING, LINGERING, BUSY = range(3, 6)

# Paths that hendrix has for itself.
OWN = "/.hendrix/"

# How a connection leaves when its process is about to end: after the answer to the request that it has or that comes yet, or at once if
# it has none.
LAST, NOW = 1, 2
# Seconds that who has just connected has for the first bytes, also then: they may be on their way.
FRESH = 1.0

# Seconds that a client has to read a refusal before the socket is closed under what it still sends (RFC 9112 section 9.6).
LINGER = 5.0


@dataclass(frozen=True)
class Limits:
    """Bytes and seconds; see the options of the same names."""

    max_head: int = 32768
    max_body: int = 2**30
    header_timeout: float = 30
    body_timeout: float = 60
    keepalive: float = 75
    write_timeout: float = 60
    backlog: int = 1024

    def seconds(self, stage: int) -> float:
        """How long a connection may wait in this stage."""
        return (self.keepalive, self.header_timeout, self.body_timeout, self.write_timeout, LINGER)[stage]


class Mounts(Protocol):
    """What is served beside the application, on the reactor thread."""

    def takes(self, target: str, /) -> bool:
        """Whether this request is for it (any thread)."""

    def rendering(self, connection: Any, request: Request, /) -> Any:
        """How a connection of the reactor lane answers the request."""


@dataclass
class Site:
    """An application, the environ that its requests start from, and the rules for its clients.

    :ivar access: hears of each response when it is complete, and of all else that the access log has a line for.
    :ivar own: the application for what is under `OWN`.
    :ivar anonymous: its clients have no address: who connects is only their messenger.
    :ivar mounts: what is not the application's; `move` brings a connection that asks for it to the reactor lane.
    """

    application: Application
    base: Environ
    limits: Limits
    stamp: Stamp
    dispatcher: Dispatcher
    trusted: TrustedProxies | None = None
    access: Access | None = None
    measure: Measure | None = None
    trace: Trace | None = None
    hand_over: HandOver | None = None
    own: Application | None = None
    anonymous: bool = False
    mounts: Mounts | None = None
    move: Move | None = None
    clock: Callable[[], float] = field(default=time.monotonic)
    _known: KnownHeads = field(default_factory=KnownHeads)

    def parser(self) -> RequestParser:
        limits, make = self.limits, RequestParser if self.access is None else MeasuredParser
        return make(limits.max_head, limits.max_body, open_body, self.base, persistent=limits.keepalive > 0, known=self._known)

    def respond(self, request: Request, peer: Peer, outlet: Outlet, worker: Worker) -> bool:
        """Call the application and send its answer, and run what is to follow on this thread (worker thread).

        True if the outlet has no more to do with the connection.
        """
        worker.requests += 1
        measure, trace, since = self.measure, self.trace, outlet.since  # now: the outlet may be another's soon
        began = self.clock() if measure is not None else 0.0
        environ = make_environ(request, peer)
        if request.forwarded is not None:
            try:
                self.believe(request, peer, environ)
            except PeerError as error:
                return outlet.finish(self.decline(request, peer, error), False)
        access = self.access
        response = Response(request, outlet, self.dispatcher) if access is None else Noted(request, outlet, self.dispatcher, access)
        outlet.response = response
        environ["hendrix.after_response"] = response.after
        if self.trusted is not None:
            response.proxy = self.trusted, peer[0]
        current.set(response)
        application = self.application
        if self.own is not None and request.target.startswith(OWN):
            application, environ[ROUTE] = self.own, OWN
        received = int(environ["CONTENT_LENGTH"]) if measure is not None and request.content is not None else 0
        over = response.run(application, environ) if trace is None else trace(response, application, environ, since)
        if measure is not None:
            code = response.heard or response.code
            measure.served(environ, request.method, code, received, response.sent, began - since, self.clock() - began)
        if access is not None:
            response.done(environ.get("REMOTE_ADDR", ""))  # type: ignore[attr-defined]
        response.closed = not response.after
        if response.after:  # look again: another thread may have queued a task meanwhile
            if response.stays:
                worker.dispatch()
            response.ended(over)
        current.set(None)  # or the thread holds on to all that the request has, until the next one
        return over

    def believe(self, request: Request, peer: Peer, environ: Environ) -> None:
        """Put what a trusted proxy says of the request into its environ (any thread). Raises PeerError."""
        if request.forwarded is None or self.trusted is None or not self.trusted.trusts(peer[0]):
            return
        said = origin(self.trusted, request.forwarded)
        environ.update(request.forwarded)
        if said.remote_addr is not None:
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = said.remote_addr, ""
        if said.url_scheme is not None:
            environ["wsgi.url_scheme"] = said.url_scheme
        if said.http_host is not None:
            environ["HTTP_HOST"] = said.http_host
        if said.server_port is not None:
            environ["SERVER_PORT"] = said.server_port

    def refuse(self, error: PeerError, peer: Peer, parser: RequestParser) -> bytes:
        """The answer to what could not be parsed, or not to its end; the connection ends with it."""
        request = parser.unfinished
        if request is not None and isinstance(parser, MeasuredParser):
            request.received = parser.received
        return self._logged(request or NOT_A_REQUEST, parser.method, peer, error, self._refusal(error, parser.method))

    def decline(self, request: Request, peer: Peer, error: PeerError) -> bytes:
        """The answer to a request that was parsed, and yet cannot be answered; the connection ends with it."""
        return self._logged(request, request.method, peer, error, self._refusal(error, request.method))

    def impatient(self, response: Response | None) -> bytes:
        """The answer to a client that was let in, and has sent more before it heard so."""
        if response is not None:
            response.heard = str(IMPATIENT.status)
        return self._refusal(IMPATIENT, "")

    def _refusal(self, error: PeerError, method: str) -> bytes:
        return refusal(error, self.stamp, bare=method == "HEAD")

    def is_full(self, waiting: int) -> bool:
        """Whether so many jobs in the crew's queue are too many: requests count, and not the tasks that stand among them."""
        return waiting - len(self.dispatcher.in_line) >= self.limits.backlog

    def overloaded(self, request: Request, peer: Peer) -> bytes:
        """The answer when the backlog is full; the connection ends with it."""
        if request.content is not None:
            request.content.close()
        answer = refusal(OVERLOADED, self.stamp, RETRY_AFTER, bare=request.method == "HEAD")
        return self._logged(request, request.method, peer, OVERLOADED, answer)

    def _logged(self, request: Request, method: str, peer: Peer, error: PeerError, answer: bytes) -> bytes:
        if self.access is not None:
            self.access(Refused(request, peer[0], str(error.status), len(answer.partition(b"\r\n\r\n")[2])))
        if self.measure is not None:
            self.measure.refused(method, str(error.status))
        return answer


class Leaving(Protocol):
    """A connection, as far as `Last` knows it.

    :ivar leaving: the process is about to end: 0, `LAST` or `NOW`.
    """

    leaving: int

    @property
    def unanswered(self) -> int:
        """How many requests have come and not been begun."""


class Last:
    """Whether the response that is made is the connection's last: the process is about to end, and nothing has come after its request."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Leaving) -> None:
        self._connection = connection

    def __bool__(self) -> bool:
        return bool(self._connection.leaving) and not self._connection.unanswered


NOT_A_REQUEST = Request()
NOT_A_REQUEST.method, NOT_A_REQUEST.target, NOT_A_REQUEST.fields = "", "", {}
