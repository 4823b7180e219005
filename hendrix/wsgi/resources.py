"""twisted.web resources beside an application: on the same port, under a path of their own.

The request is rendered by twisted.web on the reactor thread, and its bytes are handed to the worker that serves it. The worker waits,
so a resource that never finishes holds a thread; and twisted.web sees HTTP/1.0, because framing, Date and Server are ours. Between the
two threads wait at most `HIGH` bytes of a resource that is a producer, as ``static.File`` is; one that writes without waiting to be
asked fills as much memory as it writes. The path is rebuilt from PATH_INFO, so that ``%2F`` has become ``/``.
"""

from __future__ import annotations

from collections.abc import Iterable
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource

from hendrix.errors import ConfigurationError, Disconnected

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Bytes between the threads above which a producer is paused, and below which it is resumed.
HIGH, LOW = 256 * 1024, 64 * 1024

# RFC 9110 section 7.6.1 and our own.
NOT_FROM_A_RESOURCE = {b"connection", b"date", b"keep-alive", b"server", b"te", b"trailer", b"transfer-encoding", b"upgrade"}


class Resources(Service):
    """The node of the tree for a set of resources.

    :param resources: each with a ``namespace``, str or bytes: its path, ``statics`` or ``a/b``.
    :param grace: seconds that a request may go on when the service is stopped.
    """

    name = "resources"

    def __init__(self, reactor: Any, resources: Iterable[Any], grace: float) -> None:
        self.reactor = reactor
        self.rendering: set[Rendering] = set()
        self._grace = grace
        named = [(_segments(resource), resource) for resource in resources]
        self.site = server.Site(_tree(named), reactor=reactor)
        self._paths = tuple("/" + b"/".join(segments).decode("latin-1") for segments, _ in named)

    def describe(self) -> str:
        return ", ".join(self._paths)

    def stopService(self) -> None:
        """Returns at once; what is still being rendered is cut later, unless the drain of the web node is over before."""
        Service.stopService(self)
        if self.rendering:
            self.reactor.callLater(self._grace, self._cut)

    def _cut(self) -> None:
        for rendering in list(self.rendering):
            rendering.lose()

    def beside(self, application: WSGIApplication) -> WSGIApplication:
        """An application that serves the resources under their paths, and everything else from ``application``."""
        paths, inside = self._paths, tuple(path + "/" for path in self._paths)

        def either(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            path = environ["PATH_INFO"]
            if path in paths or path.startswith(inside):
                return self._render(environ, start_response)
            return application(environ, start_response)

        return either

    def _render(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        rendering = Rendering(self, environ)
        self.reactor.callFromThread(rendering.begin)
        try:
            start_response(*rendering.head())
        except BaseException:
            rendering.close()
            raise
        return rendering


class HeadOfResponse(NamedTuple):
    status: str
    fields: list[tuple[str, str]]


class Rendering:
    """One request to a resource: on the worker thread the iterable of PEP 3333, on the reactor thread the channel of twisted.web."""

    factory = None  # the access log is ours

    def __init__(self, resources: Resources, environ: WSGIEnvironment) -> None:
        self.site = resources.site
        self.transport = self
        self._resources, self._reactor, self._environ = resources, resources.reactor, environ
        self._pieces: SimpleQueue[HeadOfResponse | bytes | BaseException | None] = SimpleQueue()
        self._lock = Lock()
        self._waiting = 0  # bytes in the queue
        self._paused = False
        self._over = False  # the worker has seen the end
        self._request: server.Request | None = None
        self._producer: Any = None
        self._streaming = True

    # The worker thread.

    def head(self) -> HeadOfResponse:
        """Wait for the head of the response."""
        piece = self._next()
        assert isinstance(piece, HeadOfResponse)
        return piece

    def __iter__(self) -> Rendering:
        return self

    def __next__(self) -> bytes:
        piece = self._next()
        if piece is None:
            raise StopIteration
        assert isinstance(piece, bytes)
        with self._lock:
            self._waiting -= len(piece)
            resume = self._paused and self._waiting <= LOW
            self._paused = self._paused and not resume
        if resume:
            self._reactor.callFromThread(self._resume)
        return piece

    def close(self) -> None:
        """The worker goes away; twisted.web hears of it if the response is not complete."""
        if not self._over:
            self._reactor.callFromThread(self.lose)

    def _next(self) -> HeadOfResponse | bytes | None:
        piece = None if self._over else self._pieces.get()
        self._over = piece is None or isinstance(piece, BaseException)
        if isinstance(piece, BaseException):
            raise piece
        return piece

    # The reactor thread: the life of the request.

    def begin(self) -> None:
        try:
            self._resources.rendering.add(self)
            environ = self._environ
            self._request = request = server.Request(self)
            for name, value in environ.items():
                if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value):
                    field = name.removeprefix("HTTP_").replace("_", "-").title()
                    request.requestHeaders.addRawHeader(field.encode("latin-1"), value.encode("latin-1"))
            request.parseCookies()
            request.content = environ["wsgi.input"]
            request.content.seek(0, 2)  # twisted.web takes the position for the length
            request.requestReceived(environ["REQUEST_METHOD"].encode(), _target(environ), b"HTTP/1.0")
        except BaseException as error:
            self._end(error)

    def lose(self) -> None:
        """The client has gone, or the process will."""
        request, producer, self._request, self._producer = self._request, self._producer, None, None
        if request is not None:
            if producer is not None:
                producer.stopProducing()
            request.connectionLost(Failure(ConnectionDone("the client has gone")))
            self._end(Disconnected("the client has gone"))

    def _end(self, last: BaseException | None) -> None:
        self._request = self._producer = None
        self._resources.rendering.discard(self)
        self._pieces.put(last)

    # The reactor thread: what twisted.web asks of its channel and of its transport.

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        fields = [(n, v) for n, values in headers.getAllRawHeaders() if n.lower() not in NOT_FROM_A_RESOURCE for v in values]
        self._pieces.put(HeadOfResponse(f"{code.decode()} {reason.decode('latin-1')}", [(_text(n), _text(v)) for n, v in fields]))

    def write(self, data: bytes) -> None:
        with self._lock:
            self._waiting += len(data)
            pause = self._waiting > HIGH and not self._paused and self._producer is not None
            self._paused = self._paused or pause
        self._pieces.put(data)
        if pause and self._streaming:
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def requestDone(self, request: server.Request) -> None:
        self._end(None)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer, self._streaming = producer, streaming
        if not streaming:
            self._pull()

    def unregisterProducer(self) -> None:
        self._producer = None

    def _pull(self) -> None:
        """Ask a pull producer once, and again in the next turn of the reactor."""
        if self._producer is not None and not self._paused:
            self._producer.resumeProducing()
            self._reactor.callLater(0, self._pull)

    def _resume(self) -> None:
        if self._producer is not None:
            self._producer.resumeProducing() if self._streaming else self._pull()

    def loseConnection(self) -> None:
        self.lose()

    abortConnection = loseConnection

    def getPeer(self) -> IPv4Address | IPv6Address | UNIXAddress:
        return _address(self._environ["REMOTE_ADDR"], self._environ.get("REMOTE_PORT"))

    def getHost(self) -> IPv4Address | IPv6Address | UNIXAddress:
        return _address(self._environ["SERVER_NAME"], self._environ["SERVER_PORT"])

    def isSecure(self) -> bool:
        return bool(self._environ["wsgi.url_scheme"] == "https")


def _segments(resource: Any) -> list[bytes]:
    namespace = getattr(resource, "namespace", None)
    path = namespace.encode() if isinstance(namespace, str) else namespace
    segments = [segment for segment in path.split(b"/") if segment] if isinstance(path, bytes) else []
    if not segments:
        raise ConfigurationError(f"resources: {resource!r} has the namespace {namespace!r}; give it the path to serve it under, as text")
    return segments


def _tree(named: Iterable[tuple[list[bytes], Any]]) -> Resource:
    """One root with each resource at its place; short paths first, since a long one may lead through their resources."""
    root = Resource()
    for (*way, last), resource in sorted(named, key=lambda one: len(one[0])):
        node = root
        for segment in way:
            if segment not in node.children:
                node.putChild(segment, Resource())
            node = node.children[segment]
        node.putChild(last, resource)
    return root


def _target(environ: WSGIEnvironment) -> bytes:
    path = quote(environ["PATH_INFO"].encode("latin-1"), safe="/:@!$&'()*+,;=~").encode()
    query: str = environ["QUERY_STRING"]
    return path + b"?" + query.encode("latin-1") if query else path


def _address(host: str, port: str | None) -> IPv4Address | IPv6Address | UNIXAddress:
    if not host:
        return UNIXAddress(None)
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, int(port or 0))


def _text(data: bytes) -> str:
    return data.decode("latin-1")
