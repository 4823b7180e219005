"""Files below a path of the site, without the application: --static.

What is asked for is looked up as it is now: nothing is read at the start, and no list of files takes memory. The rules:

- Rule 1: what leaves the directory is not there: a path with ``..`` in it, and a symbolic link that leads out of it.
- Rule 2: nor is what begins with a dot, but for ``.well-known``, and what is no regular file. Directories are not listed.
- Rule 3: a client cannot tell what is forbidden from what is missing.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from mimetypes import MimeTypes
from typing import Any, NamedTuple
from urllib.parse import quote

from hendrix.errors import ConfigurationError
from hendrix.wsgi.call import Application
from hendrix.wsgi.conditional import Unsatisfiable, accepts, part, precondition
from hendrix.wsgi.environ import Environ

Fields = list[tuple[str, str]]
StartResponse = Callable[[str, Fields], Any]

# Beside a file, the better one first: what it is called there, and its content coding.
PRECOMPRESSED = ((".br", "br"), (".gz", "gzip"))
INDEX = "index.html"
# Bytes of a path: what the kernel takes (PATH_MAX).
LONGEST = 4096
# Our fault, and not the path's.
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

# Python's own list, the same on each machine, and what it does not know.
_types = MimeTypes()
for _type, _suffixes in {
    "text/javascript": ".js .mjs",
    "application/json": ".json .map",
    "application/manifest+json": ".webmanifest",
    "application/wasm": ".wasm",
    "font/woff": ".woff",
    "font/woff2": ".woff2",
    "font/ttf": ".ttf",
    "font/otf": ".otf",
    "image/avif": ".avif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
    "image/vnd.microsoft.icon": ".ico",
    "text/markdown": ".md",
}.items():
    for _suffix in _suffixes.split():
        _types.add_type(_type, _suffix)
_ENCODED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


class Opened(NamedTuple):
    """A regular file."""

    file: io.FileIO
    size: int
    etag: str
    modified: int


class Static:
    """:param places: ``/static=/srv/site/static``.
    :param max_age: seconds that a client may use a file without asking again; 0 to have it ask each time.
    """

    def __init__(self, places: Sequence[str], max_age: int) -> None:
        self._places = [(url, directory) for url, _, directory in (place.partition("=") for place in places)]
        self._caching = f"public, max-age={max_age}" if max_age else "no-cache"
        self._roots: list[tuple[str, str]] = []

    def load(self) -> None:
        """Find the directories, also behind links that lead elsewhere by now. Raises ConfigurationError."""
        roots = []
        for url, directory in self._places:
            root = os.path.realpath(directory)
            if not os.path.isdir(root):
                raise ConfigurationError(f"--static={url}={directory}: there is no such directory; give one that exists")
            roots.append((url, root))
        self._roots = sorted(roots, key=lambda root: -len(root[0]))  # the one that is nearest

    def beside(self, application: Application) -> Application:
        """The application, and the files under their paths."""

        def either(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            path: str = environ["PATH_INFO"]
            for url, root in self._roots:
                if path.startswith(url) and path[len(url) : len(url) + 1] in ("", "/"):
                    return self._answer(environ, start_response, root, path[len(url) :])
            return application(environ, start_response)

        return either

    def _answer(self, environ: Environ, start_response: StartResponse, root: str, below: str) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _say(start_response, "405 Method Not Allowed", [("Allow", "GET, HEAD")])
        name = _name_in(root, below)
        opened = _open(root, name) if name is not None else None
        if name is None or opened is None:
            if name is not None and below[-1:] != "/" and _is_directory(root, name):
                query = "?" + environ["QUERY_STRING"] if environ["QUERY_STRING"] else ""
                there = quote(environ["PATH_INFO"].encode("latin-1")) + "/" + query
                return _say(start_response, "301 Moved Permanently", [("Location", there)])
            return _say(start_response, "404 Not Found", [])
        fields = [("Content-Type", _type_of(name))]
        opened = _compressed(environ, root, name, opened, fields)
        try:
            return self._send(environ, start_response, opened, fields)
        except BaseException:
            opened.file.close()
            raise

    def _send(self, environ: Environ, start_response: StartResponse, opened: Opened, fields: Fields) -> Iterable[bytes]:
        file, size, etag, modified = opened
        fields += [("ETag", etag), ("Last-Modified", formatdate(modified, usegmt=True)), ("Cache-Control", self._caching)]
        condition = precondition(environ, etag, modified)
        if condition:
            file.close()
            if condition == 304:
                start_response("304 Not Modified", [field for field in fields if not field[0].startswith("Content-")])
                return []
            return _say(start_response, "412 Precondition Failed", [])
        fields.append(("Accept-Ranges", "bytes"))
        status, start, count = "200 OK", 0, size
        try:
            asked = part(environ, size, etag, modified) if environ["REQUEST_METHOD"] == "GET" else None
        except Unsatisfiable:
            file.close()
            return _say(start_response, "416 Range Not Satisfiable", [("Content-Range", f"bytes */{size}")])
        if asked is not None:
            status, (start, count) = "206 Partial Content", asked
            fields.append(("Content-Range", f"bytes {start}-{start + count - 1}/{size}"))
        fields.append(("Content-Length", str(count)))
        file.seek(start)
        start_response(status, fields)
        wrapper: Callable[[Any], Iterable[bytes]] = environ["wsgi.file_wrapper"]
        return wrapper(file)


def _say(start_response: StartResponse, status: str, fields: Fields) -> list[bytes]:
    content = f"{status}\n".encode()
    start_response(status, [*fields, ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(content)))])
    return [content]


def _name_in(root: str, below: str) -> str | None:
    """The name of the file; None if there can be none."""
    if len(below) > LONGEST:
        return None
    segments = os.fsdecode(below.encode("latin-1")).split("/")[1:]
    if segments and not segments[-1]:
        segments[-1] = INDEX
    for segment in segments:
        if not segment or "\0" in segment or (segment[0] == "." and segment != ".well-known"):
            return None
    return os.path.join(root, *segments)


def _inside(root: str, name: str) -> str | None:
    """The file that it leads to, without links; None if that is elsewhere."""
    real = os.path.realpath(name)
    return real if real == root or real.startswith(os.path.join(root, "")) else None


def _open(root: str, name: str) -> Opened | None:
    real = _inside(root, name)
    if real is None:
        return None
    try:
        # Not blocking, for a named pipe would; and no link: one that is put there at this moment is not followed.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in NO_DESCRIPTORS:
            raise
        return None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        return None
    etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    return Opened(io.FileIO(descriptor), found.st_size, etag, int(found.st_mtime))


def _is_directory(root: str, name: str) -> bool:
    """Whether it is one that can be shown."""
    return _inside(root, name) is not None and _inside(root, os.path.join(name, INDEX)) is not None and os.path.isfile(f"{name}/{INDEX}")


def _compressed(environ: Environ, root: str, name: str, opened: Opened, fields: Fields) -> Opened:
    """The file, or what has been compressed beside it, if the client takes that."""
    accepted, varies = environ.get("HTTP_ACCEPT_ENCODING", ""), False
    for suffix, coding in PRECOMPRESSED:
        if not os.path.isfile(name + suffix):
            continue
        varies = True
        other = _open(root, name + suffix) if accepts(accepted, coding) else None
        if other is not None:
            opened.file.close()
            opened = other._replace(etag=f'{other.etag[:-1]}-{coding}"')
            fields.append(("Content-Encoding", coding))
            break
    if varies:
        fields.append(("Vary", "Accept-Encoding"))
    return opened


def _type_of(name: str) -> str:
    kind, encoding = _types.guess_type("file:" + quote(os.fsencode(os.path.basename(name))))
    if encoding is not None:
        return _ENCODED.get(encoding, "application/octet-stream")
    kind = kind or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
