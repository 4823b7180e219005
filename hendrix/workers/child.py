"""A worker: ``python -m hendrix.workers.child``, started by its parent and by nobody else.

It serves the listening sockets that it has inherited, tells its parent over the link how it is, and ends when it is told to, or when
the parent has gone.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import LoopingCall

from hendrix.control.commands import Commands
from hendrix.control.profile import add_profile
from hendrix.control.threads import add_threads
from hendrix.hey_joe.service import HubService
from hendrix.launch import explain
from hendrix.options import Settings
from hendrix.supervision import Supervisor, hurry
from hendrix.tree import data
from hendrix.workers import baggage
from hendrix.workers.age import Age
from hendrix.workers.inherited import InheritedSockets
from hendrix.workers.link import Link
from hendrix.workers.logs import STDERR, ToParent
from hendrix.workers.process import BEAT, LINK
from hendrix.workers.serving import Serving
from hendrix.wsgi.call import Application
from hendrix.wsgi.loading import load

if TYPE_CHECKING:
    from hendrix.metrics.totals import Counting, Report


def main() -> None:
    """Be a worker. Ends with SystemExit."""
    end = socket.socket(fileno=LINK)
    os.set_inheritable(LINK, False)
    given = json.loads(end.makefile("rb", buffering=0).readline() or b"null")
    if given is None:
        raise SystemExit("the parent has gone")
    _restore(given["interpreter"])
    faulthandler.enable(STDERR)
    ToParent.begin()
    import_module(given["interpreter"]["reactor"]).install()
    from twisted.internet import reactor

    Worker(reactor, end, given).run()


def _restore(interpreter: Mapping[str, Any]) -> None:
    """Import from where the parent does, and leave nothing of that in the environment for the programs that the application starts."""
    sys.path[:] = interpreter["path"]
    os.environ.pop("PYTHONPATH", None)
    if interpreter["python_path"] is not None:
        os.environ["PYTHONPATH"] = interpreter["python_path"]


class Worker:
    """The tree of a worker and its life.

    :param end: its end of the link.
    :param given: what the parent told it first.
    """

    def __init__(self, reactor: Any, end: socket.socket, given: Mapping[str, Any]) -> None:
        self._reactor = reactor
        self._settings: Settings = baggage.unpacked(given["settings"])
        commands = Commands()
        self._link = Link.on(reactor, end, commands)
        self._life = self._link.channel("life")
        self._life.received, self._life.lost = self._told, self._lost
        self._root = Supervisor(given["name"], clock=reactor)
        self._root.on_failure = self._failed
        sockets = InheritedSockets(reactor, given["listeners"])
        self._report: Report | None = None
        counting, hearer, process = self._shown() if self._settings.status else (None, None, [])
        self._serving = Serving(
            reactor,
            self._settings,
            sockets,
            lambda: self._load(given["birth"] == 0),
            self._root,
            shared=True,
            hearer=hearer,
            counting=counting,
        )
        add_threads(commands, lambda: self._serving.crew.crew, given["name"])
        add_profile(commands, given["name"])
        hub = HubService(reactor, self._link.channel("hub"), url=self._settings.broker)
        for node in (sockets, *process, hub, *self._serving):
            self._root.addService(node)
        self._serving.web.on_deaf = lambda: self._life.send({"deaf": True})
        self._age = Age(self._settings.max_requests, self._settings.max_rss, lambda reason: self._life.send({"wish": reason}))
        self._beating = LoopingCall(self._beat)
        self._beating.clock = reactor
        self._leaving = False
        self._code: int | None = None

    def _shown(self) -> tuple[Counting, Any, list[Service]]:
        """What is counted here, the way of the reports for the live page, and the nodes of both."""
        from hendrix.metrics.process import ProcessService
        from hendrix.metrics.totals import Counting, Report

        counting = Counting()
        self._report = Report(counting, self._link.channel("metrics"))
        return counting, self._link.channel("reports"), [ProcessService(self._reactor)]

    def _load(self, first: bool) -> tuple[Application, str]:
        if not self._settings.dev:
            return load(self._settings)
        from hendrix.dev.serving import load_for_development, told
        from hendrix.dev.watching import CHANNEL

        self._link.channel(CHANNEL).received = told
        return load_for_development(self._settings, first)

    def run(self) -> None:
        """Until the end of the process."""
        self._reactor.callWhenRunning(self._start)
        self._reactor.run()
        raise SystemExit(self._code)

    def _start(self) -> None:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, _ignore)  # a terminal or systemd sends them to all processes; the parent sees to it
        signal.signal(signal.SIGTERM, self._terminate)
        self._beating.start(BEAT)
        maybeDeferred(self._root.startService).addCallbacks(self._up, lambda failure: self._failed(failure.value))

    def _up(self, _: object) -> None:
        self._life.send({"ready": self._serving.web.app_name})

    def _beat(self) -> None:
        if not self._life.congested:
            self._life.send({"beat": {"tree": data(self._root)}})
            if self._report is not None:
                self._report.send()
        crew = self._serving.crew.crew
        if crew is not None and not self._leaving:
            self._age.look(crew.requests)

    def _failed(self, error: BaseException) -> None:
        self._life.send({"failed": explain(error)})
        self._end(1)

    # The end.

    def _told(self, message: dict[str, Any]) -> None:
        match message:
            case {"drain": True}:
                self._leave(patient=True)
            case {"give way": True}:
                self._serving.web.heirs = True
                self._leave(patient=False)
            case {"stop": True}:
                self._leave(patient=False)
            case {"hurry": True}:
                hurry(self._root)
            case {"reopen": True}:
                self._serving.reopen_logs()

    def _terminate(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._life.send, {"wish": "it was told to end"})

    def _leave(self, patient: bool) -> None:
        """Drain and end. Who is not told to be patient any longer makes haste."""
        web = self._serving.web
        web.patient = patient and (web.patient or not self._leaving)
        if not self._leaving:
            self._leaving = True
            self._root.stopService().addBoth(lambda _: self._end(0))

    def _end(self, code: int) -> None:
        """When what was said last has left."""
        self._code = code
        if self._beating.running:
            self._beating.stop()
        if self._link.alive:
            if self._report is not None:
                self._report.send()
            self._link.close()
        else:
            self._reactor.stop()

    def _lost(self) -> None:
        """The link has ended: by us, or the parent has died, and this process must not outlive it."""
        if self._code is not None:
            self._reactor.stop()
        else:
            self._leave(patient=False)


def _ignore(number: int, frame: object) -> None:
    pass


if __name__ == "__main__":
    main()
