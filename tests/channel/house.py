"""The services of the channel in this process, on a reactor of their own that the test turns by hand."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import twisted.internet.reactor  # noqa: F401  # a LoopingCall asks for it, whatever its clock is then
from hand import PATIENCE, echo
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.epollreactor import EPollReactor

from hendrix.channel.crew_service import CrewService
from hendrix.channel.site import Limits
from hendrix.channel.sockets import Sockets
from hendrix.channel.web import Web
from hendrix.crosstown.service import CrosstownService
from hendrix.wsgi.call import Application

TCP = "tcp:0:interface=127.0.0.1"


class House:
    """:param listen: endpoints; each test binds its own ports."""

    def __init__(
        self,
        application: Application = echo,
        listen: tuple[str, ...] = (TCP,),
        *,
        threads: int = 2,
        grace: float = PATIENCE,
        port_file: str | None = None,
        mounts: Any = None,
        **limits: Any,
    ) -> None:
        self.reactor = EPollReactor()
        self.application = application
        self.sockets = Sockets(self.reactor, listen)
        self.crew = CrewService(self.reactor, threads)
        self.crosstown = CrosstownService(self.reactor, lambda: self.crew.crew, 1, grace)
        self.web = Web(
            self.reactor,
            self.sockets,
            self.crew,
            self.crosstown,
            lambda: (self.application, "app"),
            "app",
            limits=Limits(**limits),
            server_header="hendrix",
            trusted=(),
            grace=grace,
            port_file=port_file,
            mounts=mounts,
        )
        self.running = False

    def start(self) -> House:
        self.running = True
        self.sockets.privilegedStartService()
        for service in (self.sockets, self.crew, self.crosstown, self.web):
            self.wait(service.startService)
        return self

    def stop(self) -> None:
        """In the order of the tree."""
        self.running = False
        for service in (self.web, self.crosstown, self.crew, self.sockets):
            self.wait(service.stopService)

    def turn(self, seconds: float = 0.001) -> None:
        """One turn of the reactor."""
        self.reactor.runUntilCurrent()
        self.reactor.doIteration(seconds)

    def until(self, condition: Callable[[], bool]) -> None:
        """Turn until it is so."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            self.turn()

    def wait(self, call: Callable[[], object]) -> None:
        """Turn until what it returned has fired; raises what that failed with."""
        results: list[object] = []
        deferred: Deferred[object] = maybeDeferred(call)
        deferred.addBoth(results.append)
        self.until(lambda: bool(results))
        raise_exception = getattr(results[0], "raiseException", None)
        if raise_exception is not None:
            raise_exception()

    def call(self, function: Callable[[], Any]) -> Any:
        """Have another thread call it, and turn until it returns."""
        results: list[Any] = []

        def run() -> None:
            try:
                results.append(function())
            except BaseException as error:
                results.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.until(lambda: bool(results))
        thread.join(PATIENCE)
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]

    def connect(self, index: int = 0) -> socket.socket:
        """A socket connected to a listener; with TLS, unverified, if it speaks that."""
        listener = self.sockets.listeners[index]
        kind, _, place = listener.address.partition(":")
        if kind == "unix":
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(PATIENCE)
            plain.connect(place)
        else:
            host, _, port = place.rpartition(":")
            plain = socket.create_connection((host.strip("[]"), int(port)), PATIENCE)
        if kind != "ssl":
            return plain
        return ssl._create_unverified_context().wrap_socket(plain, server_hostname="localhost")

    def get(self, path: str = "/", index: int = 0) -> tuple[int, bytes]:
        """Status and body."""

        def get() -> tuple[int, bytes]:
            with contextlib.closing(http.client.HTTPConnection("localhost")) as connection:
                connection.sock = self.connect(index)
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read()

        result: tuple[int, bytes] = self.call(get)
        return result

    def close(self) -> None:
        """Stop, and let go of the reactor's own descriptors."""
        if self.running:
            self.stop()
        self.reactor.disconnectAll()
        for _ in range(3):
            self.turn()
        for reader in self.reactor.removeAll():
            with contextlib.suppress(Exception):
                reader.connectionLost(None)
        waker = self.reactor.waker
        waker.connectionLost(None)
        self.reactor._poller.close()
