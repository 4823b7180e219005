"""The node "systemd": tells the service manager how we are (sd_notify(3)), by datagrams to the socket that it names.

A datagram with lines of ``KEY=VALUE``: that is all there is to it, so there is no library.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

log = Logger(namespace="hendrix.notify")

# Seconds between two looks at what there is to say about us, and at most between two signs of life: more often if the watchdog wants it.
INTERVAL = 5.0


class Notify(Service):
    """The last child of the root, so that all are up when it starts, and none has stopped when it stops.

    :param address: of the manager's socket: a path, or an abstract name behind ``@``.
    :param watchdog: seconds in which it wants a sign of life from the reactor; 0 if it wants none.
    :param status: gives one line about us.
    """

    name = "systemd"

    def __init__(self, reactor: Any, address: str, watchdog: float, status: Callable[[], str]) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog, self._status, self._said = watchdog, status, ""
        self._interval = min(INTERVAL, watchdog / 2) if watchdog else INTERVAL
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    @classmethod
    def of_environment(cls, reactor: Any, environ: Mapping[str, str], status: Callable[[], str]) -> Notify | None:
        """The node, if there is somebody to tell."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return None
        ours = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        microseconds = environ.get("WATCHDOG_USEC", "")
        return cls(reactor, address, int(microseconds) / 1e6 if ours and microseconds.isdecimal() else 0.0, status)

    def describe(self) -> str:
        return f"a sign of life every {self._interval:g} s" if self._watchdog else "ready and stopping are told"

    def startService(self) -> None:
        """All are up."""
        super().startService()
        self.tell("READY=1")
        self._looking.start(self._interval)

    def stopService(self) -> None:
        """The drain begins."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()
        self.tell("STOPPING=1", "STATUS=draining")

    def around(self, reload: Callable[..., Any]) -> Callable[..., Deferred[Any]]:
        """A function that reloads, and tells when it begins and when it has ended, however it ends."""

        def reloading(*args: Any) -> Deferred[Any]:
            self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            return maybeDeferred(reload, *args).addBoth(reloaded)

        def reloaded(result: Any) -> Any:
            self.tell("READY=1")
            return result

        return reloading

    def tell(self, *lines: str) -> None:
        """Send it, if the manager takes it. It never waits."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warn("the service manager could not be told: {error}", error=error)

    def _look(self) -> None:
        status = self._status()
        news = [f"STATUS={status}"] if status != self._said else []
        life = ["WATCHDOG=1"] if self._watchdog else []
        self._said = status
        if news or life:
            self.tell(*life, *news)
