"""The application under test: it echoes what it was given as JSON, or does what the path says. One process, any thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    View = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

reached: list[str] = []
"""The targets of all requests that reached the application, but those to ``/reached``."""


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] != "/reached":
        reached.append(environ["PATH_INFO"])
    return VIEWS.get(environ["PATH_INFO"], echo)(environ, start_response)


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The environ (what of it is text, a number or a bool), and the body as text in latin-1."""
    body = environ["wsgi.input"].read()
    plain = {name: value for name, value in environ.items() if isinstance(value, (str, int))}
    return _reply(start_response, "200 OK", json.dumps({"environ": plain, "body": body.decode("latin-1")}).encode())


def hold(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer when the test, having opened the named pipe ``?fifo=`` and so learnt that we are here, closes it."""
    with open(_query(environ, "fifo")[0], "rb") as fifo:
        fifo.read()
    return _reply(start_response, "200 OK", b"held")


def length(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "11")])
    return [b"hello", b" ", b"world"]


def single(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """One chunk and no Content-Length: the server can know it."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello world"]


def stream(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """A body of unknown length, with empty strings in it."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield from (b"", b"hello", b"", b" ", b"world", b"")


def written(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"hello")
    write(b" ")
    return [b"world"]


def large(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    for number in range(64):
        yield bytes([number]) * 16384


def nothing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return []


def headless(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """As many frameworks do: for HEAD an empty iterable, and no Content-Length."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"hello world"]


def status(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Status ``?of=`` with a body (and with ``?length=`` a Content-Length), even where it may have none."""
    fields = [("ETag", '"x"'), *(("Content-Length", value) for value in _query(environ, "length"))]
    start_response(_query(environ, "of")[0], fields)
    return [b"must not be sent", b"", b"HTTP/1.1 200 OK\r\n"]


def no_content(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


def own(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Fields that the server would add."""
    return _reply(start_response, "200 OK", b"", ("Date", formatdate(usegmt=True)), ("Server", "mine"))


def split(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Field lines ``?name=`` and ``?value=`` or a status ``?of=``, as an application that trusts its users would make them."""
    names, values, statuses = (_query(environ, name) for name in ("name", "value", "of"))
    start_response((statuses or ["200 OK"])[0], [("Content-Length", "0"), ((names or ["X-Name"])[0], (values or ["value"])[0])])
    return [b""]


def fail(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    raise ValueError("the application of the conformance tests fails on purpose")


def ignore(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Leave the body unread."""
    return _reply(start_response, "200 OK", b"ignored")


def size(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Only count the body."""
    return _reply(start_response, "200 OK", b"%d" % len(environ["wsgi.input"].read()))


def how_many(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """How many requests have reached the application, this one not counted."""
    return _reply(start_response, "200 OK", b"%d" % len(reached))


VIEWS: dict[str, View] = {
    "/reached": how_many,
    **{f"/{view.__name__}": view for view in (hold, length, single, stream, written, large, nothing, headless, status)},
    **{f"/{view.__name__}": view for view in (no_content, own, split, fail, ignore, size)},
}


def _query(environ: WSGIEnvironment, name: str) -> list[str]:
    return parse_qs(environ["QUERY_STRING"], encoding="latin-1").get(name, [])


def _reply(start_response: StartResponse, status: str, body: bytes, *fields: tuple[str, str]) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *fields])
    return [body]
