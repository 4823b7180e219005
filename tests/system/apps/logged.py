"""Answers of each kind, for the access log to tell of."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hendrix import hey_joe

log = logging.getLogger("shop.orders")


def pieces(text: bytes) -> Iterable[bytes]:
    yield text
    time.sleep(0.2)
    yield text


def busy_view(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/echo":
        hey_joe.accept(environ, on_message=lambda ws, message: ws.send(message))
        start_response("200 OK", [])
        return []
    if path == "/raise":
        raise ValueError("as asked")
    if path == "/log":
        log.warning("%s is out of stock", "the guitar")
        log.info("this is not for everybody")
        warnings.warn("strings are old", stacklevel=1)
    if path == "/busy":
        busy_view(float(query))
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Answer", 'forty "two"')])
    if path == "/pieces":
        return pieces(b"12345")
    if path == "/file":
        return environ["wsgi.file_wrapper"](Path(query).open("rb"))  # type: ignore[no-any-return]
    if path == "/large":
        return [b"x" * 50_000_000]
    return [b"hello\n"]
