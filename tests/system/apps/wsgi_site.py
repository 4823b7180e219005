"""Views that use each part of PEP 3333, or break it: `plain` as they are, `validated` and `linted` within a middleware that looks."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import WSGIWarning, validator

from webtest import lint  # type: ignore[import-untyped]

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]

warnings.simplefilter("error", WSGIWarning)
warnings.simplefilter("error", lint.WSGIWarning)

TEXT = ("Content-Type", "text/plain")
LARGE = bytes(range(256)) * 8192


def environ(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """What of the environ is text, a number or a bool."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({name: value for name, value in environ.items() if isinstance(value, (str, int))}).encode()]


def echo(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """The content, read in pieces up to CONTENT_LENGTH."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    pieces = []
    while left:
        pieces.append(environ["wsgi.input"].read(min(left, 10_000)))
        left -= len(pieces[-1])
    start_response("200 OK", [TEXT, ("X-Length", environ.get("CONTENT_LENGTH", "none"))])
    return pieces


def lines(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """The content, read by each of the methods."""
    source = environ["wsgi.input"]
    read = [
        source.readline(),
        source.read(3),
        next(iter(source)),
        *source.readlines(1),
        *source.readlines(),
        source.read(10),
        source.readline(),
    ]
    start_response("200 OK", [TEXT])
    return [json.dumps([line.decode("latin-1") for line in read]).encode()]


def terminated(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """The content, read to the end without looking at CONTENT_LENGTH."""
    assert environ["wsgi.input_terminated"]
    start_response("200 OK", [TEXT])
    return [environ["wsgi.input"].read(1 << 30)]


def stream(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield from (b"hello", b" ", b"", b"world")


def large(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", str(len(LARGE)))])
    for start in range(0, len(LARGE), 50_000):
        yield LARGE[start : start + 50_000]


def written(environ: Environ, start_response: Start) -> Iterable[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"hello")
    write(b" ")
    return [b"world"]


def nothing(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


def replaced(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """A head that is not the first."""
    start_response("200 OK", [TEXT])
    try:
        raise ValueError
    except ValueError:
        start_response("404 Not Found", [TEXT], sys.exc_info())
    return [b"replaced"]


def file(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """A file from the place ``?`` says, as long as that says."""
    opened = tempfile.TemporaryFile()  # noqa: SIM115 (the server closes it)
    opened.write(LARGE)
    start, _, length = environ["QUERY_STRING"].partition(",")
    opened.seek(int(start or 0))
    start_response("200 OK", [TEXT, ("Content-Length", length)] if length else [TEXT])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened, 4096)
    return wrapped


def errors(environ: Environ, start_response: Start) -> Iterable[bytes]:
    print("said", "in", "pieces", file=environ["wsgi.errors"])
    environ["wsgi.errors"].writelines(["one line\n", "no end"])
    start_response("200 OK", [TEXT])
    return [b"said"]


GOOD = {f"/{view.__name__}": view for view in (environ, echo, lines, terminated, stream, large, written, nothing, replaced, file, errors)}


def raises(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    raise {"exit": SystemExit(3), "interrupt": KeyboardInterrupt()}.get(environ["QUERY_STRING"], ValueError("on purpose"))


def breaks(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"hello"
    raise ValueError("on purpose, in the middle")


def text(environ: Environ, start_response: Start) -> Iterable[Any]:
    start_response("200 OK", [TEXT])
    return iter(["text"]) if environ["QUERY_STRING"] == "iterated" else ["text"]


def text_later(environ: Environ, start_response: Start) -> Iterator[Any]:
    start_response("200 OK", [TEXT])
    yield b"bytes"
    yield "text"


def short(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return [b"hello"]


def long(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return iter([b"hel", b"lo world"])


def works_on(environ: Environ, start_response: Start) -> Iterator[bytes]:
    """All that is announced, and then work that ends when the named pipe ``?`` is closed."""
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    yield b"hello"
    with open(environ["QUERY_STRING"], "rb") as pipe:
        pipe.read()
    print("worked on", file=environ["wsgi.errors"])


def changes(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """What it is given is its own."""
    environ.clear()
    environ["HTTP_USER_AGENT"] = None
    start_response("200 OK", [TEXT])
    return [b"cleared"]


class endless:
    """More than any client reads; tells when it is closed."""

    def __init__(self, environ: Environ, start_response: Start) -> None:
        start_response("200 OK", [TEXT])
        self.errors = environ["wsgi.errors"]

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    def close(self) -> None:
        print(f"closed by {os.getpid()}", file=self.errors)


BAD = {f"/{view.__name__}": view for view in (raises, breaks, text, text_later, short, long, works_on, changes, endless)}


def plain(environ: Environ, start_response: Start) -> Iterable[bytes]:
    return {**GOOD, **BAD}[environ["PATH_INFO"]](environ, start_response)


def _good(environ: Environ, start_response: Start) -> Iterable[bytes]:
    return GOOD[environ["PATH_INFO"]](environ, start_response)


validated = validator(_good)
linted = lint.middleware(_good)
