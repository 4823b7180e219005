"""The access log: a line for each answered request, and its file.

The thread that answers only appends a tuple to a bounded queue; a timer writes what has gathered with one ``write(2)``. Where
requests outrun the disk, lines are dropped and counted, and memory stays bounded.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Final

from hendrix.access.formats import Format
from hendrix.access.record import Origin, Record
from hendrix.access.terminal import in_colour
from hendrix.errors import ConfigurationError

LIMIT: Final = 65536
"""Records that may wait to be written: more than a second's worth of the fastest application."""

LARGE: Final = 4096
"""Bytes of a request, above which its record may be a large one."""

MOST: Final = 64 << 20
"""Characters of large records that may wait."""

RECEIVED: Final = 14  # its place in a `Record`

STDOUT: Final = "-"


class AccessLog:
    """Appended to by any thread, written by `flush`.

    :param path: a file, created if need be and appended to, or "-" for the standard output.
    :param form: a format, see `Format`.
    :param limit: how many records may wait.
    :param worker: the name of the process.
    :raises ConfigurationError: the file cannot be opened.
    :ivar dropped: how many records were lost to the limit or to a failing write.
    :ivar queue: what waits to be written, up to ``limit``.
    """

    def __init__(self, path: str, form: str = "combined", limit: int = LIMIT, worker: str = "hendrix") -> None:
        self.dropped = self._heavy = 0
        self._path = path
        self.limit = limit
        self.queue: deque[Record] = deque()
        self._lock = threading.Lock()  # the file and the count; append() takes it only to drop
        self._file = self._open()
        self._worker = worker
        self.format = Format(form, lambda: in_colour(self._file, os.environ))

    def append(self, record: Record) -> None:
        """Queue a record, which may be a plain tuple, or drop it where too many wait (any thread; never blocks on the disk)."""
        queue = self.queue
        if len(queue) < self.limit and (record[RECEIVED] <= LARGE or self._has_room(record)):
            queue.append(record)
        else:
            self.drop(1)

    def _has_room(self, record: Record) -> bool:
        """Whether a large one may wait too. Threads that look at the same time may let in one too many each."""
        size = sum(len(text) for text in record if isinstance(text, str))
        self._heavy += size
        return self._heavy <= MOST

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
            self.limit = 0
            self._close()

    def drop(self, count: int) -> None:
        """So many were not queued (any thread)."""
        with self._lock:
            self.dropped += count

    def _flush(self) -> None:
        count, self._heavy = len(self.queue), 0
        if count == 0:
            return
        line, origin = self.format.line, Origin(time.time() - time.monotonic(), self._worker, os.getpid())
        data = "".join([line(self.queue.popleft(), origin) for _ in range(count)]).encode("ascii")
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
