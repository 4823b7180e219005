"""Whether the kernel has sent what it has taken.

A socket takes some megabytes of which a client that does not read has seen nothing. They leave when the client makes room for them, and
the kernel tells of that only when it is asked.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from twisted.logger import Logger

if sys.platform == "linux":
    from fcntl import ioctl

log = Logger(namespace="hendrix.crosstown")

# How the kernel is asked (linux/sockios.h): bytes of the send queue that have not been sent once.
SIOCOUTQNSD = 0x894B
ZERO = bytes(4)
# Seconds between two looks: at first, and when nothing has moved for long.
LOOK, LONGEST_LOOK = 0.001, 0.02


def unsent(sock: socket.socket | None) -> bool:
    """Whether there are bytes that the kernel has taken and not sent. False where it cannot tell: not TCP, closed, not Linux."""
    if sys.platform != "linux" or sock is None:
        return False
    try:
        return ioctl(sock, SIOCOUTQNSD, ZERO) != ZERO
    except (OSError, ValueError):
        return False  # a unix socket hands over as it takes, and does not know the question


class Connection(Protocol):
    """What was sent on.

    :ivar open: as long as the kernel can be asked.
    :ivar left: afterwards, whether it was the client who ended it.
    """

    open: bool
    left: bool


class Response(Protocol):
    """What waits."""

    @property
    def title(self) -> str: ...
    def went_out(self, gone: bool = False) -> None: ...


class Watch:
    """Asks the kernel again and again about connections with slow readers, on a thread of its own while there are any.

    It takes no baton: to ask does no harm, and a descriptor that another connection has by now says nothing of a response whose own
    connection is closed, and which waits no longer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[tuple[Connection, socket.socket, list[Response], float]] = []
        self._runs = False

    def add(self, connection: Connection, sock: socket.socket, responses: Sequence[Response], deadline: float) -> None:
        """The responses have been taken by the kernel: tell them when they have left it, at ``deadline`` at the latest (any thread)."""
        with self._lock:
            self._entries.append((connection, sock, list(responses), deadline))
            if self._runs:
                return
            self._runs = True
        threading.Thread(target=self._run, name="crosstown-watch", daemon=True).start()

    def watches(self, connection: Connection) -> bool:
        """Whether there are responses of this connection."""
        with self._lock:
            return any(entry[0] is connection for entry in self._entries)

    def _run(self) -> None:
        look = LOOK
        while True:
            time.sleep(look)
            with self._lock:
                entries = list(self._entries)
            over = [entry for entry in entries if self._is_over(*entry)]
            look = LOOK if over else min(look * 1.5, LONGEST_LOOK)
            with self._lock:
                self._entries = [entry for entry in self._entries if entry not in over]
                if not self._entries:
                    self._runs = False
                    return

    def _is_over(self, connection: Connection, sock: socket.socket, responses: list[Response], deadline: float) -> bool:
        gone = False
        if not connection.open:
            gone = connection.left
        elif time.monotonic() > deadline:
            for response in responses:
                log.warn("{request}: the client has not read for too long; its tasks start", request=response.title)
        elif unsent(sock):
            return False
        for response in responses:
            response.went_out(gone)
        return True


watch = Watch()
