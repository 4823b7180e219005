"""A request that twisted.web renders: its own Request over a channel of ours, on a connection that the reactor reads and writes.

The framing, Date and Server are ours; everything else of the response is the resource's. A producer is paused while the client does not
take what has been written, as it would be by twisted.web's own channel, and a client that ends its side is taken for one that has gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import Request, Site

from hendrix.channel.noted import Rendered
from hendrix.channel.reactor_lane import ReactorConnection
from hendrix.channel.site import Last
from hendrix.errors import AppError, PeerError
from hendrix.wire.http1 import Request as Asked
from hendrix.wire.response import LAST_CHUNK, Head, chunk, compose, plain
from hendrix.wsgi.environ import Environ, make_environ

log = Logger(namespace="hendrix.resources")

# RFC 9110 section 7.6.1 and our own.
NOT_FROM_A_RESOURCE = {b"connection", b"date", b"keep-alive", b"server", b"te", b"trailer", b"transfer-encoding", b"upgrade"}

NO_FORM = PeerError(400, "the content is no multipart/form-data")


class Rendering:
    """One request: to twisted.web its channel and its transport, to the connection the way to twisted.web (reactor thread).

    :param site: the resources.
    :ivar title: what is being rendered, for people.
    """

    factory = None  # the access log is ours

    def __init__(self, site: Site, connection: ReactorConnection, asked: Asked) -> None:
        self.site, self.transport = site, self
        self._connection, self._asked = connection, asked
        self._later = connection.call_later
        self._began = connection.site.clock()
        self._environ: Environ = {}
        self._request: Request | None = None
        self._head: Head | None = None
        self._sent = 0
        self._over = self._paused = self._pulling = False
        self._producer: Any = None
        self._streaming = True

    @property
    def title(self) -> str:
        return f"{self._asked.method} {self._asked.target}"

    # What the connection calls.

    def begin(self) -> None:
        """Have it rendered."""
        if self._over:
            return
        site, asked, peer = self._connection.site, self._asked, self._connection.peer
        environ = self._environ = make_environ(asked, peer)
        try:
            site.believe(asked, peer, environ)
        except PeerError as error:
            self._refuse(error)
            return
        try:
            self._request = request = Request(self)
            for name, value in environ.items():
                if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value):
                    field = name.removeprefix("HTTP_").replace("_", "-").title()
                    request.requestHeaders.addRawHeader(field.encode("latin-1"), value.encode("latin-1"))
            request.parseCookies()
            request.content = environ["wsgi.input"]
            request.content.seek(0, 2)  # twisted.web takes the position for the length
            version = b"HTTP/1.0" if asked.http10 else b"HTTP/1.1"
            request.requestReceived(asked.method.encode(), asked.target.encode("latin-1"), version)
        except Exception as error:  # twisted.web makes pages of those of resources
            self._fail(error)

    def lost(self) -> None:
        """There is nobody to answer any more."""
        if self._over:
            return
        self._close()
        self._log(self._head.code if self._head is not None else "", left=True)
        request, producer, self._request, self._producer = self._request, self._producer, None, None
        if request is None:
            if self._asked.content is not None:
                self._asked.content.close()
            return
        if producer is not None:
            _try(producer.stopProducing)
        _try(request.connectionLost, Failure(ConnectionDone("the client has gone")))

    def pause(self) -> None:
        """The client does not take more for now. Without effect if that is known."""
        if not self._paused:
            self._paused = True
            if self._producer is not None and self._streaming:
                _try(self._producer.pauseProducing)

    def resume(self) -> None:
        """It has taken all. Without effect if it had not to be waited for."""
        if self._paused:
            self._paused = False
            if self._producer is not None:
                _try(self._producer.resumeProducing) if self._streaming else self._pull_soon()

    # What twisted.web asks of its channel and of its transport.

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        if self._over:
            return
        assert self._request is not None
        self._request.chunked = 0  # or twisted.web would write the chunks
        fields = [(n, v) for n, values in headers.getAllRawHeaders() if n.lower() not in NOT_FROM_A_RESOURCE for v in values]
        texts = tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in fields)
        asked, connection = self._asked, self._connection
        keep_alive = asked.keep_alive and not Last(connection)
        try:
            status = f"{code.decode()} {reason.decode('latin-1')}"
            self._head = head = compose(status, texts, None, asked.http10, keep_alive, asked.method == "HEAD")
        except AppError as error:
            self._fail(error)
            return
        connection.write(connection.site.stamp.finish(head))

    def write(self, data: bytes) -> None:
        head = self._head
        if self._over or head is None or head.bare or not data:
            return
        if head.length is not None and len(data) > head.length - self._sent:
            log.error("{request}: the response is longer than its Content-Length of {length}: cut", request=self.title, length=head.length)
            data = data[: head.length - self._sent]
            if not data:
                return
        self._sent += len(data)
        self._connection.write(chunk(data) if head.chunked else data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def requestDone(self, request: Request) -> None:
        head = self._head
        if self._over:
            return
        assert head is not None
        if head.length is not None and not head.bare and self._sent < head.length:
            short = head.length - self._sent
            log.error("{request}: the response ended {short} bytes short of its Content-Length", request=self.title, short=short)
            self._answer(b"", False)
        else:
            self._answer(LAST_CHUNK if head.chunked else b"", head.keep_alive)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer, self._streaming = producer, streaming
        if self._over:
            producer.stopProducing()
        elif not streaming:
            self._pull_soon()
        elif self._connection.congested:
            self._paused = False
            self.pause()

    def unregisterProducer(self) -> None:
        self._producer = None

    def loseConnection(self) -> None:
        """Of a response that is not complete the client misses the end."""
        if not self._over:
            connection = self._connection
            self.lost()
            connection.answered(b"", False)

    abortConnection = loseConnection

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._refuse(NO_FORM)

    def getPeer(self) -> IPv4Address | IPv6Address | UNIXAddress:
        return _address(self._environ["REMOTE_ADDR"], self._environ.get("REMOTE_PORT"))

    def getHost(self) -> IPv4Address | IPv6Address | UNIXAddress:
        return _address(self._environ["SERVER_NAME"], self._environ["SERVER_PORT"])

    def isSecure(self) -> bool:
        return bool(self._environ["wsgi.url_scheme"] == "https")

    # Inside.

    def _pull_soon(self) -> None:
        """Ask a pull producer in the next turn of the reactor."""
        if not self._pulling:
            self._pulling = True
            self._later(0, self._pull)

    def _pull(self) -> None:
        self._pulling = False
        if self._producer is None or self._over:
            return
        if self._connection.congested:
            self._paused = True  # `resume` asks again
            return
        _try(self._producer.resumeProducing)
        if self._producer is not None:
            self._pull_soon()

    def _refuse(self, error: PeerError) -> None:
        """The request cannot be answered as it is; the connection ends."""
        answer = self._connection.site.decline(self._asked, self._connection.peer, error)
        self._close()
        if self._asked.content is not None:
            self._asked.content.close()
        self._connection.answered(answer, False)

    def _fail(self, error: Exception) -> None:
        """Nothing is out, and there is no response that could be."""
        log.failure("{request} could not be rendered: {error}", Failure(error), request=self.title, error=error)
        connection, asked = self._connection, self._asked
        if self._head is not None:
            self._answer(b"", False)
            return
        self._log("500")
        self._close()
        stamp = connection.site.stamp
        connection.answered(plain("500 Internal Server Error", "", stamp, keep_alive=False, bare=asked.method == "HEAD"), False)

    def _answer(self, last: bytes, keep_alive: bool) -> None:
        assert self._head is not None
        self._log(self._head.code)
        self._close()
        self._connection.answered(last, keep_alive)

    def _close(self) -> None:
        self._over = True
        if self._connection.rendering is self:
            self._connection.rendering = None

    def _log(self, code: str, left: bool = False) -> None:
        site, environ = self._connection.site, self._environ
        if site.measure is not None:
            received = int(environ.get("CONTENT_LENGTH") or 0)
            site.measure.served(environ, self._asked.method, code, received, self._sent, 0.0, site.clock() - self._began)
        access = site.access
        if access is not None:
            access(Rendered(self._asked, self._environ.get("REMOTE_ADDR", ""), code, self._sent, self._began, left))


def _try(call: Callable[..., Any], *arguments: Any) -> None:
    """What a producer or a callback of the resource raises is its own."""
    try:
        call(*arguments)
    except Exception:
        log.failure("a resource failed")


def _address(host: str, port: str | None) -> IPv4Address | IPv6Address | UNIXAddress:
    if not host:
        return UNIXAddress(None)
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, int(port or 0))
