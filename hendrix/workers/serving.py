"""The part of the tree that serves: the same in a process of its own and in each worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from hendrix.channel.crew_service import CrewService
from hendrix.channel.site import Limits, Measure
from hendrix.channel.sockets import Sockets
from hendrix.channel.web import Web
from hendrix.control.commands import Commands
from hendrix.control.profile import add_profile
from hendrix.control.threads import add_threads
from hendrix.crosstown.service import CrosstownService
from hendrix.errors import ConfigurationError
from hendrix.hey_joe import branch, client_files
from hendrix.hey_joe.connections import Connections
from hendrix.hey_joe.door import Door
from hendrix.options import Settings
from hendrix.status.python_logging import hear_python_logging
from hendrix.status.service import AccessLogService
from hendrix.threads.worker import Worker
from hendrix.workers.signals import Signals
from hendrix.wsgi.call import Application
from hendrix.wsgi.static import Static

if TYPE_CHECKING:
    from hendrix.channel.resources import Resources
    from hendrix.metrics.totals import Counting
    from hendrix.metrics.tracing import Tracing
    from hendrix.status.witness import Hearer, Witness

log = Logger(namespace="hendrix.web")


class Alone(Web):
    """The node "web" of a process without workers: it hears signals itself."""

    signals: Signals

    def startService(self) -> None:
        self.signals.install()  # first: who reads the port file may send one
        try:
            super().startService()
        except BaseException:
            self.signals.remove()
            raise

    def stopService(self) -> Deferred[None]:
        def remove(result: Any) -> Any:
            self.signals.remove()
            return result

        return super().stopService().addBoth(remove)


class Serving:
    """The nodes "opentelemetry", "crew", "crosstown", "access log", "reports", "connections", "resources" and "web", in the order in which
    they start.

    :param sockets: what to serve on; it starts before them.
    :param load: imports the application; gives it with its name.
    :param root: of the tree that these nodes are in.
    :param shared: other processes serve the same sockets.
    :param resources: objects of twisted.web to serve beside the application.
    :param hearer: hears the reports for the live page; None where there is no such page.
    :param counting: counts what is served.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        sockets: Sockets,
        load: Callable[[], tuple[Application, str]],
        root: MultiService,
        *,
        shared: bool,
        resources: Sequence[Any] = (),
        hearer: Hearer | None = None,
        counting: Counting | None = None,
    ) -> None:
        self._sockets, self._load_application = sockets, load
        self.resources = _resources(settings, resources)
        self.static = Static(settings.static, settings.static_max_age) if settings.static else None
        self.crew = CrewService(reactor, settings.threads)
        at_a_time = settings.crosstown_threads or max(1, settings.threads - 1)
        self.crosstown = CrosstownService(
            reactor,
            lambda: self.crew.crew,
            at_a_time,
            settings.crosstown_grace,
            settings.crosstown_processes,
            counting.tallies if counting else None,
        )
        self.access_log = (
            AccessLogService(reactor, settings.access_log, settings.access_log_format, str(root.name)) if settings.access_log else None
        )
        self.witness = self._witness(reactor, hearer) if hearer is not None else None
        self.tracing = tracing(reactor) if settings.opentelemetry else None
        self._tells_routes = counting is not None or settings.opentelemetry
        self.connections = Connections(
            reactor,
            lambda: self.crew.crew,
            lambda: branch.current,
            spread=settings.farewell,
            grace=settings.grace,
            write_timeout=settings.write_timeout,
            max_message=settings.max_message,
            heartbeat=settings.heartbeat,
        )
        self.web = (Web if shared else Alone)(
            reactor,
            sockets,
            self.crew,
            self.crosstown,
            self._load,
            name_of_application(settings),
            limits=_limits(settings),
            server_header=settings.server_header,
            trusted=settings.trusted_proxy,
            grace=settings.grace,
            port_file=None if shared else settings.port_file,
            access=self.access_log.append if self.access_log else None,
            measure=_each(*([counting.meter] if counting else []), *([self.witness.meter] if self.witness else [])),
            trace=self.tracing.request if self.tracing else None,
            health=settings.health,
            ready=lambda: all(getattr(node, "running", True) for node in list(root)),
            request_timeout=settings.request_timeout,
            shared=shared,
            beside=lambda application: Door(settings.secret).beside(client_files.beside(application)),
            mounts=self.resources,
        )
        if isinstance(self.web, Alone):
            self.web.signals = Signals(reactor, {"SIGHUP": self._reload, "SIGUSR1": self.reopen_logs})

    def _load(self) -> tuple[Application, str]:
        """The application, and then what stands beside it: that may rely on what an application sets up."""
        hear_python_logging()  # first: an application may log when it is imported
        application, name = self._load_application()
        if self._tells_routes:
            from hendrix.metrics.routes import tell_routes

            tell_routes(application)
        if self.static is not None:
            self.static.load()
            application = self.static.beside(application)
        if self.resources is not None:
            self.resources.load()
        return application, name

    def add_commands(self, commands: Commands) -> None:
        """What can be asked where there are no workers."""
        commands.add("reload", self._reloaded, "Read certificates anew and reopen the log files.")
        add_threads(commands, lambda: self.crew.crew)
        add_profile(commands)

    def _witness(self, reactor: Any, hearer: Hearer) -> Witness:
        from hendrix.status.witness import Witness

        return Witness(reactor, self._threads, lambda: self.crosstown.dispatcher, hearer)

    def _threads(self) -> list[Worker]:
        crew = self.crew.crew
        return list(crew.workers) if crew is not None else []

    def _reloaded(self, arguments: dict[str, Any]) -> str:
        return self._reload()

    def _reload(self) -> str:
        self._sockets.renew_certificates()
        self.reopen_logs()
        if self.static is not None:
            try:
                self.static.load()
            except ConfigurationError as error:
                log.error("{error}; what was served before still is", error=error)
        words = "certificates and log files; new code needs a restart, or --workers=1 or more"
        log.info("read anew: {words}", words=words)
        return words

    def reopen_logs(self) -> None:
        try:
            if self.access_log is not None:
                self.access_log.reopen()
        except ConfigurationError as error:
            log.error("{error}", error=error)

    def __iter__(self) -> Iterator[Service]:
        nodes = (self.tracing, self.crew, self.crosstown, self.access_log, self.witness, self.connections, self.resources, self.web)
        return iter([node for node in nodes if node is not None])


def _resources(settings: Settings, objects: Sequence[Any]) -> Resources | None:
    if not settings.mount and not objects:
        return None
    from hendrix.channel.resources import Resources  # and with it twisted.web

    return Resources(settings.mount, objects)


def tracing(reactor: Any) -> Tracing:
    """What records spans.

    :raises ConfigurationError: what it needs is not installed.
    """
    try:
        from hendrix.metrics.tracing import Tracing
    except ImportError as error:
        raise ConfigurationError(f"--opentelemetry: {error}; pip install 'hendrix[opentelemetry]', or leave it out") from None
    return Tracing(reactor)


def name_of_application(settings: Settings) -> str:
    """What the application is called until it is loaded."""
    if isinstance(settings.wsgi, str):
        return settings.wsgi
    return "a Django project" if settings.wsgi is None else repr(settings.wsgi)


def _each(*measures: Measure) -> Measure | None:
    """One that tells them all."""
    return _Each(*measures) if len(measures) > 1 else measures[0] if measures else None


class _Each:
    def __init__(self, first: Measure, second: Measure) -> None:
        self._first, self._second = first, second

    def served(self, environ: dict[str, Any], method: str, code: str, received: int, sent: int, waited: float, seconds: float) -> None:
        self._first.served(environ, method, code, received, sent, waited, seconds)
        self._second.served(environ, method, code, received, sent, waited, seconds)

    def refused(self, method: str, code: str) -> None:
        self._first.refused(method, code)
        self._second.refused(method, code)


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_head=settings.max_head,
        max_body=settings.max_body,
        header_timeout=settings.header_timeout,
        body_timeout=settings.body_timeout,
        keepalive=settings.keepalive,
        write_timeout=settings.write_timeout,
        backlog=settings.backlog,
    )
