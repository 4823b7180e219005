"""`accept`: a view lets a client in. What the client asked for decides what comes of it: a WebSocket, a stream of events, or a long poll.

The rules:

- Rule 1: the handshake is an ordinary request, and the view's status decides. With one of success (2xx) its fields and cookies go out with
  the 101 or the 200, and the connection lives on without a thread. With any other the answer goes out as the view wrote it.
- Rule 2: what only we can see, a handshake that is none, or an Origin that may not, is answered in place of the view's success.
- Rule 3: the connection holds on to what it was given, and to nothing of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Protocol
from urllib.parse import parse_qs

from hendrix.crosstown.traffic import current as response_here
from hendrix.errors import LocalError, PeerError
from hendrix.hey_joe import connections
from hendrix.hey_joe.connection import Connection, Terms, tuple_of
from hendrix.hey_joe.event_stream import EventStream
from hendrix.hey_joe.long_poll import LongPoll
from hendrix.hey_joe.topics import check_pattern

Environ = Mapping[str, Any]

PORTS = {"http": ":80", "https": ":443"}


class Trial(Protocol):
    """Who holds connections for a test."""

    max_message: int
    heartbeat: float

    def let_in(
        self, kind: str, terms: Terms, path: str, user: Any, key: str | None, state: Any, error: PeerError | None, subprotocol: str
    ) -> Any: ...


#: That of the test that runs here; None elsewhere.
trial: ContextVar[Trial | None] = ContextVar("trial", default=None)


class NotServed(LocalError):
    """The request is not served by hendrix, so that there is no connection to accept."""


def accept(
    request: Any,
    topics: str | Iterable[str] = (),
    *,
    allow: str | Iterable[str] = (),
    on_open: Callable[[Any], object] | None = None,
    on_message: Callable[[Any, Any], object] | None = None,
    on_close: Callable[[Any, int], object] | None = None,
    user: Any = None,
    who: str | None = None,
    state: Any = None,
    subprotocols: str | Iterable[str] = (),
    origins: str | Iterable[str] = (),
    since: str | None = None,
    keep_on_error: bool = False,
    compress: bool = True,
    max_message: int | None = None,
    heartbeat: float | None = None,
    idle_timeout: float = 0,
) -> Connection:
    """Let the client of a request in: answer it with a status of success after this, and it stays connected (its thread).

    :param request: of Django, Flask, Pyramid or Bottle, or the environ.
    :param topics: the topics, or patterns of topics, whose messages the client gets.
    :param allow: topics, or patterns, that it may subscribe to by itself, besides.
    :param on_open: ``on_open(ws)``, when it is connected. All three run on the crew, one at a time and in order.
    :param on_message: ``on_message(ws, text_or_bytes)``, for each message of a WebSocket.
    :param on_close: ``on_close(ws, code)``, when it is over; 1006 if the client went without a word. Not for a long poll, as ``on_open``.
    :param user: becomes ``ws.user``, and what `close_for` looks for.
    :param who: its name in presence; if None, the user's ``get_username()`` if there is one.
    :param state: becomes ``ws.state``; an empty dict if None.
    :param subprotocols: those of WebSocket that are spoken here; the client's first choice among them becomes ``ws.subprotocol``.
    :param origins: of which pages it may come besides those of this host: ``https://app.example.com``, ``https://*.example.com``, ``*``.
    :param since: the id after which messages of the topics are due; if None, what the client says by Last-Event-ID or ``?since=``.
    :param keep_on_error: leave the connection open when a handler raises, instead of closing it with 1011.
    :param compress: use permessage-deflate if the client can.
    :param max_message: bytes of a message of the client's, compressed or not; 1009 above.
    :param heartbeat: seconds of silence after which the client is asked whether it is there, and is gone after as much again; 0 for never.
    :param idle_timeout: seconds without a message of the client's after which a WebSocket is closed with 1000; 0 for never.
    :returns: the connection, which opens when the view has answered.
    :raises NotServed: no hendrix serves this request, or not with connections.
    :raises BadTopic: for topics that are none.
    """
    environ = environ_of(request)
    response: Any = response_here.get()
    held = trial.get()
    house: Any = connections.current if held is None else held
    served = held is not None or (response is not None and environ.get("hendrix.after_response") is response.after)
    if house is None or not served:
        raise NotServed("hey_joe.accept: this request is not served by hendrix, or it is not the one that is being answered here")
    user, key = identity(user)
    query = parse_qs(environ.get("QUERY_STRING", ""))
    terms = Terms(
        topics=tuple(check_pattern(topic) for topic in tuple_of(topics)),
        allow=tuple(check_pattern(topic) for topic in tuple_of(allow)),
        since=since or environ.get("HTTP_LAST_EVENT_ID") or (query.get("since") or [None])[0],
        who=who or _name(user),
        on_open=on_open,
        on_message=on_message,
        on_close=on_close,
        keep_on_error=keep_on_error,
        max_message=house.max_message if max_message is None else max_message,
        heartbeat=house.heartbeat if heartbeat is None else heartbeat,
        idle_timeout=idle_timeout,
    )
    error = None if from_here(environ, tuple_of(origins)) else PeerError(403, "the page that asks is of another origin")
    path = environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]
    about = (terms, path, user, key, {} if state is None else state, error)
    if held is not None:
        let_in: Connection = held.let_in(_kind(environ), *about, subprotocol=_subprotocol(environ, tuple_of(subprotocols)))
        return let_in
    common = (house, *about)
    connection = None
    if "HTTP_UPGRADE" in environ:
        connection = _websocket(environ, common, tuple_of(subprotocols), compress)
    if connection is None and "text/event-stream" in environ.get("HTTP_ACCEPT", ""):
        connection = EventStream(*common)
    elif connection is None:
        connection = LongPoll(common[0], replace(terms, on_open=None, on_close=None), *common[2:])
    if environ["REQUEST_METHOD"] != "HEAD":  # which asks for nothing but the view's fields
        response.successor = connection
    return connection


def _websocket(environ: Environ, common: tuple[Any, ...], subprotocols: tuple[str, ...], compress: bool) -> Connection | None:
    """None if something else was asked for."""
    try:
        from hendrix.hey_joe.websocket import WebSocket
        from hendrix.wire.websocket import handshake, is_asked_for
    except ImportError:
        raise NotServed("hey_joe.accept: WebSockets need wsproto: pip install hendrix[websocket]") from None
    if not is_asked_for(environ):
        return None
    try:
        asked = handshake(environ, compress=compress)
    except PeerError as error:
        return WebSocket(*common[:-1], error)
    subprotocol = next((name for name in asked.subprotocols if name in subprotocols), "")
    return WebSocket(*common, asked=asked, subprotocol=subprotocol)


def _kind(environ: Environ) -> str:
    """What the client of a test asks for. Test clients make no handshakes."""
    stream = "text/event-stream" in environ.get("HTTP_ACCEPT", "") and "HTTP_UPGRADE" not in environ
    return "event stream" if stream else "WebSocket"


def _subprotocol(environ: Environ, spoken: tuple[str, ...]) -> str:
    wanted = [name.strip() for name in environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(",")]
    return next((name for name in wanted if name in spoken), "")


def environ_of(request: Any) -> Environ:
    """The environ of a request of any framework.

    :raises TypeError: it has none.
    """
    if isinstance(request, Mapping) and "wsgi.version" in request:
        return request
    for name in ("environ", "META"):
        environ = getattr(request, name, None)
        if isinstance(environ, Mapping) and "wsgi.version" in environ:
            return environ
    raise TypeError(f"hey_joe.accept takes a request of Django, Flask, Pyramid or Bottle, or an environ, not {request!r:.100}")


def from_here(environ: Environ, origins: tuple[str, ...]) -> bool:
    """Whether the page that asks may (RFC 6455 section 10.2). What is no browser says nothing of a page."""
    origin = environ.get("HTTP_ORIGIN", "").lower()
    if not origin:
        return True
    scheme, _, host = origin.partition("://")
    port = PORTS.get(scheme, "")
    if host and host.removesuffix(port) == environ.get("HTTP_HOST", "").lower().removesuffix(port):
        return True
    return any(fnmatchcase(origin, allowed.lower()) for allowed in origins)


def identity(user: Any) -> tuple[Any, str | None]:
    """A user, and what it is known by. A lazy one, as Django's request has, is asked for now: it would hold on to its request."""
    key = getattr(user, "pk", user)
    wrapped = getattr(user, "_wrapped", None)
    return (user if wrapped is None else wrapped), None if key is None else str(key)


def _name(user: Any) -> str | None:
    get_username = getattr(user, "get_username", None)
    return str(get_username()) or None if callable(get_username) else None
