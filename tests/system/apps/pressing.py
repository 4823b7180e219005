"""What a busy site does, by path: answers at once or slowly, in a piece or in many, fails before or in the middle. Any thread.

``id`` in the query comes back in every answer, so that a client knows which one it has.
"""

from __future__ import annotations

import gc
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

Environ = dict[str, Any]
Start = Callable[..., Any]

opened, closed = count(), count()
"""Streams begun, and closed: `next` is one step on any thread."""


def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    trace = os.environ.get("PRESSING_TRACE")
    if trace:
        with open(trace, "a") as file:
            file.write(f"{query.get('id', '')}\n")
    return VIEWS[environ["PATH_INFO"]](environ, start_response, query)


class Stream:
    """``pieces`` times ``piece``; counts that it was closed."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        next(opened)
        self._pieces = iter(pieces)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        next(closed)


def fast(environ: Environ, start_response: Start, query: dict[str, str]) -> Iterable[bytes]:
    return _reply(start_response, query, query["id"].encode())


def slow(environ: Environ, start_response: Start, query: dict[str, str]) -> Iterable[bytes]:
    time.sleep(float(query["seconds"]))
    return _reply(start_response, query, query["id"].encode())


def echo(environ: Environ, start_response: Start, query: dict[str, str]) -> Iterable[bytes]:
    return _reply(start_response, query, environ["wsgi.input"].read())


def large(environ: Environ, start_response: Start, query: dict[str, str]) -> Iterable[bytes]:
    return _reply(start_response, query, b"x" * int(query["size"]))


def stream(environ: Environ, start_response: Start, query: dict[str, str]) -> Iterable[bytes]:
    """``pieces`` of ``size`` bytes, or without end."""
    start_response("200 OK", [("X-Id", query["id"])])
    piece = b"x" * int(query["size"])
    pieces = range(int(query["pieces"])) if "pieces" in query else count()
    pause = float(query.get("pause", 0))

    def generate() -> Iterator[bytes]:
        for _ in pieces:
            if pause:
                time.sleep(pause)
            yield piece

    return Stream(generate())


def file(environ: Environ, start_response: Start, query: dict[str, str]) -> Iterable[bytes]:
    """A file of ``size`` bytes of nothing, which take no room on the disk."""
    sparse = tempfile.TemporaryFile()  # noqa: SIM115 (the response closes it)
    sparse.truncate(int(query["size"]))
    start_response("200 OK", [("X-Id", query["id"])])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](sparse)
    return wrapped


def fail(environ: Environ, start_response: Start, query: dict[str, str]) -> Iterable[bytes]:
    raise ValueError("on purpose")


def tear(environ: Environ, start_response: Start, query: dict[str, str]) -> Iterable[bytes]:
    """Fails in the middle."""
    start_response("200 OK", [("X-Id", query["id"])])

    def generate() -> Iterator[bytes]:
        yield b"torn"
        raise ValueError("on purpose")

    return Stream(generate())


def hold(environ: Environ, start_response: Start, query: dict[str, str]) -> Iterable[bytes]:
    """Says that it is here by making the file ``here``, and answers when that has been removed."""
    open(query["here"], "x").close()
    while os.path.exists(query["here"]):
        time.sleep(0.001)
    return _reply(start_response, query, query["id"].encode())


def state(environ: Environ, start_response: Start, query: dict[str, str]) -> Iterable[bytes]:
    """Streams open now, threads and connection objects of this process."""
    gc.collect()
    names = [type(thing).__name__ for thing in gc.get_objects()]
    found = {
        "streams": opened.__reduce__()[1][0] - closed.__reduce__()[1][0],  # type: ignore[index]
        "threads": threading.active_count(),
        "connections": names.count("FastConnection") + names.count("ReactorConnection"),
    }
    return _reply(start_response, {"id": "state"}, json.dumps(found).encode())


VIEWS = {f"/{view.__name__}": view for view in (fast, slow, echo, large, stream, file, fail, tear, hold, state)}


def _reply(start_response: Start, query: dict[str, str], body: bytes) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("X-Id", query["id"])])
    return [body]
