"""The tree of a hendrix process, made of its settings. Construct, then wire; nothing starts here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hendrix.channel.crew_service import CrewService
from hendrix.channel.site import Limits
from hendrix.channel.sockets import Sockets
from hendrix.channel.web import Web
from hendrix.control.address import address
from hendrix.control.commands import Commands
from hendrix.control.service import ControlService
from hendrix.control.standard import add_standard
from hendrix.control.threads import add_threads
from hendrix.crosstown.service import CrosstownService
from hendrix.errors import ConfigurationError
from hendrix.launch import Launch, unusable
from hendrix.notify import Notify
from hendrix.options import Options, Settings
from hendrix.status.service import AccessLogService
from hendrix.supervision import Supervisor, hurry
from hendrix.tree import data
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
    try:
        settings = _settings(options)
    except ConfigurationError as error:
        raise unusable(error) from None
    reactor = reactor or _installed_reactor()

    launch = Launch(reactor)
    root = Supervisor("hendrix", outcome=launch)
    launch.hurry = partial(hurry, root)
    commands = Commands()
    where = address(settings.control, getattr(options, "parent", None) or {})
    control = ControlService(reactor, commands, where) if where else None
    sockets = Sockets(reactor, settings.listen)
    crew = CrewService(reactor, settings.threads)
    access_log = AccessLogService(reactor, settings.access_log, settings.access_log_format) if settings.access_log else None
    at_a_time = settings.crosstown_threads or max(1, settings.threads - 1)
    crosstown = CrosstownService(reactor, lambda: crew.crew, at_a_time, settings.crosstown_grace, settings.crosstown_processes)
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
        health=settings.health,
        ready=lambda: all(getattr(node, "running", True) for node in list(root)),
    )

    add_standard(commands, root, reactor)
    add_threads(commands, lambda: crew.crew)
    for node in (control, sockets, crew, crosstown, access_log, web):
        if node is not None:
            root.addService(node)
    notify = Notify.of_environment(reactor, os.environ, partial(_status, root))
    if notify is not None:
        root.addService(notify)
    return root


def _status(root: Supervisor) -> str:
    """A line about the whole."""
    return "; ".join(branch["line"] for branch in data(root)["children"] if branch["name"] in ("web", "crew", "workers"))


def _settings(options: Options | Settings | Mapping[str, Any]) -> Settings:
    if isinstance(options, Settings):
        return options
    if isinstance(options, Options):
        return options.to_settings()
    return Settings.from_environment(options)


def _load(settings: Settings, wrap: Wrap | None) -> tuple[Application, str]:
    application, name = load(settings)
    return (wrap(application) if wrap else application), name


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
