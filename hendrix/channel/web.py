"""The web node: the application on its listeners, and the drain.

Stopping it is the drain: accept no more, answer what is in flight with ``Connection: close``, close what is idle, and after ``--grace``
log what is left and cut it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from hendrix.channel.crew_service import CrewService
from hendrix.channel.fast import Acceptor, FastLane
from hendrix.channel.fast_connection import FastConnection
from hendrix.channel.reactor_lane import ReactorConnection
from hendrix.channel.site import Access, Limits, Peer, Site
from hendrix.channel.sockets import Listener, Sockets
from hendrix.channel.wires import PlainWire
from hendrix.crosstown.service import CrosstownService
from hendrix.errors import ConfigurationError
from hendrix.threads.mailbox import Mailbox
from hendrix.wire.forwarded import TrustedProxies
from hendrix.wire.response import Stamp
from hendrix.wsgi.call import Application
from hendrix.wsgi.environ import base_environ

log = Logger(namespace="hendrix.web")

# Seconds between two looks at the deadlines.
SWEEP = 1.0
# Seconds between two looks whether the workers have accepted the last connections.
ACCEPT_STEP = 0.001
# Seconds between two looks at what is still in flight when draining.
DRAIN_STEP = 0.02


class Web(Service):
    """Serves an application on the listeners of `Sockets` with the threads of `CrewService`.

    :param load: imports the application; gives it with its name.
    :param access: called for each response.
    :param grace: seconds for requests in flight when it is stopped.
    """

    name = "web"

    def __init__(
        self,
        reactor: Any,
        sockets: Sockets,
        crew: CrewService,
        crosstown: CrosstownService,
        load: Callable[[], tuple[Application, str]],
        app_name: str,
        *,
        limits: Limits,
        server_header: str,
        trusted: tuple[str, ...],
        grace: float,
        port_file: str | None,
        access: Access | None = None,
    ) -> None:
        self._reactor, self._sockets, self._crew, self._crosstown, self._load = reactor, sockets, crew, crosstown, load
        self._app_name = app_name
        self._limits, self._server_header, self._grace, self._port_file, self._access = limits, server_header, grace, port_file, access
        self._trusted = TrustedProxies(trusted) if trusted else None
        self._fast: set[FastConnection] = set()
        self._slow: set[ReactorConnection] = set()
        self._acceptors: list[Acceptor] = []
        self._mailbox = Mailbox(reactor.callFromThread)
        self._sweep = LoopingCall(self._look_at_deadlines)
        self._sweep.clock = reactor
        self._draining = False

    def describe(self) -> str:
        return f"{self._app_name} on {self._sockets.describe()}"

    @property
    def connections(self) -> list[FastConnection | ReactorConnection]:
        """Those that are open."""
        return [*self._fast, *self._slow]

    # Start.

    def startService(self) -> None:
        super().startService()
        self._draining = False
        application, self._app_name = self._load()
        stamp, dispatcher = Stamp(self._server_header), self._crosstown.dispatcher
        assert dispatcher is not None
        for listener in self._sockets.listeners:
            base, hand_over = self._base(listener), partial(self._mailbox.post, PlainWire, self._reactor)
            site = Site(application, base, self._limits, stamp, dispatcher, self._trusted, self._access, hand_over)
            self._serve(listener, site)
        shortest = min(self._limits.header_timeout, self._limits.body_timeout, self._limits.write_timeout, self._limits.keepalive or SWEEP)
        self._sweep.start(min(SWEEP, shortest / 4), now=False)
        if self._port_file is not None:
            self._write_port_file(self._port_file)
        self._announce()

    def _base(self, listener: Listener) -> dict[str, Any]:
        host = listener.port.getHost()
        name = getattr(host, "host", None)
        if not isinstance(name, str) or name in ("0.0.0.0", "::"):
            name = "localhost"
        scheme = "https" if listener.secure else "http"
        port = str(getattr(host, "port", None) or (443 if listener.secure else 80))
        return base_environ(name, port, scheme, multiprocess=False)

    def _serve(self, listener: Listener, site: Site) -> None:
        lane, crew = self._crew.lane, self._crew.crew
        assert crew is not None
        if listener.plain and lane is not None:
            connected = partial(self._connected, lane, site)
            call_later = partial(self._reactor.callFromThread, self._reactor.callLater)
            acceptor = Acceptor(lane, listener.detached_socket(), connected, call_later)
            self._acceptors.append(acceptor)
            acceptor.start()
            return

        def build(address: object) -> ReactorConnection:
            return ReactorConnection(site, crew, self._mailbox, self._slow, self._reactor)

        listener.reception.build = build
        if hasattr(listener.port, "startReading"):
            listener.port.startReading()

    def _connected(self, lane: FastLane, site: Site, sock: Any, address: Any) -> None:
        """A new plain connection (worker thread)."""
        peer: Peer = (address[0], str(address[1])) if type(address) is tuple else ("", "")
        connection = FastConnection(lane, site, sock, peer, self._fast)
        if self._draining:
            connection.drain()
        try:
            connection.ready()
        except Exception:
            log.failure("a new connection cannot be served")
            connection.fail()

    def _write_port_file(self, name: str) -> None:
        text = "".join(f"{listener.address}\n" for listener in self._sockets.listeners)
        try:
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(name) or ".", prefix=".hendrix-")
            with open(handle, "w") as file:
                file.write(text)
            os.chmod(temporary, 0o644)
            os.replace(temporary, name)
        except OSError as error:
            advice = "give a file in a directory that this user may write to"
            raise ConfigurationError(f"--port-file={name}: {error.strerror}; {advice}") from None

    def _announce(self) -> None:
        for listener in self._sockets.listeners:
            log.info("serving {name} on {url}", name=self._app_name, url=listener.url)
        end = f"stop with Ctrl-C or kill {os.getpid()}: requests in flight have {self._grace:g} s"
        log.info("{crew}; {end}", crew=self._crew.describe(), end=end)

    # Deadlines.

    def _look_at_deadlines(self) -> None:
        now = self._reactor.seconds()
        if self._crew.lane is not None:
            now = self._crew.lane.tick()
        for connection in list(self._fast):
            if connection.overdue(now):
                _try(connection.expire, now)
        if self._crew.crew is not None:
            self._crew.crew.nudge()
        for slow in list(self._slow):
            _try(slow.expire, slow.site.clock())

    # Stop.

    def stopService(self) -> Deferred[None]:
        """Drain. Fires when the last connection has closed, after ``grace`` seconds at the latest."""
        super().stopService()
        return Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        self._draining = True
        for listener in self._sockets.listeners:
            if not listener.plain:
                await maybeDeferred(listener.port.stopListening)
        for acceptor in self._acceptors:
            acceptor.stop()
        while not all(acceptor.closed for acceptor in self._acceptors):
            await deferLater(self._reactor, ACCEPT_STEP)
        # Not before: it shuts down the socket that a worker may still be accepting from, and what waits there would be reset.
        for listener in self._sockets.listeners:
            if listener.plain:
                await maybeDeferred(listener.port.stopListening)
        if self.connections:
            log.info("draining; open connections: {count}", count=len(self.connections))
        deadline = self._reactor.seconds() + self._grace
        while self._open and self._reactor.seconds() < deadline:
            self._drain_step()
            if self._open:
                await deferLater(self._reactor, DRAIN_STEP)
        self._cut()
        if self._sweep.running:
            self._sweep.stop()
        self._acceptors = []

    @property
    def _open(self) -> bool:
        """Whether there are connections, or a worker may still be accepting one."""
        return not all(acceptor.closed for acceptor in self._acceptors) or bool(self.connections)

    def _drain_step(self) -> None:
        if self._crew.lane is not None:
            self._crew.lane.tick()
        for connection in self.connections:
            _try(connection.drain)
        if self._crew.crew is not None:
            self._crew.crew.nudge()

    def _cut(self) -> None:
        for connection in self.connections:
            response = connection.response
            if response is not None:
                log.warn("cut after {grace:g} s: {request}", grace=self._grace, request=response.title)
            _try(connection.cut)


def _try(step: Callable[..., None], *args: float) -> None:
    """What goes wrong with one connection is no matter of the others'."""
    try:
        step(*args)
    except Exception:
        log.failure("closing a connection failed: this is a bug in hendrix")
