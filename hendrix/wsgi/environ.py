"""The environ of a request (PEP 3333, "environ Variables"; RFC 3875 section 4.1)."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from io import BytesIO
from threading import get_ident
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.logger import Logger

from hendrix.wire.http1 import Request

Environ = dict[str, Any]

ROUTE = "hendrix.route"
"""Where an application may say which of its routes a request has taken, as ``/users/<int:id>``."""

log = Logger(namespace="wsgi.errors")  # not in the class: there it would be named after it

# Characters of ``wsgi.errors`` that wait for the end of their line.
LONGEST_LINE = 10_000


class ErrorStream:
    """``wsgi.errors``: what the application writes there becomes lines of the log. Any thread.

    A line is logged when it is complete, since ``print`` writes it in pieces; at `flush`, and when the response ends, as it is.

    :ivar begun: the lines that are not complete, by thread.
    """

    def __init__(self) -> None:
        self.begun: dict[int, str] = {}

    def write(self, text: str) -> int:
        lines = (self.begun.pop(get_ident(), "") + text).splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n") and len(lines[-1]) < LONGEST_LINE:
            self.begun[get_ident()] = lines.pop()
        self._log(lines)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        self._log(self.begun.pop(get_ident(), "").splitlines())

    def _log(self, lines: list[str]) -> None:
        for line in lines:
            if line.strip():
                log.error("{line}", line=line.rstrip("\r\n"))


errors = ErrorStream()


class FileWrapper:
    """``wsgi.file_wrapper``: an open file as a response; the server sends it without a copy where it can.

    :param file: has ``read(size)``, and may have ``fileno()`` and ``close()``.
    :param block_size: bytes to read at once where there is no shortcut.
    """

    def __init__(self, file: Any, block_size: int = 65536) -> None:
        self.file, self.block_size = file, block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.file.read(self.block_size)
        if not data:
            raise StopIteration
        return data


def base_environ(host: str, port: str, scheme: str, *, multiprocess: bool) -> Environ:
    """What all requests of a listener have in common.

    :param host: the address it listens on, or a name for it; SERVER_NAME.
    :param scheme: "http" or "https".
    """
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": f"hendrix/{version('hendrix')}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": errors,
        "wsgi.multithread": True,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }


def make_environ(request: Request, peer: tuple[str, str]) -> Environ:
    """The environ of one request: its fields, and what the parser's ``base``, made by `base_environ`, put among them.

    :param peer: address and port of the client; the port may be "".
    """
    environ = request.fields
    path, _, environ["QUERY_STRING"] = request.target.partition("?")
    # PEP 3333, "Unicode Issues": the bytes of the path, each as the character of the same number.
    environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
    environ["REQUEST_METHOD"] = request.method
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = peer
    environ["wsgi.input"] = BytesIO() if request.content is None else request.content
    if request.http10:
        environ["SERVER_PROTOCOL"] = "HTTP/1.0"
    return environ
