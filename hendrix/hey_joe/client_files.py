"""hey_joe.js and its types, served beside the application under ``/.hendrix/``; also under a name with a hash, to be kept for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/.hendrix/"
HOUR, YEAR = 3600, 31536000


class File(NamedTuple):
    content: bytes
    kind: str
    seconds: int
    tag: str


@cache
def served() -> dict[str, File]:
    """By path."""
    found = {}
    for name, kind in (("hey_joe.js", "text/javascript; charset=utf-8"), ("hey_joe.d.ts", "text/plain; charset=utf-8")):
        content = (files("hendrix.hey_joe") / "static" / name).read_bytes()
        tag = hashlib.sha256(content).hexdigest()[:12]
        stem, _, end = name.partition(".")
        found[PREFIX + name] = File(content, kind, HOUR, f'"{tag}"')
        found[f"{PREFIX}{stem}.{tag}.{end}"] = File(content, kind, YEAR, f'"{tag}"')
    return found


def script_path() -> str:
    """Where the script is under its name with a hash, for a page: ``/.hendrix/hey_joe.0123456789ab.js``."""
    return next(path for path, file in served().items() if file.seconds == YEAR and path.endswith(".js"))


def beside(application: WSGIApplication) -> WSGIApplication:
    """An application that serves the files, and everything else from ``application``."""

    def either(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(PREFIX) and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            file = served().get(environ["PATH_INFO"])
            if file is not None:
                return _send(file, environ, start_response)
        return application(environ, start_response)

    return either


def _send(file: File, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    keep = f"public, max-age={file.seconds}" + (", immutable" if file.seconds == YEAR else "")
    fields = [("Cache-Control", keep), ("ETag", file.tag), ("X-Content-Type-Options", "nosniff")]
    if file.tag in environ.get("HTTP_IF_NONE_MATCH", ""):
        start_response("304 Not Modified", fields)
        return []
    start_response("200 OK", [("Content-Type", file.kind), *fields])
    return [file.content]
