"""One call of the application: PEP 3333 from the environ to the last byte of the response.

Knows nothing of sockets: what goes out goes to an `Outlet`. The rules:

- Rule 1: nothing is sent before the first piece of content that is not empty, so that until then an error becomes a clean 500.
- Rule 2: a piece of content is handed over before the next one is asked for, and after the last one the outlet is let alone.
- Rule 3: ``close()`` is called once, whatever happens, and after the last byte was handed over: no client waits for it.
- Rule 4: the framing is true. Content beyond Content-Length is cut, content short of it breaks the connection.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.logger import Logger

from hendrix.errors import AppError, Disconnected
from hendrix.wire.http1 import Request
from hendrix.wire.response import LAST_CHUNK, Fields, Head, Stamp, chunk, compose, plain
from hendrix.wsgi.environ import Environ, FileWrapper, errors

Application = Callable[..., Iterable[bytes]]
ExcInfo = Any

log = Logger(namespace="hendrix.wsgi")

# Bytes of a file that are read at once where the kernel cannot send it.
BLOCK = 65536
# Kinds of open file, plain or buffered, that give the bytes on the disk.
FILES = (io.FileIO, io.BufferedReader, io.BufferedRandom)


class Outlet(Protocol):
    """Where a response goes. All methods are called on the worker thread that runs the application.

    :ivar stamp: makes Date and Server.
    :ivar draining: true if the connection will not live on after this response.
    :ivar response: the one that goes there now.
    :ivar since: when the request came, as the site's clock says it; only until the outlet is done with.
    """

    stamp: Stamp
    draining: Any
    response: Any
    since: float

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

    def hand_over(self, data: bytes, successor: Successor, /) -> bool:
        """Send this, and then the connection belongs to the successor. Returns True, as `finish`."""


class Successor(Protocol):
    """Who takes the connection over from the response of a client that the application has let in.

    :ivar code: the status that the client hears.
    """

    code: str

    def opening(self, fields: Fields, stamp: Stamp, /) -> tuple[bytes, bool]:
        """What the client hears first, and whether it is let in (worker thread); if not, that is the whole answer, and the connection ends.

        :raises AppError: for a field that is none.
        """

    # From here on the reactor thread.

    def opened(self, wire: Any, /) -> None:
        """The client is let in: the connection to it is yours, `hendrix.channel.wires` says what it can do."""

    def received(self, data: bytes, /) -> None:
        """The client has sent this."""

    def room(self) -> None:
        """All that was written is out, after some of it had to wait."""

    def lost(self) -> None:
        """The client has gone. Nothing is called any more."""


class Exchange:
    """A request and its response. `run` is called once, on a worker thread.

    :ivar successor: takes the connection over if the application's status is one of success.
    :ivar over: the outlet is done with.
    :ivar failed: the application raised.
    :ivar code: the status sent, "200", or "" while there is none.
    :ivar sent: bytes of content sent.
    """

    _status: str | None = None
    _fields: Fields = ()
    _head: Head | None = None
    _out = False  # something may have left: no turning back
    _done = False  # the outlet has had its last word: somebody else may own the connection
    successor: Successor | None = None
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
            self._abort()
        except BaseException as error:
            self._fail(error)
        if type(iterable) is not list:
            try:
                if hasattr(iterable, "close"):
                    iterable.close()
            except BaseException:
                log.failure("close() of the response to {request} raised", request=self._name())
        if self._request.content is not None:
            self._request.content.close()
        if errors.begun:
            errors.flush()
        return self.over

    @property
    def begun(self) -> bool:
        """Whether something of it may have left. Once it is true it is so before the outlet hears of it."""
        return self._out

    @property
    def ends_visibly(self) -> bool:
        """Whether a client that misses the end can tell by the framing: Content-Length or the last chunk (RFC 9112 section 8)."""
        head = self._head
        return head is not None and (head.chunked or head.length is not None)

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
        if self._done:
            raise AppError("write() was called after the end of the response (PEP 3333)")
        head = self._head
        if head is None:
            head = self._make_head(None)
            self._send(self._outlet.stamp.finish(head))
        self._send_piece(head, data)

    def _answer(self, iterable: Any) -> None:
        if type(iterable) is list or type(iterable) is tuple:
            self._begin(iterable[0] if len(iterable) == 1 else b"".join(iterable), True, ())
        elif type(iterable) is not FileWrapper or self._head is not None or not self._answer_with_file(iterable.file):
            pieces = iter(iterable)
            first = next(filter(None, pieces), b"")
            self._begin(first, not first or (hasattr(iterable, "__len__") and len(iterable) == 1), pieces)

    def _begin(self, first: bytes, whole: bool, pieces: Iterable[bytes]) -> None:
        """The first piece of content that is not empty, whether it is all, and the pieces that follow."""
        head = self._head
        if head is not None:
            return self._stream(head, first, pieces)  # write() was used
        if type(first) is not bytes:
            _check_bytes(first)
        if self.successor is not None and self._status is not None and self._status[:1] == "2":
            return self._hand_over(self.successor)
        head = self._make_head(len(first) if whole else None)
        start = self._outlet.stamp.finish(head)
        if head.bare:
            self._finish(start, head)
        elif head.length == len(first):
            self.sent = head.length
            self._out = self._done = True
            self.over = self._outlet.finish(start + first, head.keep_alive)
            if pieces and any(pieces):
                raise _longer(head)
        else:
            self._send(start)
            self._stream(head, first, pieces)

    def _hand_over(self, successor: Successor) -> None:
        data, let_in = successor.opening(self._fields, self._outlet.stamp)
        self.code, self.sent = successor.code, 0
        self._out = self._done = True
        self.over = self._outlet.hand_over(data, successor) if let_in else self._outlet.finish(data, False)

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
        self._out = self._done = True
        self.over = self._outlet.finish(data, head.keep_alive)

    def _abort(self) -> None:
        if not self._done:
            self._done = True
            self.over = self._outlet.abort()

    def _stream(self, head: Head, first: bytes, pieces: Iterable[bytes]) -> None:
        if first:
            self._send_piece(head, first)
        for piece in pieces:
            if piece:
                self._send_piece(head, piece)
        if self._done:
            return
        if head.length is not None and not head.bare:
            raise AppError(f"the response ended {head.length - self.sent} bytes short of its Content-Length (PEP 3333)")
        self._finish(LAST_CHUNK if head.chunked else b"", head)

    def _send_piece(self, head: Head, data: bytes) -> None:
        _check_bytes(data)
        if head.bare:
            return
        room = len(data) if head.length is None else head.length - self.sent
        self.sent += min(room, len(data))
        if head.length is None:
            self._send(chunk(data) if head.chunked else data)
        elif len(data) < room:
            self._send(data)
        else:
            if not self._done:
                self._finish(data[:room], head)
            if len(data) > room:
                raise _longer(head)

    def _answer_with_file(self, file: Any) -> bool:
        """Let the kernel send an open file, from where it stands. Only for what is plainly a file: others may decode as they read."""
        if type(getattr(file, "raw", file)) is not io.FileIO or type(file) not in FILES:
            return False
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return False
        offset = file.tell()
        size = max(0, status.st_size - offset)
        head = self._make_head(size)
        start, length = self._outlet.stamp.finish(head), head.length
        self._out = True
        if head.bare or not length:
            self._finish(start, head)
        elif length <= size and self._outlet.send_file(start, file.fileno(), offset, length):
            self.sent = length
            self._finish(b"", head)
        else:
            self._send(start)
            self._stream(head, b"", iter(lambda: file.read(min(BLOCK, length - self.sent)), b""))
        return True

    def _fail(self, error: BaseException) -> None:
        """The application raised: 500 if nothing is out yet, a broken connection otherwise, so that nobody takes it for complete."""
        log.failure("{request} raised {error}", request=self._name(), error=type(error).__name__)
        self.failed = True
        if self._out:
            return self._abort()
        request = self._request
        self.code = "500"
        keep_alive = request.keep_alive and not self._outlet.draining and not request.http10
        data = plain("500 Internal Server Error", "", self._outlet.stamp, keep_alive=keep_alive, bare=request.method == "HEAD")
        self.sent = len(data.partition(b"\r\n\r\n")[2])
        self._done = True
        self.over = self._outlet.finish(data, keep_alive)

    def _name(self) -> str:
        return f"{self._request.method} {self._request.target}"


def _check_bytes(data: object) -> None:
    if not isinstance(data, bytes):
        raise AppError(f"a piece of the response must be bytes, not {type(data).__name__} (PEP 3333)")


def _longer(head: Head) -> AppError:
    return AppError(f"the response is longer than its Content-Length of {head.length}: cut (PEP 3333)")
