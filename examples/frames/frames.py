"""A page that draws the raw frames of a network interface as they come, and sends some; see README.md for the command."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from hendrix import hey_joe
from hendrix.siblings import ethernet

PAGE = Path(__file__).parent / "page"
FILES = {"/": "index.html", "/frames.js": "frames.js", "/river.js": "river.js", "/frames.css": "frames.css"}
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'"

# To all; from an address that nobody was sold; of the ethertype for experiments.
HEADER = b"\xff\xff\xff\xff\xff\xff" + b"\x02hendx" + b"\x88\xb5"
LONGEST = 400


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """The page, its files, the stream of frames, and what somebody would send."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if method == "GET" and path in FILES:
        file = PAGE / FILES[path]
        start_response("200 OK", [("Content-Type", f"{KINDS[file.suffix]}; charset=utf-8"), ("Content-Security-Policy", POLICY)])
        return [file.read_bytes()]
    if method == "GET" and path == "/live":
        hey_joe.accept(environ, topics=["ethernet.**"])
        start_response("200 OK", [])
        return []
    if method == "POST" and path == "/send":
        if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") != "same-origin":  # a form of another site
            return refused(start_response, "403 Forbidden")
        text = parse_qs(environ["wsgi.input"].read().decode()).get("text", [""])[0]
        ethernet.send(HEADER + text.encode()[:LONGEST])
        start_response("204 No Content", [])
        return []
    return refused(start_response, "404 Not Found")


def refused(start_response: Callable[..., object], status: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{status}\n".encode()]
