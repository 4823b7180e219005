"""`HendrixDeploy`: a deployment over plain HTTP."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred, succeed
from twisted.logger import globalLogBeginner, textFileLogObserver

from hendrix.errors import ConfigurationError
from hendrix.launch import Launch, StartError
from hendrix.options import TABLE, Settings
from hendrix.service import makeService
from hendrix.supervision import hurry

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from hendrix.supervision import Supervisor

DEFAULTS: Mapping[str, Any] = {"http_port": 8000, "https_port": 4430, "https_only": False, "loud": False, "quiet": False}
OWN = {*DEFAULTS, "max_upload_bytes", "resources", "services"}


class HendrixDeploy:
    """A deployment over plain HTTP.

    :param action: only "start": what else hendrix 5 had is done by twistd and signals.
    :param options: the keywords of `Settings`, and of hendrix 5: ``http_port``, ``max_upload_bytes`` (``max_body``), ``loud`` (a line for
        each request), ``quiet`` (no log on standard output), ``services``, pairs of a name and a Twisted service, and ``resources``,
        twisted.web resources, each with a ``namespace``: the path to serve it under beside the application. Others cost a warning.
    :param reactor: the installed one if None.
    :param threadpool: of hendrix 5, not used: the crew has its own threads, as many as the option ``threads`` says.
    :ivar options: what was given over the defaults; read when the services are added.
    :ivar application: the WSGI application; None until it has been imported.
    :ivar hendrix: the tree, a MultiService; None until ``addServices``.
    :ivar servers: the names of the services in it, after ``catalogServers``.
    :raises ConfigurationError: a setting cannot work.
    """

    is_secure = False

    def __init__(
        self,
        action: str = "start",
        options: Mapping[str, Any] | None = None,
        reactor: Any = None,
        threadpool: Any = None,
    ) -> None:
        if action != "start":
            raise ConfigurationError(f"action={action}: only start is left; a process started by twistd is stopped by its pid file")
        given = dict(options or {})
        self.action, self.threadpool = action, threadpool
        self.options: dict[str, Any] = {**DEFAULTS, "wsgi": None, "settings": None, **given}
        self.services: list[tuple[str, Any]] = list(given.get("services") or ())
        self.resources: list[Any] = list(given.get("resources") or ())
        self.servers: list[str] = []
        self.application: WSGIApplication | None = given["wsgi"] if callable(given.get("wsgi")) else None
        self.use_settings = given.get("wsgi") is None
        self.hendrix: Supervisor | None = None
        self.reactor = reactor if reactor is not None else _installed_reactor()
        self._given = given
        self._warn(key for key, value in given.items() if key not in OWN and key not in TABLE and value not in (None, False))
        if threadpool is not None:
            warnings.warn("HendrixDeploy: threadpool is not used; give the option threads", stacklevel=3 if self.is_secure else 2)

    # What is done in this order, and what a subclass may do otherwise.

    def addServices(self) -> None:
        """Make the tree, unless that is done: the sockets, the crew and the application, and the ``services`` given."""
        if self.hendrix is None:
            self.addHendrix()

    def addHendrix(self) -> None:
        """Make ``self.hendrix``."""
        settings = self.make_settings()
        hendrix = makeService(settings, reactor=self.reactor, wrap=self._loaded, resources=self.resources)
        if hendrix.outcome is not None:
            hendrix.outcome.started()  # here an error is raised, not the end of the process, unless `run` says so
            hendrix.outcome = None
        for name, service in self.services:
            IService(service).setName(name)
            hendrix.addService(service)
        self.hendrix = hendrix

    def catalogServers(self, hendrix: Iterable[Any]) -> None:
        """Note the names of the services of a tree in ``servers``."""
        self.servers = [service.name for service in hendrix if service.name]

    def start(self, fd: Any = None) -> Deferred[None]:
        """Start the services, in a reactor that runs or is about to. They are stopped when it stops.

        :returns: fires when all have started.
        :raises ConfigurationError: what failed at once.
        """
        self.addServices()
        assert self.hendrix is not None
        started = self.hendrix.startService()
        self.reactor.addSystemEventTrigger("before", "shutdown", self.stop)
        return started or succeed(None)

    def stop(self) -> Deferred[None]:
        """Drain and stop the services. Fires when they have stopped."""
        if self.hendrix is None or not self.hendrix.running:
            return succeed(None)
        return self.hendrix.stopService()

    def run(self) -> None:
        """Start, and run the reactor until it is stopped. What cannot start costs one line on standard error and exit code 1."""
        launch = Launch(self.reactor)
        if not self.options["quiet"]:
            _log_to_standard_output()
        try:
            self.addServices()
            assert self.hendrix is not None
            self.catalogServers(self.hendrix)
            self.hendrix.outcome = launch
            launch.hurry = partial(hurry, self.hendrix)
            self.hendrix.privilegedStartService()
            self.hendrix.startService()
        except StartError:
            raise
        except Exception as error:
            raise launch.failed(error)
        self.reactor.addSystemEventTrigger("before", "shutdown", self.stop)
        self.reactor.run()

    def make_settings(self) -> Settings:
        """The settings that ``options`` make."""
        options = self.options
        keywords = {key: value for key, value in options.items() if key in TABLE and key not in DEFAULTS and value is not None}
        if options.get("max_upload_bytes") is not None:
            keywords["max_body"] = options["max_upload_bytes"]
        if options["loud"]:
            keywords.setdefault("access_log", "-")
        return Settings.from_environment({**keywords, **self._listen()})

    def _listen(self) -> dict[str, Any]:
        """The keywords that say where to listen."""
        if self.options["https_only"]:
            raise ConfigurationError("https_only=True: give key, cert and https_port to HendrixDeployTLS")
        return {"http_port": self.options["http_port"]} if self._chosen("http_port") else {}

    def _chosen(self, key: str) -> bool:
        return key in self._given or self.options[key] != DEFAULTS[key]

    def _loaded(self, application: WSGIApplication) -> WSGIApplication:
        self.application = application
        return application

    def _warn(self, unknown: Iterable[str]) -> None:
        for key in unknown:
            near = difflib.get_close_matches(key, [*TABLE, *OWN], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            warnings.warn(f"HendrixDeploy: the option {key!r} is not known and has no effect{hint}", stacklevel=4 if self.is_secure else 3)


def _log_to_standard_output() -> None:
    """Unless the program has set up Twisted's log before, or a launcher has."""
    if getattr(globalLogBeginner, "_temporaryObserver", None) is not None:
        globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)


def _installed_reactor() -> Any:
    from twisted.internet import reactor

    return reactor
