"""The tree of a hendrix process, made of its settings. Construct, then wire; nothing starts here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hendrix.channel.crew_service import CrewService
from hendrix.channel.site import Limits
from hendrix.channel.sockets import Sockets
from hendrix.channel.web import Web
from hendrix.crosstown.service import CrosstownService
from hendrix.hey_joe import client_files
from hendrix.hey_joe.connections import Connections
from hendrix.hey_joe.service import HubService
from hendrix.launch import Launch
from hendrix.options import Options, Settings
from hendrix.status.service import AccessLogService
from hendrix.supervision import Supervisor
from hendrix.wsgi.call import Application
from hendrix.wsgi.loading import load

__all__ = ["Options", "makeService"]

Wrap = Callable[[Application], Application]


def makeService(options: Options | Settings | Mapping[str, Any], *, reactor: Any = None, wrap: Wrap | None = None) -> Supervisor:
    """The whole tree: a MultiService, to which any Twisted service can be added.

    :param options: `Settings`, a mapping of the same keywords, or the parsed command line.
    :param reactor: the reactor that will run it; the installed one if None.
    :param wrap: called with the application when it is loaded; gives the one to serve.
    :raises ConfigurationError: a setting cannot work.
    """
    settings = _settings(options)
    reactor = reactor or _installed_reactor()

    root = Supervisor("hendrix", outcome=Launch(reactor))
    sockets = Sockets(reactor, settings.listen)
    hub = HubService(reactor)
    crew = CrewService(reactor, settings.threads)
    access_log = AccessLogService(reactor, settings.access_log, settings.access_log_format) if settings.access_log else None
    at_a_time = settings.crosstown_threads or max(1, settings.threads - 1)
    crosstown = CrosstownService(reactor, lambda: crew.crew, at_a_time, settings.crosstown_grace, settings.crosstown_processes)
    connections = Connections(reactor, lambda: crew.crew, lambda: hub.branch, grace=settings.grace, write_timeout=settings.write_timeout)
    web = Web(
        reactor,
        sockets,
        crew,
        crosstown,
        lambda: _load(settings, wrap),
        _name(settings),
        limits=_limits(settings),
        server_header=settings.server_header,
        trusted=settings.trusted_proxy,
        grace=settings.grace,
        port_file=settings.port_file,
        access=access_log.append if access_log else None,
    )

    for node in (sockets, hub, crew, crosstown, access_log, connections, web):
        if node is not None:
            root.addService(node)
    return root


def _settings(options: Options | Settings | Mapping[str, Any]) -> Settings:
    if isinstance(options, Settings):
        return options
    if isinstance(options, Options):
        return options.to_settings()
    return Settings.from_mapping(options)


def _load(settings: Settings, wrap: Wrap | None) -> tuple[Application, str]:
    application, name = load(settings)
    return client_files.beside(wrap(application) if wrap else application), name


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


def _name(settings: Settings) -> str:
    """What the application is called until it is loaded."""
    if isinstance(settings.wsgi, str):
        return settings.wsgi
    return "a Django project" if settings.wsgi is None else repr(settings.wsgi)


def _installed_reactor() -> Any:
    from twisted.internet import reactor

    return reactor
