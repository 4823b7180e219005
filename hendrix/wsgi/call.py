"""One call of the application: PEP 3333 from the environ to the last byte of the response.

Knows nothing of sockets: what goes out goes to an `Outlet`. The rules:

- Rule 1: nothing is sent before the first piece of content that is not empty, so that until then an error becomes a clean 500.
- Rule 2: a piece of content is handed over before the next one is asked for.
- Rule 3: ``close()`` is called once, whatever happens, and after the last byte was handed over: no client waits for it.
- Rule 4: the framing is true. Content beyond Content-Length is cut, content short of it ends the connection.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from twisted.logger import Logger

from hendrix.errors import AppError, Disconnected
from hendrix.wire.http1 import Request
from hendrix.wire.response import LAST_CHUNK, Fields, Head, Stamp, chunk, compose, plain
from hendrix.wsgi.environ import Environ, FileWrapper

Application = Callable[..., Iterable[bytes]]
ExcInfo = Any

log = Logger(namespace="hendrix.wsgi")


class Outlet(Protocol):
    """Where a response goes. All methods are called on the worker thread that runs the application.

    :ivar stamp: makes Date and Server.
    :ivar draining: the connection will not live on after this response.
    :ivar response: the one that goes there now.
    """

    stamp: Stamp
    draining: bool
    response: Any

    def stream(self, data: bytes, /) -> None:
        """More content: send it now. May wait while the client does not read. Raises `Disconnected` when there is nobody to send to."""

    def finish(self, data: bytes, keep_alive: bool, /) -> bool:
        """These are the last bytes. True if the outlet is done with: from here on somebody else may own the connection.

        Never waits, never raises.
        """

    def send_file(self, data: bytes, file: int, offset: int, count: int, /) -> bool:
        """Send ``data`` and then ``count`` bytes of the open ``file``; False, and nothing is sent, if this transport cannot."""

    def abort(self) -> bool:
        """The response cannot be completed: the client must see a broken connection. Returns True, as `finish`."""


class Exchange:
    """A request and its response. `run` is called once, on a worker thread.

    :ivar over: the outlet is done with.
    :ivar failed: the application raised.
    :ivar code: the status sent, "200", or "" while there is none.
    :ivar sent: bytes of content sent.
    """

    _status: str | None = None
    _fields: Fields = ()
    _head: Head | None = None
    _out = False  # something may have left: no turning back
    over = False
    failed = False
    code = ""
    sent = 0

    def __init__(self, request: Request, outlet: Outlet) -> None:
        self._request, self._outlet = request, outlet

    def run(self, application: Application, environ: Environ) -> bool:
        """Call the application and send what it answers. Never raises: what goes wrong is logged and answered.

        Returns what the outlet's ``finish`` returned.
        """
        iterable: Any = None
        try:
            iterable = application(environ, self.start_response)
            self._answer(iterable)
        except Disconnected:
            self.over = self._outlet.abort()
        except BaseException as error:
            self._fail(error)
        if type(iterable) is not list and hasattr(iterable, "close"):
            try:
                iterable.close()
            except BaseException:
                log.failure("close() of the response to {request} raised", request=self._name())
        if self._request.content is not None:
            self._request.content.close()
        return self.over

    def start_response(self, status: str, fields: Fields, exc_info: ExcInfo = None) -> Callable[[bytes], None]:
        """PEP 3333, "The start_response() Callable"."""
        if exc_info is not None:
            try:
                if self._head is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status is not None:
            raise AppError("start_response was called twice without exc_info (PEP 3333)")
        self._status, self._fields = status, fields
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333, "The write() Callable": the data is on its way when this returns."""
        if not data:
            return
        head = self._head
        if head is None:
            head = self._make_head(None)
            self._send(self._outlet.stamp.finish(head))
        self._send_piece(head, data)

    def _answer(self, iterable: Any) -> None:
        if type(iterable) is list or type(iterable) is tuple:
            content = iterable[0] if len(iterable) == 1 else b"".join(iterable)
            self._begin(content, len(content), iter(()))
        elif type(iterable) is not FileWrapper or self._head is not None or not self._answer_with_file(iterable.file):
            pieces = iter(iterable)
            first = next(filter(None, pieces), b"")
            whole = not first or (hasattr(iterable, "__len__") and len(iterable) == 1)
            self._begin(first, len(first) if whole else None, pieces)

    def _begin(self, first: bytes, size: int | None, pieces: Iterator[bytes]) -> None:
        """The first piece of content that is not empty, the size of all if that is known, and the pieces that follow."""
        if self._head is not None:
            return self._stream(self._head, first, pieces)  # write() was used
        head = self._make_head(size)
        if head.bare:
            self._finish(self._outlet.stamp.finish(head), head)
        elif head.length == len(first):
            # Run to its end before anything is sent: it may still raise.
            if any(pieces):
                self._warn_of_length(head)
            self.sent = len(first)
            self._finish(self._outlet.stamp.finish(head) + first, head)
        else:
            self._send(self._outlet.stamp.finish(head))
            self._stream(head, first, pieces)

    def _make_head(self, size: int | None) -> Head:
        if self._status is None:
            raise AppError("the application did not call start_response before its first content (PEP 3333)")
        request = self._request
        bare = request.method == "HEAD"
        if bare and not size:
            size = None  # an application may leave out the content, and what GET would give is not known then
        keep_alive = request.keep_alive and not self._outlet.draining
        self._head = head = compose(self._status, self._fields, size, request.http10, keep_alive, bare)
        self.code = head.code
        return head

    def _send(self, data: bytes) -> None:
        self._out = True
        self._outlet.stream(data)

    def _finish(self, data: bytes, head: Head) -> None:
        self._out = True
        self.over = self._outlet.finish(data, head.keep_alive)

    def _stream(self, head: Head, first: bytes, pieces: Iterator[bytes]) -> None:
        if first:
            self._send_piece(head, first)
        for piece in pieces:
            if piece:
                self._send_piece(head, piece)
        if head.length is not None and self.sent < head.length and not head.bare:
            missing = head.length - self.sent
            log.error("the response to {request} ended {missing} bytes short of its Content-Length", request=self._name(), missing=missing)
            self.over = self._outlet.abort()
        else:
            self._finish(LAST_CHUNK if head.chunked else b"", head)

    def _send_piece(self, head: Head, data: bytes) -> None:
        if head.bare:
            return
        if head.length is not None and self.sent + len(data) > head.length:
            self._warn_of_length(head)
            data = data[: head.length - self.sent]
            if not data:
                return
        self.sent += len(data)
        self._send(chunk(data) if head.chunked else data)

    def _warn_of_length(self, head: Head) -> None:
        log.error("the response to {request} is longer than its Content-Length of {length}: cut", request=self._name(), length=head.length)

    def _answer_with_file(self, file: Any) -> bool:
        """Let the kernel send an open file, from where it stands. Only for what is plainly a file: others may decode as they read."""
        if not (isinstance(file, io.FileIO) or isinstance(getattr(file, "raw", None), io.FileIO)):
            return False
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return False
        offset = file.tell()
        size = max(0, status.st_size - offset)
        head = self._make_head(size)
        count = size if head.length is None else min(size, head.length)
        if head.bare or not count:
            self._finish(self._outlet.stamp.finish(head), head)
            return True
        self._out = True
        if count == head.length and self._outlet.send_file(self._outlet.stamp.finish(head), file.fileno(), offset, count):
            self.sent = count
            self._finish(b"", head)
        else:
            self._outlet.stream(self._outlet.stamp.finish(head))
            self._stream(head, b"", FileWrapper(file))
        return True

    def _fail(self, error: BaseException) -> None:
        """The application raised: 500 if nothing is out yet, a broken connection otherwise, so that nobody takes it for complete."""
        log.failure("{request} raised {error}", request=self._name(), error=type(error).__name__)
        self.failed = True
        if self._out:
            self.over = self._outlet.abort()
            return
        request = self._request
        self.code = "500"
        keep_alive = request.keep_alive and not self._outlet.draining and not request.http10
        data = plain("500 Internal Server Error", "", self._outlet.stamp, keep_alive=keep_alive, bare=request.method == "HEAD")
        self.over = self._outlet.finish(data, keep_alive)

    def _name(self) -> str:
        return f"{self._request.method} {self._request.target}"
