"""Whether the kernel has sent what it has taken.

A socket takes some megabytes of which a client that does not read has seen nothing. They leave when the client makes room for them, and
the kernel tells of that only when it is asked.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from typing import Protocol

if sys.platform == "linux":
    from fcntl import ioctl

# How the kernel is asked (linux/sockios.h): bytes of the send queue that have not been sent once.
SIOCOUTQNSD = 0x894B
ZERO = bytes(4)
# Seconds between two looks: at first, and when nothing has moved for long.
LOOK, LONGEST_LOOK = 0.001, 0.02


def unsent(sock: socket.socket | None) -> bool:
    """Whether there are bytes that the kernel has taken and not sent. False where it cannot tell: not TCP, closed, not Linux."""
    if sys.platform != "linux" or sock is None or sock.family == socket.AF_UNIX:  # a unix socket hands over as it takes
        return False
    try:
        return bool(struct.unpack("i", ioctl(sock, SIOCOUTQNSD, ZERO))[0])
    except (OSError, ValueError):
        return False


class Waiting(Protocol):
    """A connection with responses that the kernel may not have sent."""

    def look_whether_sent(self) -> bool:
        """Whether this need not be asked again."""


class Watch:
    """Asks connections again and again, on a thread of its own while there are any. Slow readers only: others are never here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: set[Waiting] = set()
        self._runs = False
        self._look = LOOK

    def add(self, connection: Waiting) -> None:
        """Ask it soon (any thread)."""
        with self._lock:
            self._watched.add(connection)
            self._look = LOOK
            if self._runs:
                return
            self._runs = True
        threading.Thread(target=self._run, name="crosstown-watch", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(self._look)
            with self._lock:
                watched, self._watched = self._watched, set()  # one that is added while it is asked is asked again
            waiting = {connection for connection in watched if not connection.look_whether_sent()}
            with self._lock:
                self._watched |= waiting
                self._look = LOOK if len(waiting) < len(watched) else min(self._look * 1.5, LONGEST_LOOK)
                if not self._watched:
                    self._runs = False
                    return


watch = Watch()
