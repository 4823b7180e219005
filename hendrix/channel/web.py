"""The web node: the application on its listeners, and the drain.

Stopping it is the drain: accept no more, answer what is in flight with ``Connection: close``, close what is idle, and after ``--grace``
log what is left and cut it. Who has only just connected is not idle yet. A *patient* drain, where other processes go on serving, loses no
request of a client that keeps its connection for the next one: what is idle stays, has one more request answered, with
``Connection: close``, and is closed only at the end of the grace.
"""

from __future__ import annotations

import os
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
from hendrix.channel.health import Attentive, AttentiveReactor, Health
from hendrix.channel.moving import move
from hendrix.channel.noted import Access
from hendrix.channel.overtime import Overtime
from hendrix.channel.reactor_lane import ReactorConnection
from hendrix.channel.site import LAST, NOW, Limits, Measure, Mounts, Peer, Site, Trace
from hendrix.channel.sockets import Listener, Sockets
from hendrix.channel.wires import Board
from hendrix.crosstown.service import CrosstownService
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
# Seconds at the end of a patient drain in which what is idle is closed, before anything is cut; a quarter of the grace if that is less.
FAREWELL = 1.0


class Web(Service):
    """Serves an application on the listeners of `Sockets` with the threads of `CrewService`.

    :param load: imports the application; gives it with its name.
    :param access: called for each response.
    :param measure: hears of each, too.
    :param trace: records each.
    :param grace: seconds for requests in flight when it is stopped.
    :param health: the path where it is asked whether more requests should come.
    :param ready: whether the rest of the tree is up, for that; called on any thread.
    :param request_timeout: seconds that the application has for a request; 0 is no limit.
    :param shared: other processes serve the same sockets.
    :param mounts: what is served beside the application, once that is loaded.
    :param beside: makes the application that is asked under `site.OWN`, of the one that has the rest.
    :ivar app_name: what the application is called.
    :ivar patient: drain patiently; may be taken back during the drain.
    :ivar heirs: other processes accept who has not been accepted yet.
    :ivar on_deaf: called when the last connection has been accepted.
    """

    name = "web"
    patient = heirs = False
    on_deaf: Callable[[], object] = staticmethod(lambda: None)

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
        measure: Measure | None = None,
        trace: Trace | None = None,
        request_timeout: float = 0,
        shared: bool = False,
        health: str | None = None,
        ready: Callable[[], bool] = lambda: True,
        beside: Callable[[Application], Application] | None = None,
        mounts: Mounts | None = None,
    ) -> None:
        self._beside, self._mounts = beside, mounts
        self._shared = shared
        self._overtime = Overtime(request_timeout, reactor.callLater) if request_timeout else None
        self._request_timeout = request_timeout
        self._stamp = Stamp(server_header)
        self._reactor, self._sockets, self._crew, self._crosstown, self._load = reactor, sockets, crew, crosstown, load
        self.app_name = app_name
        self._limits, self._grace, self._port_file = limits, grace, port_file
        self._access, self._measure, self._trace = access, measure, trace
        self._health, self._ready = Health(health, self._trouble) if health else None, ready
        self._trusted = TrustedProxies(trusted) if trusted else None
        self._fast: set[FastConnection] = set()
        self._slow: set[ReactorConnection] = set()
        self._acceptors: list[Acceptor] = []
        self._mailbox = Mailbox(reactor.callFromThread)
        self._board = Board(reactor)
        self._sweep = LoopingCall(self._look_at_deadlines)
        self._sweep.clock = reactor
        self._leaving = 0

    def describe(self) -> str:
        return f"{self.app_name} on {self._sockets.describe()}"

    def numbers(self) -> dict[str, int]:
        crew, fast, slow = self._crew.crew, len(self._fast), list(self._slow)
        secure = sum(connection.secure for connection in slow)
        return {
            "connections": fast + len(slow),
            "fast_lane": fast,
            "reactor_lane": len(slow),
            "tls": secure,
            "requests": crew.requests if crew else 0,
        }

    @property
    def connections(self) -> list[FastConnection | ReactorConnection]:
        """Those that are open."""
        return [*self._fast, *self._slow]

    # Start.

    def startService(self) -> None:
        super().startService()
        self._leaving = 0
        application, self.app_name = self._load()
        if self._health is not None:
            application = self._health.beside(application)
        dispatcher = self._crosstown.dispatcher
        assert dispatcher is not None
        for listener in self._sockets.listeners:
            base, hand_over = self._base(listener), partial(self._mailbox.post, self._board.connect)
            trusted = None if listener.onion_port else self._trusted
            site = Site(application, base, self._limits, self._stamp, dispatcher, trusted, hand_over=hand_over)
            site.anonymous = bool(listener.onion_port)
            site.access, site.measure, site.trace = self._access, self._measure, self._trace
            site.mounts, site.move = self._mounts, partial(self._mailbox.post, self._move, site)
            if self._beside is not None:
                site.own = self._beside(application)
            self._serve(listener, site)
        limits = self._limits
        shortest = min(
            filter(None, (limits.header_timeout, limits.body_timeout, limits.write_timeout, limits.keepalive, self._request_timeout))
        )
        self._sweep.start(min(SWEEP, shortest / 4), now=False)
        if self._port_file is not None:
            self._sockets.write_port_file(self._port_file)
        if not self._shared:
            self._announce()

    def _base(self, listener: Listener) -> dict[str, Any]:
        host = listener.port.getHost()
        name = getattr(host, "host", None)
        if not isinstance(name, str) or name in ("0.0.0.0", "::"):
            name = "localhost"
        scheme = "https" if listener.secure else "http"
        if listener.onion_port:
            return base_environ("localhost", str(listener.onion_port), scheme, multiprocess=self._shared)
        port = str(getattr(host, "port", None) or (443 if listener.secure else 80))
        return base_environ(name, port, scheme, multiprocess=self._shared)

    def _serve(self, listener: Listener, site: Site) -> None:
        lane, crew = self._crew.lane, self._crew.crew
        assert crew is not None
        if listener.plain and lane is not None:
            connected = partial(self._connected, lane, site)
            call_later = partial(self._reactor.callFromThread, self._reactor.callLater)
            acceptor = Acceptor(lane, listener.detached_socket(), connected, call_later, self._shared)
            self._acceptors.append(acceptor)
            acceptor.start()
            return

        listener.reception.build = lambda address: self._on_the_reactor_lane(site)
        if hasattr(listener.port, "startReading"):
            listener.port.startReading()

    def _connected(self, lane: FastLane, site: Site, sock: Any, address: Any) -> None:
        """A new plain connection (worker thread)."""
        peer: Peer = (address[0], str(address[1])) if type(address) is tuple and not site.anonymous else ("", "")
        health, owners = self._health, self._fast
        connection = Attentive(lane, site, sock, peer, owners, health) if health else FastConnection(lane, site, sock, peer, owners)
        if self._leaving:
            connection.drain(self._leaving)
        try:
            connection.ready()
        except Exception:
            log.failure("a new connection cannot be served")
            connection.fail()

    def _on_the_reactor_lane(self, site: Site) -> ReactorConnection:
        crew = self._crew.crew
        assert crew is not None
        if self._health is not None:
            return AttentiveReactor(site, crew, self._mailbox, self._slow, self._reactor, self._health)
        return ReactorConnection(site, crew, self._mailbox, self._slow, self._reactor)

    def _move(self, site: Site, fast: FastConnection) -> None:
        move(fast, self._on_the_reactor_lane(site), self._reactor)

    def _trouble(self) -> str:
        """Why no more requests should come, "" if they may (any thread)."""
        if self._leaving == NOW:
            return "the process is about to end"
        if not self._ready():
            return "the process is starting"
        crew, dispatcher = self._crew.crew, self._crosstown.dispatcher
        room = crew is not None and dispatcher is not None and crew.backlog - len(dispatcher.in_line) < self._limits.backlog
        return "" if room else "enough requests wait for a thread"

    def _announce(self) -> None:
        for listener in self._sockets.listeners:
            log.info("serving {name} on {url}", name=self.app_name, url=listener.url)
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
            if self._overtime is not None:
                self._overtime.look(self._crew.crew.workers, self._stamp)
        for slow in list(self._slow):
            _try(slow.expire, slow.site.clock())

    # Stop.

    def stopService(self) -> Deferred[None]:
        """Drain. Fires when the last connection has closed, after ``grace`` seconds at the latest."""
        super().stopService()
        return Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        began = self._reactor.seconds()
        self._leaving = LAST if self.patient else NOW
        await self._stop_accepting()
        self.on_deaf()
        if self.connections:
            log.info("draining; open connections: {count}", count=len(self.connections))
        await self._wait_for_last_requests(began)
        self._leaving = NOW
        while self._open and self._reactor.seconds() < began + self._grace:
            self._drain_step()
            if self._open:
                await deferLater(self._reactor, DRAIN_STEP)
        self._cut(self._reactor.seconds() - began)
        if self._sweep.running:
            self._sweep.stop()
        self._acceptors = []

    async def _stop_accepting(self) -> None:
        for listener in self._sockets.listeners:
            if not listener.plain:
                await maybeDeferred(listener.port.stopListening)
        for acceptor in self._acceptors:
            acceptor.stop(accept=not (self.patient or self.heirs))
        while not all(acceptor.closed for acceptor in self._acceptors):
            await deferLater(self._reactor, ACCEPT_STEP)
        # Not before: it shuts down the socket that a worker may still be accepting from, and what waits there would be reset.
        for listener in self._sockets.listeners:
            if listener.plain:
                await maybeDeferred(listener.port.stopListening)

    async def _wait_for_last_requests(self, began: float) -> None:
        """The patience: each connection may have one more request answered."""
        if self.patient:
            for connection in self.connections:
                _try(connection.drain, LAST)
        while self.patient and self._open and self._reactor.seconds() < began + self._grace - min(FAREWELL, self._grace / 4):
            await deferLater(self._reactor, DRAIN_STEP)

    def hurry(self) -> None:
        """Cut what is in flight, without waiting for the end of ``grace``."""
        self._grace = 0.0

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

    def _cut(self, seconds: float) -> None:
        for connection in self.connections:
            if connection.title:
                log.warn("cut after {seconds:g} s: {request}", seconds=round(seconds, 1), request=connection.title)
            _try(connection.cut)


def _try(step: Callable[..., None], *args: float) -> None:
    """What goes wrong with one connection is no matter of the others'."""
    try:
        step(*args)
    except Exception:
        log.failure("closing a connection failed: this is a bug in hendrix")
