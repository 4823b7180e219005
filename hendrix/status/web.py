"""The live page over HTTP, by twisted.web: which path is what, who may have it, and the fields that keep it to itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request as SiteRequest, Site

from hendrix.errors import PeerError
from hendrix.status.visitors import Visitors

log = Logger(namespace="hendrix.status")

# Bytes of a request's content: the arguments of a command.
CONTENT = 4096
# Seconds that a connection may be idle, and that its client has to close it then.
IDLE, LINGER = 60, 15

# All that the page is made of, which holds no secret: whoever reaches it may have it.
STATIC = {"/": ("page.html", "text/html"), "/page.css": ("page.css", "text/css"), "/icon.svg": ("icon.svg", "image/svg+xml")}
STATIC |= {f"/{name}.js": (f"{name}.js", "text/javascript") for name in ("page", "panels", "plot", "stream", "dom")}

# The page loads from here and nowhere else, runs nothing that stands in it, is no frame of others, and leaves no trace in caches.
FIELDS = {
    "Server": "hendrix",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Answer(NamedTuple):
    """:ivar kind: its media type."""

    kind: str
    content: bytes
    code: int = 200


# The commands that can be given here: those of the buttons.
COMMANDS = ("reload", "recycle", "workers", "stop")

# Gives the answer to a GET, or a Deferred of it.
Give = Callable[[], Any]
# Runs a command with its arguments: a Deferred of what JSON can say. Fails with PeerError.
Run = Callable[[str, Mapping[str, Any]], Deferred[Any]]
# Sends events to a request until its client has gone; it may use the buttons, or not.
Stream = Callable[[Request, bool], None]


class Pages(Resource):
    """:ivar given: what may be had by those who may look; a path each. Others add theirs.
    :ivar open_to_all: the same without that condition.
    """

    isLeaf = True

    def __init__(self, visitors: Visitors, run: Run, stream: Stream) -> None:
        super().__init__()
        self._visitors, self._run, self._stream = visitors, run, stream
        self.given: dict[str, Give] = {}
        self.open_to_all: dict[str, Give] = {path: _file(*file) for path, file in STATIC.items()}

    def render(self, request: Request) -> Any:
        for name, value in FIELDS.items():
            request.setHeader(name, value)
        path = request.path.decode("ascii", "replace")
        fields: Callable[[str], str | None] = request.getHeader
        command = path.removeprefix("/do/")
        if command != path:
            return self._do(request, command)
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", "GET, HEAD")
            return _say(request, 405, "there is only GET here")
        give = self.open_to_all.get(path)
        if give is None:
            if path not in self.given and path != "/events":
                return _say(request, 404, "there is no such page")
            if not self._visitors.may_look(fields):
                return self._refuse(request)
            if path == "/events":
                if request.method == b"GET":
                    self._stream(request, self._visitors.may_act(fields))
                return NOT_DONE_YET if request.method == b"GET" else b""
            give = self.given[path]
        return _later(request, maybeDeferred(give))

    def _refuse(self, request: Request) -> bytes:
        if self._visitors.token is None:
            return _say(
                request,
                421,
                "only this machine may look, under its own name (http://localhost:PORT) and without a proxy: give hendrix a --status-token",
            )
        request.setHeader("WWW-Authenticate", 'Bearer realm="hendrix"')
        return _say(request, 401, "give the token of --status-token in Authorization: Bearer TOKEN")

    def _do(self, request: Request, command: str) -> Any:
        if command not in COMMANDS:
            return _say(request, 404, f"there is no such command here; there is {', '.join(COMMANDS)}")
        if request.method != b"POST":
            request.setHeader("Allow", "POST")
            return _say(request, 405, "a command is sent with POST")
        if self._visitors.token is None:
            return _say(request, 403, "there is no --status-token, so that the page is read-only")
        if not self._visitors.may_act(request.getHeader):
            return self._refuse(request)
        assert request.content is not None
        try:
            arguments = json.loads(request.content.read() or b"{}")
            if not isinstance(arguments, dict):
                raise ValueError
        except ValueError:
            return _say(request, 400, "the arguments of a command are a JSON object")
        log.info("{command} {arguments} from the live page", command=command, arguments=arguments)
        return _later(request, self._run(command, arguments).addCallback(as_json))


def as_json(value: Any) -> Answer:
    return Answer("application/json", json.dumps(value).encode())


class Channel(HTTPChannel):
    """A connection. That one was idle for long is no news: browsers open some in case they need them."""

    def timeoutConnection(self) -> None:
        self._abortingCall = self.callLater(LINGER, self.forceAbortClient)
        self.loseConnection()


class Visit(SiteRequest):
    """A request whose content is small."""

    def handleContentChunk(self, data: bytes) -> None:
        if self.content is not None and self.content.tell() + len(data) > CONTENT:
            self.channel.forceAbortClient()
        else:
            super().handleContentChunk(data)


def site_of(reactor: Any, pages: Pages) -> Site:
    """The factory of a port."""
    site = Site(pages, requestFactory=Visit, timeout=IDLE, reactor=reactor)
    site.displayTracebacks = False
    site.protocol = Channel  # type: ignore[method-assign, assignment]
    return site


def _file(name: str, kind: str) -> Give:
    content = files("hendrix.status").joinpath("static").joinpath(name).read_bytes()
    return lambda: Answer(f"{kind}; charset=utf-8", content)


def _say(request: Request, code: int, words: str) -> bytes:
    request.setResponseCode(code)
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    return f"{words}\n".encode()


def _later(request: Request, answer: Deferred[Answer]) -> Any:
    """Send it when it is there, if somebody still waits for it."""
    gone: list[object] = []
    request.notifyFinish().addErrback(gone.append)

    def failed(failure: Failure) -> Answer:
        error = failure.value
        if not isinstance(error, PeerError):
            log.failure("{path} cannot be answered", failure, path=request.path)
        words = str(error) if isinstance(error, PeerError) else "this failed, and the log says why"
        return Answer("text/plain; charset=utf-8", f"{words}\n".encode(), getattr(error, "status", 500))

    def send(given: Answer) -> None:
        if not gone:
            request.setResponseCode(given.code)
            request.setHeader("Content-Type", given.kind)
            request.setHeader("Content-Length", str(len(given.content)))
            if request.method != b"HEAD":
                request.write(given.content)
            request.finish()

    answer.addErrback(failed).addCallback(send)
    return NOT_DONE_YET
