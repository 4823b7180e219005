"""The tree of a hendrix process, made of its settings. Construct, then wire; nothing starts here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from hendrix.channel.sockets import Sockets
from hendrix.control.address import Address, address
from hendrix.control.commands import Commands
from hendrix.control.service import ControlService
from hendrix.control.standard import add_standard
from hendrix.errors import ConfigurationError
from hendrix.hey_joe.brokers.url import broker_of
from hendrix.hey_joe.commands import add_hub, add_inner
from hendrix.hey_joe.service import HubService
from hendrix.launch import Launch, explain, unusable
from hendrix.notify import Notify
from hendrix.options import Options, Settings
from hendrix.siblings.context import Context
from hendrix.siblings.servers import servers_of
from hendrix.siblings.service import Sibling, onions_in, siblings_of
from hendrix.status.log_form import LogForm
from hendrix.supervision import Supervisor, hurry
from hendrix.tree import data
from hendrix.workers.commands import add_workers
from hendrix.workers.parent import Workers, workers_of
from hendrix.workers.serving import Serving, tracing
from hendrix.wsgi.call import Application
from hendrix.wsgi.loading import load

if TYPE_CHECKING:
    from hendrix.showing import Showing

__all__ = ["Options", "makeService"]

log = Logger(namespace="hendrix")

Wrap = Callable[[Application], Application]


def makeService(
    options: Options | Settings | Mapping[str, Any], *, reactor: Any = None, wrap: Wrap | None = None, resources: Sequence[Any] = ()
) -> Supervisor:
    """The whole tree: a MultiService, to which any Twisted service can be added.

    :param options: `Settings`, a mapping of the same keywords, or the parsed command line.
    :param reactor: the reactor that will run it; the installed one if None.
    :param wrap: called with the application when it is loaded; gives the one to serve. Workers load it elsewhere, and have no use for this.
    :param resources: of twisted.web, each with a ``namespace``: the path to serve it under beside the application. With workers, name them
        in the setting ``mount``.
    :raises ConfigurationError: a setting cannot work. Of a command line it is SystemExit, with the line: launchers show all else as a bug.
    """
    try:
        launcher = getattr(options, "parent", None) or {}
        settings = _settings(options)
        return _tree(settings, launcher, address(settings.control, launcher), reactor or _installed_reactor(), wrap, resources)
    except ConfigurationError as error:
        raise (SystemExit(explain(error)) if isinstance(options, Options) else unusable(error)) from None


def _tree(
    settings: Settings, launcher: Mapping[str, Any], control: Address | None, reactor: Any, wrap: Wrap | None, resources: Sequence[Any]
) -> Supervisor:
    if resources and settings.workers:
        raise ConfigurationError(
            f"workers={settings.workers}: workers cannot be given resources as objects; name them, "
            "mount=['/path=package.module.attribute'], or give workers=0"
        )
    launch = Launch(reactor)
    root = Root(reactor, launch, settings, launcher)
    launch.hurry = partial(hurry, root)
    commands = Commands()
    listen, onions = onions_in(reactor, settings.listen)
    sockets = Sockets(reactor, listen)
    notify = Notify.of_environment(reactor, os.environ, partial(_status, root))
    add_standard(commands, root, reactor)
    hub = HubService(reactor, broker=broker_of(settings.broker, reactor), url=settings.broker)
    add_hub(commands, lambda: hub.branch)
    add_inner(commands, lambda: hub.branch)
    nodes: list[Service] = [ControlService(reactor, commands, control)] if control else []
    showing = _showing(reactor, settings, commands, root, hub, sockets)
    nodes += (*(showing.nodes if showing else ()), sockets, hub)

    def context(whose: str, name: str) -> Context:
        def crew() -> Any:
            return getattr(root.namedServices.get("crew"), "crew", None)

        return Context(name, reactor, settings, lambda: hub.branch, crew, lambda name: sockets.private(f"{whose}{name}", name))

    nodes += [Sibling(label, spec, partial(context, ""), settings.grace) for label, spec in onions]
    if settings.sibling:
        nodes.append(siblings_of(settings, partial(context, "sibling "), reactor))
    if settings.serve:
        nodes.append(servers_of(reactor, settings))
    if settings.workers:
        if settings.opentelemetry:
            tracing(reactor)  # a worker that cannot is found out too late
        workers = workers_of(reactor, settings, sockets)
        add_workers(commands, workers)
        workers.on_spawn.append(lambda process: hub.attach(process.link.channel("hub")))
        if showing is not None:
            showing.watch(workers)
        if notify is not None:
            workers.around_reload = notify.around
        if settings.dev and not settings.no_reload:
            nodes.append(_watch(reactor, settings, workers))
        nodes.append(workers)
    else:
        serving = Serving(
            reactor,
            settings,
            sockets,
            lambda: _load(settings, wrap),
            root,
            shared=False,
            resources=resources,
            hearer=showing.here if showing else None,
            counting=showing.counting if showing else None,
        )
        serving.add_commands(commands)
        nodes += serving
    for node in [*nodes, *([notify] if notify else [])]:
        root.addService(node)
    return root


class Root(Supervisor):
    """The root, which has the log written as the settings say, and says at the start which they are."""

    def __init__(self, reactor: Any, launch: Launch, settings: Settings, launcher: Mapping[str, Any]) -> None:
        super().__init__("hendrix", clock=reactor, outcome=launch)
        self._differing = settings.differing()
        self._log_form = LogForm(settings.log_format, launcher, reactor)

    def setServiceParent(self, parent: Any) -> None:
        self._log_form.adopt(parent)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        self._log_form.apply()
        super().privilegedStartService()

    def startService(self) -> Deferred[None] | None:
        starting = super().startService()
        if starting is None:
            self._say_settings()
            return None
        return starting.addCallback(lambda _: self._say_settings())

    def _say_settings(self) -> None:
        if self._differing:
            log.info("settings other than the defaults: {settings}", settings=" ".join(self._differing))


def _watch(reactor: Any, settings: Settings, workers: Workers) -> Service:
    """The node "watch" of development."""
    from hendrix.dev.watching import CHANNEL, watch

    def tell(message: Mapping[str, Any]) -> None:
        for process in workers.processes:
            process.link.channel(CHANNEL).send(message)

    return watch(reactor, settings, workers.restart, tell)


def _showing(
    reactor: Any, settings: Settings, commands: Commands, root: Supervisor, hub: HubService, sockets: Sockets
) -> Showing | None:
    if not settings.status:
        return None
    from hendrix.showing import Showing

    return Showing(reactor, settings, commands, root, hub, sockets)


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


def _installed_reactor() -> Any:
    from twisted.internet import reactor

    return reactor
