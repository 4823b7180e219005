"""The tree of a hendrix process, made of its settings. Construct, then wire; nothing starts here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import Service

from hendrix.channel.sockets import Sockets
from hendrix.control.address import address
from hendrix.control.commands import Commands
from hendrix.control.service import ControlService
from hendrix.control.standard import add_standard
from hendrix.errors import ConfigurationError
from hendrix.hey_joe.commands import add_hub
from hendrix.hey_joe.service import HubService
from hendrix.launch import Launch
from hendrix.options import Options, Settings, flag
from hendrix.supervision import Supervisor
from hendrix.values import workers as number_of_workers
from hendrix.workers.commands import add_workers
from hendrix.workers.parent import workers_of
from hendrix.workers.serving import Serving
from hendrix.workers.signals import Signals
from hendrix.wsgi.call import Application
from hendrix.wsgi.loading import load

__all__ = ["Options", "makeService"]

Wrap = Callable[[Application], Application]


def makeService(options: Options | Settings | Mapping[str, Any], *, reactor: Any = None, wrap: Wrap | None = None) -> Supervisor:
    """The whole tree: a MultiService, to which any Twisted service can be added.

    :param options: `Settings`, a mapping of the same keywords, or the parsed command line.
    :param reactor: the reactor that will run it; the installed one if None.
    :param wrap: called with the application when it is loaded; gives the one to serve. Workers load it elsewhere, and have no use for this.
    :raises ConfigurationError: a setting cannot work.
    """
    settings = _settings(options)
    reactor = reactor or _installed_reactor()

    root = Supervisor("hendrix", clock=reactor, outcome=Launch(reactor))
    commands = Commands()
    where = address(settings.control, getattr(options, "parent", None) or {})
    sockets = Sockets(reactor, settings.listen)
    count = _number_of_workers(settings)
    add_standard(commands, root, reactor)
    hub = HubService(reactor)
    add_hub(commands, lambda: hub.branch)
    serves: list[Service]
    if count:
        workers = workers_of(reactor, settings, count, sockets)
        add_workers(commands, workers)
        workers.on_spawn.append(lambda process: hub.attach(process.link.channel("hub")))
        serves = [workers, Signals(reactor, workers.signals)]
    else:
        serving = Serving(reactor, settings, sockets, lambda: _load(settings, wrap), shared=False)
        serving.add_commands(commands)
        serves = [*serving, Signals(reactor, serving.signals)]

    for node in (*([ControlService(reactor, commands, where)] if where else []), sockets, hub, *serves):
        root.addService(node)
    return root


def _number_of_workers(settings: Settings) -> int:
    count = settings.workers
    if count is None:
        try:
            count = number_of_workers(os.environ.get("WEB_CONCURRENCY") or 0)
        except ValueError as error:
            raise ConfigurationError(f"WEB_CONCURRENCY={os.environ['WEB_CONCURRENCY']}: {error}") from None
    for name in ("max_requests", "max_rss"):
        if not count and getattr(settings, name):
            raise ConfigurationError(f"{flag(name)}={getattr(settings, name)}: only a worker can be replaced; give --workers=1 or more")
    return count


def _settings(options: Options | Settings | Mapping[str, Any]) -> Settings:
    if isinstance(options, Settings):
        return options
    if isinstance(options, Options):
        return options.to_settings()
    return Settings.from_environment(options)


def _load(settings: Settings, wrap: Wrap | None) -> tuple[Application, str]:
    application, name = load(settings)
    return (wrap(application) if wrap else application), name


def _installed_reactor() -> Any:
    from twisted.internet import reactor

    return reactor
