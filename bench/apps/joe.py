"""hey_joe: an echo, a topic with subscribers, and a page that publishes on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hendrix import hey_joe

NEWS = {"text": "x" * 64}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The path says what."""
    path, body = environ["PATH_INFO"], b"ok"
    if path == "/echo":
        hey_joe.accept(environ, on_message=lambda ws, message: ws.send(message))
    elif path == "/news":
        hey_joe.accept(environ, topics="news")
    else:
        hey_joe.publish("news", NEWS)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
