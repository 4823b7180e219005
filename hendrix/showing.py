"""What ``--status`` adds to the tree: the live page, the metrics, and what they hear of the processes that serve. Imported for it alone."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from hendrix.channel.sockets import Sockets
from hendrix.control.commands import Commands
from hendrix.hey_joe.branch import Branch
from hendrix.hey_joe.hub import Hub
from hendrix.hey_joe.service import HubService
from hendrix.hey_joe.uplink import direct
from hendrix.metrics.collect import Metrics
from hendrix.metrics.process import ProcessService
from hendrix.metrics.totals import Counting, Totals
from hendrix.options import Settings
from hendrix.status.server import StatusService
from hendrix.status.streams import Streams
from hendrix.status.view import View
from hendrix.status.web import Answer
from hendrix.supervision import Supervisor
from hendrix.threads.mailbox import Mailbox
from hendrix.tree import data
from hendrix.workers.parent import Workers
from hendrix.workers.process import Process
from hendrix.workers.serving import name_of_application


class Showing:
    """
    :ivar nodes: "status" and "process".
    :ivar here: hears the reports of this process, where it serves; ``counting`` counts what it serves.
    """

    def __init__(
        self, reactor: Any, settings: Settings, commands: Commands, root: Supervisor, hub: HubService, sockets: Sockets
    ) -> None:
        assert settings.status is not None and hub.hub is not None
        self.counting = Counting()
        self._totals = Totals(self.counting)
        tree = partial(data, root)
        about = {"app": name_of_application(settings), "workers": settings.workers > 0, "token": settings.status_token is not None}
        self._view = View(reactor, tree, hub.hub.topics, about)
        self._view.streams = streams = Streams(partial(_own_hub, reactor), self._view.whole)
        self.here = self._view.here
        ports = Sockets(reactor, [settings.status], blame="--status={}")
        sockets.on_renew.append(ports.renew_certificates)
        ready = partial(_is_up, root)
        page = StatusService(reactor, settings.status, settings.status_token, ports, commands.run, streams, self._view, tree, ready)
        page.add("/metrics", partial(_metrics_page, reactor, Metrics(self._totals, tree)))
        self.nodes: list[Service] = [page, ProcessService(reactor)]

    def watch(self, workers: Workers) -> None:
        """These serve, and report."""

        def spawned(process: Process) -> None:
            process.link.channel("reports").received = partial(self._view.take, process.name, process.pid)
            self._totals.attach(process.name, process.link.channel("metrics"))

        workers.on_spawn.append(spawned)
        self._view.processes = lambda: [(process.name, process.pid, process.state) for process in workers.processes]


def _own_hub(reactor: Any) -> Branch:
    """A hub that nobody else has; the way to it."""
    theirs, ours = direct()
    Hub().attach(theirs)
    return Branch(ours, Mailbox(reactor.callFromThread).post)


def _metrics_page(reactor: Any, metrics: Metrics) -> Answer | Deferred[Answer]:
    """The answer to ``GET /metrics``. A large site has megabytes of it: a thread writes them, and the reactor goes on."""
    try:
        from hendrix.metrics.prometheus import MEDIA_TYPE, text
    except ImportError:
        return Answer("text/plain", b"/metrics needs prometheus-client: pip install 'hendrix[metrics]'\n", 501)
    writing: Deferred[bytes] = deferToThreadPool(reactor, reactor.getThreadPool(), text, metrics.samples())
    return writing.addCallback(lambda content: Answer(MEDIA_TYPE, content))


def _is_up(root: Supervisor) -> bool:
    return all(getattr(node, "running", True) for node in [root, *root])
