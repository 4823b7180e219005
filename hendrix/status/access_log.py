"""The access log: a line for each answered request, in Apache's combined format, as JSON or for a terminal.

The thread that answers only appends a tuple to a bounded queue; a timer writes what has gathered with one ``write(2)``. Where
requests outrun the disk, lines are dropped and counted, and memory stays bounded.

No request can forge a line: what is not printable ASCII is escaped in all formats, and so are quotes and backslashes.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from hendrix.errors import ConfigurationError
from hendrix.status.terminal import in_colour, terminal_line

Format = Literal["combined", "json", "terminal"]

LIMIT: Final = 65536
"""Records that may wait to be written: some 40 MiB at worst, and a second's worth of the fastest application."""

STDOUT: Final = "-"
_UNSAFE: Final = re.compile(r"[^ !#-\[\]-~]")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Record(NamedTuple):
    """One answered request. Absent text is ""; all text is as it came, unescaped.

    :ivar time: when the request arrived, seconds since 1970.
    :ivar remote_addr: who asked; "" on a unix socket.
    :ivar method: "" (as ``target`` and ``protocol``) where the request line did not parse.
    :ivar target: the raw request target.
    :ivar protocol: as "HTTP/1.1".
    :ivar status: of the answer.
    :ivar sent: bytes of the body that were sent.
    :ivar duration: seconds in the application, until its response was handed over.
    """

    time: float
    remote_addr: str
    method: str
    target: str
    protocol: str
    status: int
    sent: int
    referer: str
    user_agent: str
    duration: float


class AccessLog:
    """Appended to by any thread, written by `flush`.

    :param path: a file, created if need be and appended to, or "-" for the standard output.
    :param form: "combined", "json" or "terminal".
    :param limit: how many records may wait.
    :raises ConfigurationError: the file cannot be opened.
    :ivar dropped: how many records were lost to the limit or to a failing write.
    """

    def __init__(self, path: str, form: Format = "combined", limit: int = LIMIT) -> None:
        self.dropped = 0
        self._path = path
        self._limit = limit
        self._queue: deque[Record] = deque()
        self._lock = threading.Lock()  # the file and the count; append() takes it only to drop
        self._file = self._open()
        self._line: Callable[[Record], str] = {"json": json_line, "combined": combined_line, "terminal": self._short_line}[form]

    def append(self, record: Record) -> None:
        """Queue a record, or drop it where too many wait (any thread; never blocks on the disk)."""
        if len(self._queue) < self._limit:
            self._queue.append(record)
        else:
            self._drop(1)

    def flush(self) -> None:
        """Write what was queued when the call came. A failing write loses its lines, which are counted (any thread)."""
        with self._lock:
            self._flush()

    def reopen(self) -> None:
        """Write what is queued, then open the file anew: it was rotated away (any thread).

        :raises ConfigurationError: it cannot be opened; the old one stays in use.
        """
        with self._lock:
            self._flush()
            fresh = self._open()
            self._close()
            self._file = fresh

    def close(self) -> None:
        """Write what is queued and close the file; what comes later is dropped. Does no harm when repeated (any thread)."""
        with self._lock:
            self._flush()
            self._limit = 0
            self._close()

    def _short_line(self, record: Record) -> str:
        method, target = _escape(record.method), _escape(record.target)
        coloured = in_colour(self._file, os.environ)
        return terminal_line(record.time, method, target, record.status, record.sent, record.duration, coloured)

    def _drop(self, count: int) -> None:
        with self._lock:
            self.dropped += count

    def _flush(self) -> None:
        count = len(self._queue)
        if count == 0:
            return
        data = "".join([self._line(self._queue.popleft()) for _ in range(count)]).encode("ascii")
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:  # the disk is full, or nobody reads the pipe: the site serves on
            self.dropped += data.count(b"\n")

    def _open(self) -> int:
        # Not sys.stdout: twistd makes that a log of its own. A copy, so that closing it leaves the process its output.
        try:
            return os.dup(1) if self._path == STDOUT else os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            message = f"--access-log={self._path}: {error.strerror}; give a file that can be written, or - for the standard output"
            raise ConfigurationError(message) from None

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def combined_line(record: Record) -> str:
    """A line of Apache's combined format: ``%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"``."""
    request = f"{record.method} {record.target} {record.protocol}" if record.method else "-"
    return (
        f"{_escape(record.remote_addr).replace(' ', '_') or '-'} - - [{_stamp(int(record.time))}] "
        f'"{_escape(request)}" {record.status} {record.sent or "-"} '
        f'"{_escape(record.referer) or "-"}" "{_escape(record.user_agent) or "-"}"\n'
    )


def json_line(record: Record) -> str:
    """An object with the fields of `Record`, on one line."""
    return json.dumps(record._asdict(), separators=(",", ":")) + "\n"


def _escape(text: str) -> str:
    return text if _UNSAFE.search(text) is None else _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    """As Apache: a backslash before quotes and backslashes, and ``\\xhh`` for the rest; wider characters as in Python."""
    character = match[0]
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@lru_cache(maxsize=8)
def _stamp(second: int) -> str:
    """Local time as ``10/Oct/2000:13:55:36 -0700``; not strftime's month, which follows the locale."""
    now = time.localtime(second)
    sign, minutes = "-" if now.tm_gmtoff < 0 else "+", abs(now.tm_gmtoff) // 60
    day = f"{now.tm_mday:02d}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year:04d}"
    return f"{day}:{now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d} {sign}{minutes // 60:02d}{minutes % 60:02d}"
